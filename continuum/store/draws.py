"""Putting what was drawn at random before people, with the probability it was drawn with, and what they answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from continuum.records import Feedback, Review
from continuum.store.judging_tables import labels, reviews
from continuum.store.rows import Rows, from_row, in_batches, insert_new, to_row
from continuum.store.tables import feedback, tasks
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

DRAWN = "drawn at random"


@dataclass(frozen=True)
class Answer:
    """What one person said of one interaction when asked about it."""

    interaction_id: str
    probability: float | None
    """With which the interaction was drawn."""
    feedback: Feedback


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

    def answers(self, task: str, queue: str) -> list[Answer]:
        """What people said of a queue's interactions, oldest first; not what they said after they had seen the judge's word."""
        query = (
            select(reviews.c.interaction_id.label("asked_of"), reviews.c.probability, *feedback.c)
            .join(labels, labels.c.review_id == reviews.c.id)
            .join(feedback, feedback.c.id == labels.c.feedback_id)
            .where(reviews.c.task == task, reviews.c.queue == queue, ~labels.c.informed, ~labels.c.withdrawn)
            .order_by(feedback.c.recorded_at, feedback.c.id)
        )
        with self.engine.connect() as connection:
            return [Answer(row.asked_of, row.probability, from_row(Feedback, row)) for row in connection.execute(query)]

    def set_apart(self, task: str) -> set[str]:
        """The feedback that is no volunteered word on the judge: of the audit stream, or given after the judge's was seen."""
        query = select(labels.c.feedback_id).join(reviews, reviews.c.id == labels.c.review_id)
        query = query.where(reviews.c.task == task, or_(reviews.c.queue == "audit", labels.c.informed))
        with self.engine.connect() as connection:
            return set(connection.execute(query.where(labels.c.feedback_id.is_not(None))).scalars())

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
