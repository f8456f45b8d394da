"""What an artifact at a URL consists of: which object is which file, and what its bytes must be.

The listing is written last, in one step: without it there is no artifact. Objects have names of their own, new in each upload,
so that no reader ever finds the half of one state and the half of another, and no file's name has to be an object's.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import Any

from continuum.errors import StoreError

LISTING = "artifact.json"
OBJECTS = "objects"
FORMAT = 1
OBJECT = re.compile(r"[0-9a-z-]{1,80}")
HASH = re.compile(r"[0-9a-f]{64}")
MENDING = "restore it from a backup"


@dataclass(frozen=True)
class Entry:
    """One file."""

    sha256: str
    """In hex."""
    size: int
    """In bytes."""
    object: str
    """Name of the object that holds it."""


@dataclass(frozen=True)
class Listing:
    """The files of an artifact, by their paths."""

    files: Mapping[str, Entry]
    retired: tuple[str, ...] = ()
    """Objects of a state before this one, which are to be deleted."""
    digest: str = field(init=False, compare=False)
    """The same for the same files, whatever objects they are in; in hex."""

    def __post_init__(self) -> None:
        plain = json.dumps({name: one.sha256 for name, one in self.files.items()}, sort_keys=True)
        object.__setattr__(self, "digest", sha256(plain.encode()).hexdigest())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files.values())

    def is_of(self, hashes: Mapping[str, str]) -> bool:
        """Whether these are the sha256 of its files, by path."""
        return {name: one.sha256 for name, one in self.files.items()} == hashes

    def to_bytes(self) -> bytes:
        """The one form in which it is written."""
        files = {name: {"sha256": one.sha256, "size": one.size, "object": one.object} for name, one in self.files.items()}
        return json.dumps({"format": FORMAT, "files": files, "retired": list(self.retired)}, indent=1, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, uri: str, data: bytes) -> "Listing":
        """Read a listing that anybody may have written.

        Raises:
            StoreError: it is none, or a file of it would lie outside the artifact's folder.
        """
        try:
            found = json.loads(data)
            number = found["format"]
            files = {str(path): _entry(one) for path, one in found["files"].items()}
            retired = tuple(_object(one) for one in found["retired"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"{uri}/{LISTING} cannot be read as what an artifact consists of; {MENDING}") from error
        if number != FORMAT:
            raise StoreError(
                f"{uri}/{LISTING} is of format {number!r:.20}, this Continuum reads {FORMAT}; bring Continuum up to date"
            )
        if wrong := [path for path in files if not is_inside(path)]:
            raise StoreError(f"{uri}/{LISTING} names a file {wrong[0]!r:.200}, which would lie outside the artifact; {MENDING}")
        return cls(files, retired)


def is_inside(path: str) -> bool:
    """Whether a path, with slashes, leads to a file below the folder that it is taken from."""
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and str(pure) == path and "\0" not in path


def hashes_of(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder, by path.

    Raises:
        StoreError: there is a link in it, or what is neither file nor folder: it would not be the same elsewhere.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StoreError(f"{path} is no plain file, and an artifact holds nothing else; put the file itself in its place")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = hash_of(path)
    return found


def hash_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _entry(found: Any) -> Entry:
    size = found["size"]
    if not HASH.fullmatch(found["sha256"]) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError("no hash, or no size")
    return Entry(found["sha256"], size, _object(found["object"]))


def _object(name: Any) -> str:
    if not OBJECT.fullmatch(name):
        raise ValueError("no name of an object")
    return name
