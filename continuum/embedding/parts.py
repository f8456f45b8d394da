"""A folder of vectors by key, as Parquet parts that are written once and never changed.

A part is called by a hash of its bytes and of whose vectors they are, so that a torn, altered or foreign file is told from
ours before anything in it is believed. Parts are written aside and renamed; processes may write and read at once, and what two
of them keep twice is the same.
"""

import contextlib
import fcntl
import hashlib
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from continuum.config import make_private
from continuum.errors import StoreError
from continuum.ids import new_id

KEY_BYTES = 16
SMALL_PARTS = 16
"""More parts than these with room in them are made into fewer."""
PART_ROWS = 65_536
"""Rows of a full part: 50 MB of vectors of 384 numbers."""
UNFINISHED_S = 3600.0
"""Seconds after which a file that was never finished is a dead process's."""


class Parts:
    """Vectors by key; each vector as float16, the lowest byte of a number first.

    Args:
        folder: where the parts lie.
        owner: whose vectors: parts of another owner are foreign.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder = folder
        self._owner = hashlib.blake2b(owner.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        self._believed: set[tuple[str, int, int]] = set()

    def find(self, keys: Sequence[bytes]) -> tuple[list[int], np.ndarray]:
        """The vectors that are kept: their places among the keys, which are distinct, and shape (found, dimensions), float16."""
        while True:
            try:
                return self._find(keys)
            except FileNotFoundError:
                continue  # Another process made fewer parts of many at this moment; what was in them is in the new one.

    def keep(self, keys: Sequence[bytes], vectors: np.ndarray) -> Path:
        """Keep vectors, shape (keys, dimensions), float16, in a part of their own.

        Raises:
            OSError: the disk would not take them.
        """
        rows = np.ascontiguousarray(vectors, dtype="<f2")
        return self._write(pl.DataFrame({"key": list(keys), "vector": [row.tobytes() for row in rows]}, schema=SCHEMA))

    def forget(self, keys: Collection[bytes]) -> int:
        """Delete vectors, and the files that were set aside, which may hold some; returns how many were kept."""
        wanted, forgotten = set(keys), set[bytes]()
        if not self.folder.is_dir():
            return 0
        with self._alone():
            for path in self._parts():
                here = wanted.intersection(_column(path, "key"))
                if here:
                    left = pl.read_parquet(path).filter(~pl.col("key").is_in(list(here)))
                    if len(left):
                        self._write(left)
                    path.unlink(missing_ok=True)
                    forgotten |= here
            for path in [*self.folder.glob(f"{SET_ASIDE}*"), *self.folder.glob(UNFINISHED)]:
                path.unlink(missing_ok=True)
        return len(forgotten)

    def compact(self) -> None:
        """Make full parts of many that have room in them; rows that were kept twice are kept once."""
        try:
            if len(self._with_room()) <= SMALL_PARTS:
                return
        except FileNotFoundError:
            return  # Another process is at it.
        with self._alone():
            for path in self.folder.glob(UNFINISHED):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > UNFINISHED_S:
                        path.unlink(missing_ok=True)
            batch: list[Path] = []
            rows = 0
            for path in self._with_room():
                found = _rows(path)
                if rows + found > PART_ROWS:
                    self._merge(batch)
                    batch, rows = [], 0
                batch.append(path)
                rows += found
            self._merge(batch)

    def _find(self, keys: Sequence[bytes]) -> tuple[list[int], np.ndarray]:
        place = {key: position for position, key in enumerate(keys)}
        places: list[int] = []
        vectors: list[np.ndarray] = []
        for path in self._parts() if place else ():
            here = [(row, place.pop(key)) for row, key in enumerate(_column(path, "key")) if key in place]
            if here:
                column = pl.read_parquet(path, columns=["vector"])["vector"]
                kept = column.gather([row for row, _ in here]) if len(here) < len(column) else column
                vectors.append(np.frombuffer(b"".join(kept.to_list()), dtype="<f2").reshape(len(here), -1))
                places.extend(position for _, position in here)
        if len(widths := {one.shape[1] for one in vectors}) > 1:
            raise StoreError(
                f"{self.folder} holds vectors of {' and '.join(map(str, sorted(widths)))} numbers under one name; "
                "delete the folder, and give embedders that differ different ids"
            )
        return places, np.concatenate(vectors) if vectors else np.zeros((0, 0), dtype="<f2")

    def _parts(self) -> Iterator[Path]:
        """The parts that are whole and ours, in one order for all processes."""
        for path in sorted(self.folder.glob("part-*.parquet")):
            try:
                about = path.stat()
                known = (path.name, about.st_size, about.st_mtime_ns)
                if known not in self._believed:
                    if path.name != self._name(path):
                        self._set_aside(path)
                        continue
                    self._believed.add(known)
            except IsADirectoryError:
                self._set_aside(path)
                continue
            yield path

    def _with_room(self) -> list[Path]:
        return [path for path in self._parts() if _rows(path) <= PART_ROWS // 2]

    def _merge(self, paths: list[Path]) -> None:
        if len(paths) < 2:
            return
        merged = self._write(
            pl.concat([pl.read_parquet(path) for path in paths]).unique("key", keep="first", maintain_order=True)
        )
        for path in paths:
            if path != merged:
                path.unlink(missing_ok=True)

    def _write(self, frame: pl.DataFrame) -> Path:
        make_private(self.folder)
        unfinished = self.folder / f".unfinished-{new_id()}"
        try:
            frame.write_parquet(unfinished, compression="zstd", statistics=False)
            path = self.folder / self._name(unfinished)
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return path

    def _name(self, path: Path) -> str:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(key=self._owner, digest_size=16))
        return f"part-{digest.hexdigest()}.parquet"

    def _set_aside(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(f"{SET_ASIDE}{path.name}"))
            warnings.warn(
                f"{path} is torn, or not of this embedder; it was set aside, and its texts are embedded again", stacklevel=2
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time replaces parts: a vector that is forgotten must not come back from another's copy."""
        with (self.folder / ".lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # The kernel gives it back however the process ends.
            yield


SCHEMA = {"key": pl.Binary, "vector": pl.Binary}
SET_ASIDE = "set-aside-"
UNFINISHED = ".unfinished-*"


def _column(path: Path, name: str) -> list[bytes]:
    return pl.read_parquet(path, columns=[name])[name].to_list()


def _rows(path: Path) -> int:
    return pl.scan_parquet(path).select(pl.len()).collect().item()
