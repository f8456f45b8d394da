"""Artifacts wherever fsspec reaches, each file system with the settings and credentials that its own library finds.

No file system of fsspec can be relied on to write under a condition: of two processes that write the same listing at the same
moment the later one wins, and the other finds out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from continuum.artifacts.listing import MENDING
from continuum.artifacts.storage import MOST_READ, PIECE, Listed, Stored, no_room, written
from continuum.errors import MissingExtra, StoreError
from continuum.ids import new_id


class FileSystemStorage:
    """Objects in a file system of fsspec's.

    Args:
        system: fsspec's.
        scheme: how URLs of it begin, such as `gs`.
    """

    def __init__(self, system: Any, scheme: str) -> None:
        self._system = system
        self._scheme = scheme

    @classmethod
    def open(cls, url: str) -> "FileSystemStorage":
        """The file system that a URL leads to.

        Raises:
            MissingExtra: fsspec, or what it needs for this one, is not installed.
            StoreError: there is no such file system.
        """
        scheme = url.partition("://")[0]
        try:
            from fsspec.core import url_to_fs

            # Whatever a URL of this form makes a library remember, such as listings, may be out of date here.
            return cls(url_to_fs(url, use_listings_cache=False)[0], scheme)
        except ImportError as error:
            raise MissingExtra(f"artifacts at {scheme}:// need fsspec and its library; install: pip install fsspec") from error
        except ValueError as error:
            raise StoreError(f"{scheme}:// is nothing that fsspec knows; correct CONTINUUM_ARTIFACTS_URL") from error

    def read(self, url: str) -> Stored | None:
        """See `Storage`."""
        try:
            with _asking(url), self._system.open(url, "rb") as file:
                data = file.read(MOST_READ + 1)
        except _Missing:
            return None
        if len(data) > MOST_READ:
            raise StoreError(f"{url} is larger than any that Continuum writes; {MENDING}")
        return Stored(data, sha256(data).hexdigest())

    def fetch(self, url: str, path: Path, size: int) -> str:
        """See `Storage`."""
        with _asking(url), self._system.open(url, "rb") as file:
            return written(iter(lambda: file.read(PIECE), b""), path, size, url)

    def put_file(self, url: str, path: Path, digest: str) -> None:
        """See `Storage`: what is there is read back."""
        with _asking(url):
            self._make_folder(url)
            self._system.put_file(str(path), url)
            with self._system.open(url, "rb") as file:
                found = file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise StoreError(f"{url} does not hold what was sent to it, or {path} was changed meanwhile; do it again")

    def put(self, url: str, data: bytes) -> None:
        """See `Storage`."""
        temporary = f"{url}.{new_id()}.tmp"
        with _asking(url):
            self._make_folder(url)
            self._system.pipe_file(temporary, data)
            self._system.mv(temporary, url)

    def create(self, url: str, data: bytes) -> bool:
        """See `Storage`."""
        return self.swap(url, data, "")

    def swap(self, url: str, data: bytes, tag: str) -> bool:
        """See `Storage`."""
        now = self.read(url)
        if (now.tag if now else "") != tag:
            return False
        self.put(url, data)
        now = self.read(url)
        return now is not None and now.data == data

    def delete(self, url: str) -> None:
        """See `Storage`."""
        try:
            with _asking(url):
                self._system.rm_file(url)
        except _Missing:
            return

    def walk(self, url: str) -> Iterator[Listed]:
        """See `Storage`."""
        root = self._system._strip_protocol(url)
        try:
            with _asking(url):
                found = self._system.find(url, detail=True)
        except _Missing:
            return
        for path, about in sorted(found.items()):
            yield Listed(url.rstrip("/") + str(path).removeprefix(str(root)), _changed_at(about))

    def _make_folder(self, url: str) -> None:
        self._system.makedirs(url.rpartition("/")[0], exist_ok=True)


class _Missing(StoreError):
    """There is no such object."""


@contextmanager
def _asking(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise _Missing(f"{url} is missing; {MENDING}") from error
    except PermissionError as error:
        raise StoreError(f"access to {url} is denied; let these credentials read, write, list and delete there") from error
    except OSError as error:
        if error.filename and Path(error.filename).is_absolute():
            raise no_room(Path(error.filename), error) from error
        raise StoreError(f"{url} cannot be reached ({type(error).__name__}); look at the network, and try again") from error


def _changed_at(about: dict[str, Any]) -> datetime:
    """When an object was written; where nobody says, now: it is then nobody's leftover."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        found = about.get(name)
        if isinstance(found, (int, float)):
            return datetime.fromtimestamp(found, UTC)
        if isinstance(found, datetime):
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    return datetime.now(UTC)
