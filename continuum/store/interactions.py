"""What was captured."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from continuum.errors import StoreError
from continuum.records import Interaction
from continuum.store.loading import load
from continuum.store.rows import Rows, from_row, in_batches
from continuum.store.tables import annotations, bodies, interactions
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

Clock = Callable[[], datetime]

LOADED_ROWS = 1000
"""Interactions of one transaction."""


class Interactions(Rows):
    """Captured calls, in the order they reached the store."""

    def add(self, batch: Iterable[Interaction], *, now: Clock = utc_now) -> int:
        """Store interactions and return how many were new; one whose id is already there is left as it is.

        The exception is a call that came by two doors, the decorator and the gateway: it is one row, the same whichever came
        first. What the decorator saw stands, and what only the gateway knows is filled in.

        Raises:
            StoreError: the database would not take some of them; the others of the same thousand are stored.
        """
        new = 0
        for records in in_batches(batch, LOADED_ROWS):
            loaded = in_one_transaction(self.engine, partial(load, records=records, arrived_at=now()))
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
        return None if row is None else from_row(Interaction, row)

    def get_many(self, ids: Iterable[str]) -> dict[str, Interaction]:
        """The interactions among these ids that are in the store, by id."""
        found: dict[str, Interaction] = {}
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                for row in connection.execute(readable().where(interactions.c.id.in_(batch))):
                    found[row.id] = from_row(Interaction, row)
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
        """A task's interactions in the order they reached the store, read in pages."""
        query = readable().where(interactions.c.task == task)
        if since is not None:
            query = query.where(interactions.c.started_at >= since)
        if until is not None:
            query = query.where(interactions.c.started_at < until)
        if status is not None:
            query = query.where(interactions.c.status == status)
        if deployment_id is not None:
            query = query.where(interactions.c.deployment_id == deployment_id)
        return self._pages(query)

    def unannotated(self, task: str, *, judge: str, rubric: str, since: datetime | None = None) -> Iterator[Interaction]:
        """Answered interactions that this judge has not yet scored by this rubric, oldest first."""
        query = readable().outerjoin(annotations, scored_by(judge, rubric))
        query = query.where(interactions.c.task == task, interactions.c.status == "ok", annotations.c.id.is_(None))
        if since is not None:
            query = query.where(interactions.c.started_at >= since)
        return self._pages(query)

    def count_annotated(self, task: str, *, judge: str, rubric: str, since: datetime | None = None) -> tuple[int, int]:
        """How many answered interactions a task has, and how many of them this judge has scored by this rubric."""
        query = select(func.count(), func.count(annotations.c.id)).select_from(interactions)
        query = query.outerjoin(annotations, scored_by(judge, rubric))
        query = query.where(interactions.c.task == task, interactions.c.status == "ok")
        if since is not None:
            query = query.where(interactions.c.started_at >= since)
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

    def _pages(self, query: Select, size: int = 500) -> Iterator[Interaction]:
        # Pages by sequence number, so that no transaction stays open while the caller works.
        after = 0
        while True:
            page = query.where(interactions.c.sequence > after).order_by(interactions.c.sequence).limit(size)
            with self.engine.connect() as connection:
                rows = connection.execute(page).all()
            for row in rows:
                yield from_row(Interaction, row)
            if len(rows) < size:
                return
            after = rows[-1].sequence


def readable() -> Select:
    """Interactions with what was said in them, as `from_row` takes them."""
    return select(interactions, bodies.c.messages, bodies.c.response).join(bodies, bodies.c.hash == interactions.c.body)


def scored_by(judge: str, rubric: str) -> ColumnElement[bool]:
    """Joins an interaction to what this judge said of it by this rubric."""
    return and_(annotations.c.interaction_id == interactions.c.id, annotations.c.judge == judge, annotations.c.rubric == rubric)
