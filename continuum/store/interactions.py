"""What was captured."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from continuum.errors import ConfigurationError, StoreError
from continuum.records import Interaction
from continuum.store.loading import load
from continuum.store.reading import COLUMNS, Filter, paged, readable, record_of
from continuum.store.rows import Rows, in_batches
from continuum.store.sources import scan_rows
from continuum.store.tables import annotations, interactions
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

if TYPE_CHECKING:
    import polars as pl

Clock = Callable[[], datetime]

LOADED_ROWS = 1000
"""Interactions of one transaction."""


class Interactions(Rows):
    """Captured calls, in the order they reached the store."""

    def add(
        self, batch: Iterable[Interaction], *, now: Clock = utc_now, on_erased: Callable[[Sequence[str]], None] | None = None
    ) -> int:
        """Store interactions and return how many were new; one whose id is already there is left as it is.

        The exception is a call that came by two doors, the decorator and the gateway: it is one row, the same whichever came
        first. What the decorator saw stands, and what only the gateway knows is filled in.

        Args:
            batch: what to store.
            now: the clock.
            on_erased: told the ids of those that were erased before, or are of a user who was: they are not stored again.

        Raises:
            StoreError: the database would not take some of them; the others of the same thousand are stored.
        """
        new = 0
        for records in in_batches(batch, LOADED_ROWS):
            loaded = in_one_transaction(self.engine, partial(load, records=records, arrived_at=now()))
            if loaded.erased and on_erased is not None:
                on_erased(loaded.erased)
            if loaded.refused:
                raise StoreError(
                    f"the database would not take {len(loaded.refused)} of {len(records)} interactions, the first of them "
                    f"{loaded.refused[0]!r}; the others are stored. A text may hold NUL or half a surrogate pair, or be too long"
                )
            new += loaded.new
        return new

    def get(self, interaction_id: str) -> Interaction | None:
        """One interaction, by our id or by the provider's response id."""
        by_id = or_(interactions.c.id == interaction_id, interactions.c.provider_response_id == interaction_id)
        with self.engine.connect() as connection:
            row = connection.execute(readable().where(by_id).limit(1)).first()
        return None if row is None else record_of(row._mapping)

    def get_many(self, ids: Iterable[str]) -> dict[str, Interaction]:
        """The interactions among these ids that are in the store, by id."""
        found: dict[str, Interaction] = {}
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                for row in connection.execute(readable().where(interactions.c.id.in_(batch))):
                    found[row.id] = record_of(row._mapping)
        return found

    def scan(
        self,
        task: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        status: str | None = "ok",
        deployment_id: str | None = None,
    ) -> Iterator[Interaction]:
        """A task's interactions in the order they reached the store, a page or a row group in memory at a time.

        What lies in snapshots is read from there.
        """
        wanted = Filter(task, since, until, status, deployment_id)
        return map(record_of, scan_rows(self.engine, wanted))

    def frame(
        self,
        task: str,
        columns: Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> "pl.DataFrame":
        """A task's interactions as a frame, in the order they reached the store: the quick way to few columns of many.

        Args:
            task: whose.
            columns: fields of `Interaction`, `sequence` and `arrived_at`; messages, response and tags are JSON as text. None for
                all of them.
            since: the first moment that counts.
            until: the first moment that no longer does.

        Raises:
            ConfigurationError: there is no such column.
        """
        from continuum.store.frames import read_frame  # polars starts here

        chosen = COLUMNS if columns is None else tuple(columns)
        if unknown := [name for name in chosen if name not in COLUMNS]:
            raise ConfigurationError(f"interactions have no column {unknown[0]!r}; there are {', '.join(COLUMNS)}")
        return read_frame(self.engine, Filter(task, since, until), chosen)

    def unannotated(
        self, task: str, *, judge: str, rubric: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Interaction]:
        """Answered interactions that this judge has not yet scored by this rubric, oldest first."""
        query = readable().outerjoin(annotations, scored_by(judge, rubric)).where(annotations.c.id.is_(None))
        return self._pages(Filter(task, since, until, status="ok").in_database(query))

    def count_annotated(
        self, task: str, *, judge: str, rubric: str, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[int, int]:
        """How many answered interactions a task has, and how many of them this judge has scored by this rubric."""
        query = select(func.count(), func.count(annotations.c.id)).select_from(interactions)
        query = Filter(task, since, until, status="ok").in_database(query.outerjoin(annotations, scored_by(judge, rubric)))
        with self.engine.connect() as connection:
            answered, scored = connection.execute(query).one()
        return answered, scored

    def count(self, task: str, *, after: int = 0, through: int | None = None, since: datetime | None = None) -> int:
        """How many of a task's interactions lie above the sequence number `after`, up to `through` where one is given."""
        query = select(func.count()).where(interactions.c.task == task, interactions.c.sequence > after)
        if through is not None:
            query = query.where(interactions.c.sequence <= through)
        if since is not None:
            query = query.where(interactions.c.started_at >= since)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def arrived_through(self, ids: Iterable[str], sequence: int) -> set[str]:
        """Those of the ids whose interaction has this sequence number or a lower one."""
        found: set[str] = set()
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                query = select(interactions.c.id).where(interactions.c.id.in_(batch), interactions.c.sequence <= sequence)
                found.update(connection.execute(query).scalars())
        return found

    def last_sequence(self, task: str) -> int:
        """The highest sequence number of the task; 0 where it has no interaction."""
        query = select(func.max(interactions.c.sequence)).where(interactions.c.task == task)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar() or 0

    def recent_fingerprints(self, task: str, most: int) -> list[tuple[str, str]]:
        """Id and fingerprint of a task's newest interactions that have one, oldest first."""
        query = select(interactions.c.id, interactions.c.fingerprint).where(
            interactions.c.task == task, interactions.c.fingerprint.is_not(None)
        )
        with self.engine.connect() as connection:
            newest = connection.execute(query.order_by(interactions.c.sequence.desc()).limit(most)).all()
        return [(row[0], row[1]) for row in reversed(newest)]

    def counts_by(self, task: str, column: str) -> dict[str | None, int]:
        """How many interactions a task has for each value of `model`, `status`, `variant`, `source` or `deployment_id`."""
        if column not in {"model", "status", "variant", "source", "deployment_id"}:
            raise ValueError(f"cannot count by {column!r}")
        chosen = interactions.c[column]
        query = select(chosen, func.count()).where(interactions.c.task == task).group_by(chosen)
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def span(self, task: str) -> tuple[datetime | None, datetime | None]:
        """When the task's first and last interactions began; None and None where it has none."""
        query = select(func.min(interactions.c.started_at), func.max(interactions.c.started_at)).where(
            interactions.c.task == task
        )
        with self.engine.connect() as connection:
            first, last = connection.execute(query).one()
        return first, last

    def _pages(self, query: Select) -> Iterator[Interaction]:
        return (record_of(row._mapping) for rows in paged(self.engine, query) for row in rows)


def scored_by(judge: str, rubric: str) -> ColumnElement[bool]:
    """Joins an interaction to what this judge said of it by this rubric."""
    return and_(annotations.c.interaction_id == interactions.c.id, annotations.c.judge == judge, annotations.c.rubric == rubric)
