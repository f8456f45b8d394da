"""Putting what was drawn at random before people, with the probability it was drawn with."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from continuum.records import Review
from continuum.store.judging_tables import reviews
from continuum.store.rows import Rows, in_batches, insert_new, to_row
from continuum.store.tables import tasks
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

DRAWN = "drawn at random"


class Draws(Rows):
    """The random part of what people are asked about."""

    def audit(self, task: str, ids: Sequence[str], probability: float, *, now: Callable[[], datetime] = utc_now) -> int:
        """Note that these interactions are in the audit stream with at least this probability; returns how many are new to it.

        One that is in it already keeps the higher of the two probabilities.

        Raises:
            StoreError: the database failed; nothing is written.
        """
        return in_one_transaction(self.engine, partial(self._audit, task=task, ids=ids, probability=probability, at=now()))

    def anchors(
        self, task: str, ids: Sequence[str], probability: float, *, now: Callable[[], datetime] = utc_now
    ) -> tuple[int, bool]:
        """Freeze these interactions as a task's anchors; nothing is changed where it has anchors.

        Returns:
            How many anchors the task has now, and whether they are these.

        Raises:
            StoreError: the database failed; nothing is written.
        """
        return in_one_transaction(self.engine, partial(self._anchors, task=task, ids=ids, probability=probability, at=now()))

    def _audit(self, connection: Connection, *, task: str, ids: Sequence[str], probability: float, at: datetime) -> int:
        before = self._count(connection, task, "audit")
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(reviews)
        raised = statement.on_conflict_do_update(
            index_elements=[reviews.c.task, reviews.c.interaction_id, reviews.c.queue],
            set_={"probability": statement.excluded.probability},
            where=reviews.c.probability < statement.excluded.probability,
        )
        for batch in in_batches(sorted(ids)):
            connection.execute(raised, [to_row(_review(task, one, "audit", probability, at)) for one in batch])
        return self._count(connection, task, "audit") - before

    def _anchors(
        self, connection: Connection, *, task: str, ids: Sequence[str], probability: float, at: datetime
    ) -> tuple[int, bool]:
        # Whoever holds the task's row draws; the second finds anchors.
        connection.execute(select(tasks.c.name).where(tasks.c.name == task).with_for_update())
        if found := self._count(connection, task, "anchor"):
            return found, False
        rows = [to_row(_review(task, one, "anchor", probability, at)) for one in sorted(ids)]
        return sum(insert_new(connection, reviews, batch) for batch in in_batches(rows)), bool(rows)

    def _count(self, connection: Connection, task: str, queue: str) -> int:
        return connection.execute(
            select(func.count()).select_from(reviews).where(reviews.c.task == task, reviews.c.queue == queue)
        ).scalar_one()


def _review(task: str, interaction_id: str, queue: str, probability: float, at: datetime) -> Review:
    fields = {"task": task, "interaction_id": interaction_id, "queue": queue, "probability": probability}
    return Review(**fields, reason=DRAWN, created_at=at)
