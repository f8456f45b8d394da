"""What waits in a spool folder for the store: how many lines, and since when."""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import orjson

from continuum.spool.segments import CHUNK_BYTES, MAX_LINE_BYTES, SUFFIX

if TYPE_CHECKING:
    from continuum.store.database import Store

LATE = timedelta(minutes=10)
"""A capture that waits longer is not on its way: the store was away for so long, or who should drain it is stuck."""
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Without waiting: to open a pipe that lies there would take for ever."""
MOST_BYTES = 256 * 2**20
"""What is read to count the lines; of more it is only said that there is more."""


@dataclass(frozen=True)
class Waiting:
    """Captures and feedback that are on disk and not in the store yet, of any task."""

    lines: int = 0
    whole: bool = True
    """Whether all of them were counted; of a backlog beyond `MOST_BYTES` there are more."""
    segments: int = 0
    """Files they are in."""
    bytes: int = 0
    oldest_at: datetime | None = None
    """When the oldest of them was captured; None where nothing waits."""

    def with_segment(self, name: str, file: BinaryIO, drained: int) -> "Waiting":
        """The same with what a segment holds beyond what was drained of it."""
        file.seek(drained)
        lines, first, read = _lines_of(file, MOST_BYTES - self.bytes)
        if not lines:
            return self
        # An imported call may be old; it waits no longer than the file is there.
        since = max(_made_at(name), _captured_at(first) or _made_at(name))
        return Waiting(
            self.lines + lines,
            self.whole and not file.read(1),
            self.segments + 1,
            self.bytes + read,
            min(self.oldest_at or since, since),
        )

    def age(self, now: datetime) -> timedelta:
        """How long the oldest has waited; nothing where nothing waits, or where its clock runs ahead."""
        return max(timedelta(0), now - self.oldest_at) if self.oldest_at else timedelta(0)

    def is_late(self, now: datetime) -> bool:
        """Whether the oldest has waited for longer than `LATE`."""
        return self.age(now) > LATE

    def words(self, now: datetime) -> str:
        """How it stands, in a sentence."""
        if not self.lines:
            return "nothing waits in this machine's spool"
        some = f"{self.lines} captures of all tasks wait" if self.lines > 1 else "1 capture waits"
        more = "" if self.whole else "more than "
        waits = f"{more}{some} in this machine's spool, the oldest for {_told(self.age(now))}"
        if not self.is_late(now):
            return waits
        return (
            f"{waits}, more than {_told(LATE)}: look whether the applications reach the store, and whether one of them hangs; "
            "what dead processes left is stored by the sensor new_tasks, or by `continuum drain`"
        )


def waiting_in(store: "Store", folder: Path) -> Waiting:
    """Count what waits; nothing is locked, moved or changed, and what is drained meanwhile may be counted or not.

    Args:
        store: it knows how far each segment was drained.
        folder: the spool's; one that is not there holds nothing.
    """
    found = Waiting()
    for path in sorted(folder.glob("*" + SUFFIX)):
        name = path.name.removesuffix(SUFFIX)
        drained = store.segments.offset(name)
        # One that is gone by now was drained to its end.
        with suppress(OSError):
            if path.is_file():
                with open(os.open(path, FLAGS), "rb") as file:
                    found = found.with_segment(name, file, drained)
    return found


def _lines_of(file: BinaryIO, room: int) -> tuple[int, bytes, int]:
    """How many lines come from here on, the first of them, and how many bytes were read."""
    first, lines, read = file.readline(MAX_LINE_BYTES), 0, 0
    if first.endswith(b"\n") or len(first) == MAX_LINE_BYTES:
        lines, read = 1, len(first)
        while read < room and (content := file.read(CHUNK_BYTES)):
            lines, read = lines + content.count(b"\n"), read + len(content)
    return lines, first, read


def _captured_at(line: bytes) -> datetime | None:
    """When a line was captured, by its own account; None where it gives none that can be."""
    try:
        content = orjson.loads(line)
        if "feedback" in content:
            return datetime.fromisoformat(content["feedback"]["recorded_at"]).astimezone(UTC)
        return datetime.fromtimestamp(content["started_ns"] / 1e9, UTC)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
        return None


def _made_at(segment: str) -> datetime:
    """When a segment was begun: its name is an id that begins with the time. Long ago for a name that is none."""
    try:
        return datetime.fromtimestamp(int(segment[:13].replace("-", ""), 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _told(age: timedelta) -> str:
    seconds = age.total_seconds()
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
