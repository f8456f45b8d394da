"""Where a task's interactions are read from: fresh snapshots, and the database for everything else.

Each row has one source. A part stands for the rows of its day within its range; a stale one is read from the database by the
same day and range; and what came after the last part is in the database alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Engine, select

from continuum.store.reading import COLUMNS, Filter, Span, paged, readable
from continuum.store.tables import snapshots

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Part:
    """A row of `snapshots`."""

    id: str
    task: str
    day: str
    first_sequence: int
    last_sequence: int
    rows: int
    uri: str
    stale: bool
    changes: int

    @property
    def span(self) -> Span:
        """Its rows, as the database finds them."""
        return Span(self.first_sequence, self.last_sequence, self.day)


PART = tuple(snapshots.c[name] for name in Part.__dataclass_fields__)


def parts_of(connection: Connection, task: str) -> list[Part]:
    """A task's parts by sequence number; files that only wait to be deleted stand for no day and are not among them."""
    query = select(*PART).where(snapshots.c.task == task, snapshots.c.day != "").order_by(snapshots.c.first_sequence)
    return [Part(**row) for row in connection.execute(query).mappings()]


def scan_rows(engine: Engine, wanted: Filter) -> Iterator[Row]:
    """The rows asked for in the order of their sequence numbers, each once; a row group or a page at a time in memory."""
    found, rest = planned(engine, wanted)
    together: list[Part] = []
    for part in found:
        if together and part.first_sequence > max(one.last_sequence for one in together):
            yield from _in_order(engine, together, wanted)
            together = []
        together.append(part)
    yield from _in_order(engine, together, wanted)
    yield from database_rows(engine, wanted, rest)


def planned(engine: Engine, wanted: Filter) -> tuple[list[Part], Span]:
    """The parts that may hold what is asked for, and the span after the last part of all."""
    with engine.connect() as connection:
        every = parts_of(connection, wanted.task)
    last = max((part.last_sequence for part in every), default=0)
    return [part for part in every if wanted.reaches(part.day)], Span(last + 1)


def _in_order(engine: Engine, together: Sequence[Part], wanted: Filter) -> Iterator[Row]:
    """The rows of parts whose ranges overlap, as those of different days do when old logs are imported."""
    rows: list[Iterator[Row]] = []
    for part in together:
        if part.stale:
            rows.append(database_rows(engine, wanted, part.span))
        else:
            from continuum.store.frames import part_rows  # polars starts here

            rows.append(part_rows(engine, part, wanted))
    return merge(*rows, key=itemgetter("sequence"))


def database_rows(engine: Engine, wanted: Filter, span: Span) -> Iterator[Row]:
    """The rows of a span that are asked for, a page in memory at a time."""
    for rows in paged(engine, wanted.in_database(span.in_database(readable(COLUMNS)))):
        for row in rows:
            yield row._mapping
