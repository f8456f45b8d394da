"""What is asked of a storage at a URL: whole objects, and one of them written only if nobody else was faster.

S3 and what speaks its protocol is reached by boto3 (`s3.py`), everything else by fsspec (`file_systems.py`), as snapshots are.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from continuum.errors import StoreError

MOST_READ = 64 * 2**20
"""Bytes of an object that is read into memory, at most: a listing of some hundred thousand files."""
PIECE = 2**20


@dataclass(frozen=True)
class Stored:
    """A small object as it was read."""

    data: bytes
    tag: str
    """What `swap` knows it by."""


@dataclass(frozen=True)
class Listed:
    """An object as a listing names it."""

    url: str
    changed_at: datetime
    """UTC."""


class Storage(Protocol):
    """Objects by their URLs. Whatever a library raises comes as a StoreError that says what to do."""

    def read(self, url: str) -> Stored | None:
        """A small object; None where there is none."""
        ...

    def fetch(self, url: str, path: Path, size: int) -> str:
        """Write an object into a file; returns its sha256. More than `size` bytes are not taken."""
        ...

    def put_file(self, url: str, path: Path, digest: str) -> None:
        """Write a file as an object and make sure that the storage has these bytes: their sha256 is `digest`."""
        ...

    def put(self, url: str, data: bytes) -> None:
        """Write a small object, in the place of one that is there."""
        ...

    def create(self, url: str, data: bytes) -> bool:
        """Write a small object where there is none; False where there is one."""
        ...

    def swap(self, url: str, data: bytes, tag: str) -> bool:
        """Write a small object in the place of the one that was read with this tag; False where it is no longer that one."""
        ...

    def delete(self, url: str) -> None:
        """Delete an object; one that is gone already is no error."""
        ...

    def walk(self, url: str) -> Iterator[Listed]:
        """All objects below a URL."""
        ...


def open_storage(url: str) -> Storage:
    """The storage that a URL leads to; nothing is asked of it yet.

    Raises:
        MissingExtra: the library that reaches it is not installed.
    """
    if url.startswith("s3://"):
        from continuum.artifacts.s3 import S3Storage  # boto3 starts here

        return S3Storage.open()
    from continuum.artifacts.file_systems import FileSystemStorage  # fsspec starts here

    return FileSystemStorage.open(url)


def written(pieces: Iterable[bytes], path: Path, size: int, url: str) -> str:
    """Write pieces into a new file; returns their sha256.

    Raises:
        StoreError: there are more bytes than there should be, or no room for them.
    """
    digest, taken = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            for piece in pieces:
                taken += len(piece)
                if taken > size:
                    raise StoreError(f"{url} holds more than the {size} bytes that it should; restore it from a backup")
                digest.update(piece)
                file.write(piece)
    except OSError as error:
        raise no_room(path, error) from error
    return digest.hexdigest()


def no_room(path: Path, error: OSError) -> StoreError:
    """What is said where a file cannot be written on this machine."""
    return StoreError(
        f"{path.parent} cannot be written ({error.strerror or type(error).__name__}); make room, let this user write there, or "
        "lower CONTINUUM_ARTIFACTS_MAX_BYTES"
    )
