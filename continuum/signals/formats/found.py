"""What a reader finds in one record of a file, and where it found it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from continuum.signals.formats.lines import Line


@dataclass(frozen=True)
class Found:
    """One interaction, in the plain form."""

    row: dict[str, Any]
    path: str = ""
    notes: tuple[str, ...] = ()
    """What of it was not understood, in words that hold for any row."""


@dataclass(frozen=True)
class Opinion:
    """Feedback on an interaction that is somewhere else in the file, or in the store."""

    interaction_id: str
    said: dict[str, Any]
    path: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bad:
    """What should have been an interaction or an opinion, and why it is none."""

    reason: str
    path: str = ""


@dataclass(frozen=True)
class Passed:
    """What is no interaction and was passed over."""

    note: str


Item = Found | Opinion | Bad | Passed


class Reader(Protocol):
    """Reads one format; it may remember earlier records of the file."""

    def items(self, record: Line) -> Iterator[Item]:
        """What one record holds.

        Raises:
            ValueError: it is none of this format; the message says why, without the record's values.
        """
        ...


def inside(path: str, *steps: object) -> str:
    """The path of something inside what has this path."""
    return ".".join(str(step) for step in (path, *steps) if step != "")


def reason_in(error: Exception) -> str:
    """Why a row was refused, without the row's content."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
