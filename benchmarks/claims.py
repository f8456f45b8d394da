"""A claim, the figures for it, and whether they hold."""

import json
import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

COMPARISONS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True)
class Entry:
    """One row of the answer. `peer`, `ratio` and `holds` are None where the peer is not there to be measured."""

    claim: str
    ours: float | None
    peer: float | None
    ratio: float | None
    goal: str
    holds: bool | None

    @classmethod
    def of_ratio(cls, claim: str, ours: float | None, peer: float | None, goal: float, *, at_most: bool = True) -> "Entry":
        """A claim on ours divided by the peer's; it is open where either is missing."""
        sign = "<=" if at_most else ">="
        if ours is None or peer is None or not peer:
            return cls(claim, rounded(ours), rounded(peer), None, f"ratio {sign} {goal:.4g}", None)
        ratio = ours / peer
        return cls(
            claim, rounded(ours), rounded(peer), rounded(ratio), f"ratio {sign} {goal:.4g}", COMPARISONS[sign](ratio, goal)
        )

    @classmethod
    def of_value(cls, claim: str, ours: float | None, sign: str, goal: float, peer: float | None = None) -> "Entry":
        """A claim on our own figure; the peer's stands beside it and decides nothing."""
        ratio = ours / peer if ours is not None and peer else None
        holds = None if ours is None else COMPARISONS[sign](ours, goal)
        return cls(claim, rounded(ours), rounded(peer), rounded(ratio), f"{sign} {goal:g}", holds)


@dataclass
class Result:
    """What one benchmark found: its entries, and the table that shows where they come from."""

    entries: list[Entry]
    table: Table
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """What every benchmark is given."""

    quick: bool
    folder: Path
    """Its own, and removed afterwards."""
    data: Path | None
    seed: int
    say: Callable[[str], None]
    """Reports progress, to stderr."""
    texts: Path = Path()
    """JSON file of what the calls of a captured application say."""
    peers: bool = False
    """Whether the peers' environment is there."""

    def of(self, folder: Path) -> "Setting":
        """The same for another folder."""
        return replace(self, folder=folder)


def rounded(value: float | None) -> float | None:
    """Four significant digits: more would be noise."""
    return None if value is None else float(f"{value:.4g}")


def median(values: Sequence[float]) -> float | None:
    """The median, or None of nothing."""
    return statistics.median(values) if values else None


def table(title: str, *columns: str) -> Table:
    """An empty table: the first column names, the others are numbers."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", no_wrap=not index)
    return made


def show(result: Result, console: Console) -> None:
    """Print a benchmark's table, its notes, and what became of its claims."""
    console.print(result.table)
    for note in result.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    for entry in result.entries:
        word, style = {True: ("holds", "green"), False: ("MISSED", "bold red"), None: ("open", "yellow")}[entry.holds]
        figures = f"ours {shown(entry.ours)}, peer {shown(entry.peer)}, ratio {shown(entry.ratio)}"
        console.print(f"  [{style}]{word:>6}[/]  {entry.claim}: {figures}; goal {entry.goal}", highlight=False)
    console.print()


def shown(value: float | None) -> str:
    """A number for people."""
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def as_json(entries: Sequence[Entry]) -> str:
    """All entries on one line."""
    return json.dumps([asdict(entry) for entry in entries])
