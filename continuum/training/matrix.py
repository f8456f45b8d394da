"""Every earlier dataset's validation rows by version: the matrix R of Lopez-Paz and Ranzato 2017 (section 2).

Row i is version i, column j the dataset that version j learned; general questions are a column beside them. Each training
measures its model before and after, so a row is filled by its own training and by the next one. A version that came before a
dataset was never asked about it: that cell is absent, not zero.

What is known is the geometric mean of the probability of an answer's tokens, exp(-nats); more is better. Means are taken over
conversations, whose rows are not independent.
"""

import math
from collections.abc import Sequence
from hashlib import sha256

from continuum.records import Record
from continuum.training.measured import GENERAL, Measured

BASE = "base"


class Column(Record):
    """One set of held-out rows."""

    key: str
    """Fingerprint of the dataset, or `general`."""
    learned_by: str | None
    """The last version that learned from the dataset; None for general questions."""
    rows: int
    ids_sha256: str
    """Over the sorted ids of the rows that any version was measured on."""

    @property
    def title(self) -> str:
        """What it is called beside its figures."""
        return f"data of {self.learned_by}" if self.learned_by else "general"


class Cell(Record):
    """What one version knows of one column: means over conversations."""

    rows: int
    conversations: int
    nats: float
    """Per answer token."""
    probability: float
    """Of an answer's tokens, 0 to 1; geometric within a row."""


class Change(Record):
    """From one version to another, on the rows that both were measured on, with Student's two-sided 95% intervals."""

    column: str
    title: str
    since: str
    """The earlier version."""
    rows: int
    conversations: int
    nats: float
    """After minus before: above 0 is worse."""
    nats_low: float | None
    """None with a single conversation: nothing is known of the spread."""
    nats_high: float | None
    probability: float
    """After minus before: below 0 is worse."""
    probability_low: float | None
    probability_high: float | None


class Matrix(Record):
    """Versions by columns."""

    versions: tuple[str, ...]
    """The base and the versions of one line, oldest first."""
    columns: tuple[Column, ...]
    """In the order they were learned; general questions last."""
    cells: tuple[tuple[Cell | None, ...], ...]
    """A row for each version; None where it was not measured."""


Known = dict[str, dict[str, float]]
"""Column to row id to nats."""


class Line:
    """What was measured along a line of versions, each continuing the one before it.

    Args:
        versions: names and what each training measured, oldest first.
    """

    def __init__(self, versions: Sequence[tuple[str, Measured]]) -> None:
        self.names = (BASE, *(name for name, _ in versions))
        self.learned_by: dict[str, int] = {}
        """Dataset to the last version that learned from it, counted from 1."""
        self.known: list[Known] = [{} for _ in self.names]
        self.groups: dict[str, dict[str, str]] = {}
        for version, (_, measured) in enumerate(versions, start=1):
            self.learned_by[measured.dataset] = version
            for column, losses in measured.by_dataset.items():
                self.groups.setdefault(column, {}).update(zip(losses.ids, losses.groups or losses.ids, strict=True))
                # A version's own training comes before the next one, which may have measured it on fewer rows.
                before, after = self.known[version - 1].setdefault(column, {}), self.known[version].setdefault(column, {})
                before |= {id: nats for id, nats in zip(losses.ids, losses.before, strict=True) if id not in before}
                after |= zip(losses.ids, losses.after, strict=True)

    @property
    def columns(self) -> list[str]:
        """Datasets in the order they were last learned, and general questions where any were asked."""
        asked = {column for known in self.known for column, rows in known.items() if rows}
        return [*(column for column in sorted(self.learned_by, key=self._age) if column in asked), *({GENERAL} & asked)]

    @property
    def newest(self) -> int:
        """The version that the line ends with."""
        return len(self.names) - 1

    def matrix(self) -> Matrix:
        """All that was measured."""
        columns = self.columns
        cells = tuple(tuple(self._cell(version, column) for column in columns) for version in range(len(self.names)))
        return Matrix(versions=self.names, columns=tuple(self._column(column) for column in columns), cells=cells)

    def measured(self, version: int, column: str) -> bool:
        """Whether a version was asked about a column."""
        return bool(self.known[version].get(column))

    def title(self, column: str) -> str:
        """What a column is called."""
        return self._column(column).title

    def change(self, column: str, since: int) -> Change | None:
        """What became of a column from a version to the newest; None where no row was put to both."""
        from continuum.statistics.means import estimate  # numpy and scipy start here

        before, after = self.known[since].get(column, {}), self.known[self.newest].get(column, {})
        ids = sorted(before.keys() & after.keys())
        if not ids:
            return None
        groups = [self.groups[column][id] for id in ids]
        nats = estimate([after[id] - before[id] for id in ids], groups)
        probability = estimate([math.exp(-after[id]) - math.exp(-before[id]) for id in ids], groups)
        return Change(
            column=column,
            title=self.title(column),
            since=self.names[since],
            rows=len(ids),
            conversations=nats.groups,
            nats=nats.mean,
            nats_low=nats.low,
            nats_high=nats.high,
            probability=probability.mean,
            probability_low=probability.low,
            probability_high=probability.high,
        )

    def best_before(self, column: str) -> int | None:
        """The version before the newest that knew most of a column; None where none was asked."""
        cells = {version: self._cell(version, column) for version in range(self.newest)}
        known = {version: cell.probability for version, cell in cells.items() if cell is not None}
        return max(known, key=lambda version: known[version]) if known else None

    def _age(self, column: str) -> int:
        return self.learned_by[column]

    def _column(self, column: str) -> Column:
        ids = sorted({id for known in self.known for id in known.get(column, ())})
        learned_by = self.learned_by.get(column)
        return Column(
            key=column,
            learned_by=None if learned_by is None else self.names[learned_by],
            rows=len(ids),
            ids_sha256=sha256("\n".join(ids).encode("utf-8", "backslashreplace")).hexdigest(),
        )

    def _cell(self, version: int, column: str) -> Cell | None:
        from continuum.statistics.paired import group_means

        rows = self.known[version].get(column)
        if not rows:
            return None
        groups = [self.groups[column][id] for id in rows]
        nats = group_means(list(rows.values()), groups)
        probability = group_means([math.exp(-value) for value in rows.values()], groups)
        return Cell(rows=len(rows), conversations=len(nats), nats=float(nats.mean()), probability=float(probability.mean()))
