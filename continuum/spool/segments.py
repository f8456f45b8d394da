"""Segments: the files in which captures wait for the store, one line of JSON each.

A segment belongs to the process that made it, which holds a lock on it (flock) for as long as it lives. The kernel gives the lock
up when the process dies, however it dies, and whoever gets it then may drain what is left. Appending is one write to a file that
was opened with O_APPEND. What was written survives the process; against a loss of power the spool's thread syncs what waits.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from continuum.config import make_private
from continuum.ids import new_id

SUFFIX = ".jsonl"
UNBORN_SUFFIX = ".new"
"""Of a segment that is not locked yet; nobody else may touch it."""
UNBORN_AGE_S = 60.0
FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

FIRST_BUFFER = 2**20
CHUNK_BYTES = 2**20
LINES_A_CHUNK = 512
MAX_LINE_BYTES = 2**25
"""A longer line cannot be one of ours: it is what a failing disk left."""


class Segment:
    """A segment that this process appends to.

    Args:
        folder: made where it does not exist, for this user alone.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"{new_id()}.{os.getpid()}"
        self.size = 0
        self.made_at = time.monotonic()
        # A capture waits for this: the folder is nearly always there, and joining paths by pathlib takes longer than a file does.
        name = f"{folder}/{self.name}"
        try:
            self._file = os.open(name + UNBORN_SUFFIX, FLAGS, 0o600)
        except FileNotFoundError:
            make_private(folder)
            self._file = os.open(name + UNBORN_SUFFIX, FLAGS, 0o600)
        # Locked before it has its name: whoever finds a segment without a lock takes its owner for dead.
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(name + UNBORN_SUFFIX, name + SUFFIX)
        self.path = Path(name + SUFFIX)

    def append(self, line: bytes) -> None:
        """Add a line; it is there whole or not at all.

        Raises:
            OSError: the disk did not take it.
        """
        try:
            written = os.write(self._file, line)
        except OSError:
            self._undo()
            raise
        if written != len(line):
            self._undo()
            raise OSError(f"the disk took {written} of {len(line)} bytes")
        self.size += written

    def _undo(self) -> None:
        # Half a line must not stay: the next one would continue it. Where even this fails, readers skip the line.
        try:
            os.ftruncate(self._file, self.size)
        except OSError:
            with suppress(OSError):
                self.size = os.fstat(self._file).st_size
                self.size += os.write(self._file, b"\n")

    def read(self, offset: int, most: int) -> bytes:
        """Bytes from an offset on."""
        return os.pread(self._file, most, offset)

    def sync(self) -> None:
        """Have the disk keep what was written."""
        with suppress(OSError):
            os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of it; whoever comes next may drain it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def delete(self) -> None:
        """Remove the file and let go of it."""
        with suppress(OSError):
            self.path.unlink()
        self.close()


class InMemory:
    """Lines that wait in memory, in one buffer that is used over and over: fresh memory costs more than the copy does.

    Args:
        limit: bytes that may wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.offset = 0
        """Up to here the lines are stored."""
        self.size = 0
        self._buffer = memoryview(b"")

    @property
    def waiting(self) -> int:
        """Bytes that are not stored yet."""
        return self.size - self.offset

    def append(self, line: bytes) -> bool:
        """Add a line; False where there is no room for it."""
        end = self.size + len(line)
        if end > len(self._buffer):
            if self.waiting + len(line) > self.limit:
                return False
            self._make_room(len(line))
            end = self.size + len(line)
        # Through a view: a bytearray would copy the line once more before it takes it.
        self._buffer[self.size : end] = line
        self.size = end
        return True

    def _make_room(self, needed: int) -> None:
        # What is stored makes way; where that is less than half, the buffer doubles.
        kept, length = self._buffer[self.offset : self.size], len(self._buffer)
        if 2 * (len(kept) + needed) > length:
            length = max(len(kept) + needed, min(max(FIRST_BUFFER, 2 * length), self.limit))
            self._buffer = memoryview(bytearray(length))
        self._buffer[: len(kept)] = kept
        self.size, self.offset = len(kept), 0

    def read(self, offset: int, most: int) -> bytes:
        """Bytes from an offset on."""
        return bytes(self._buffer[offset : min(offset + most, self.size)])

    def stored(self, offset: int) -> None:
        """The lines up to an offset are stored."""
        self.offset = offset
        if offset == self.size:
            self.offset = self.size = 0


class Opened:
    """A segment that is read and not appended to here; a context that lets go of it at the end."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.name = path.name.removesuffix(SUFFIX)
        self.size = os.fstat(file).st_size
        self._file = file

    @classmethod
    def at(cls, path: Path) -> Self:
        """The segment at a path, whoever holds it.

        Raises:
            OSError: there is none.
        """
        # Without waiting: to open a pipe that lies there would take for ever.
        return cls(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK))

    def read(self, offset: int, most: int) -> bytes:
        """Bytes from an offset on."""
        return os.pread(self._file, most, offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


class Abandoned(Opened):
    """A segment whose owner is dead, taken over."""

    @classmethod
    def take_over(cls, path: Path) -> Self | None:
        """The segment, or None where its owner lives, another drainer has it, or it is gone."""
        try:
            segment = cls.at(path)
        except OSError:
            return None
        try:
            fcntl.flock(segment._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(segment._file)
            # Between the two its owner may have written its last line.
            segment.size = found.st_size
            if stat.S_ISREG(found.st_mode) and found.st_nlink:
                return segment
        except OSError:
            pass
        os.close(segment._file)
        return None

    def delete(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            self.path.unlink()


def abandoned(folder: Path) -> Iterator[Abandoned]:
    """The segments of dead processes, oldest first, each taken over while the caller works on it."""
    for path in sorted(folder.glob("*" + SUFFIX)):
        segment = Abandoned.take_over(path)
        if segment is not None:
            with segment:
                yield segment
    for path in folder.glob("*" + UNBORN_SUFFIX):
        # Its maker died before the first line.
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > UNBORN_AGE_S:
                path.unlink()


def bytes_in(folder: Path) -> int:
    """What all segments of a folder take on disk."""
    total = 0
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


@dataclass(frozen=True)
class Read:
    """Some lines of a segment."""

    lines: list[bytes]
    """Without their ends."""
    offset: int
    """Where the next line begins."""


def read_lines(segment: Segment | InMemory | Opened, offset: int, end: int, *, most: int) -> Read:
    """Whole lines from an offset on: at most `most` of them, and about CHUNK_BYTES for each LINES_A_CHUNK of those.

    A torn line at the end, of a process that died while it wrote, is none. Bytes that go on for MAX_LINE_BYTES without an end are
    given back as one line, which nobody will be able to read, so that what follows them can be.
    """
    size = CHUNK_BYTES * max(1, most // LINES_A_CHUNK)
    while True:
        content = segment.read(offset, min(size, end - offset))
        cut = content.rfind(b"\n") + 1
        if cut or len(content) < size:
            break
        if size >= MAX_LINE_BYTES:
            return Read([content], offset + len(content))
        size *= 4
    lines = content[:cut].split(b"\n", most)
    if len(lines) > most:
        cut -= len(lines[most])
    return Read(lines[:most] if len(lines) > most else lines[:-1], offset + cut)
