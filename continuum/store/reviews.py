"""What people are asked about, and who has answered."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import select

from continuum.records import Label, Review
from continuum.store.judging_tables import labels, reviews
from continuum.store.rows import Rows, from_row


@dataclass(frozen=True)
class Reviewed:
    """A review with the answers it got."""

    review: Review
    labels: tuple[Label, ...]
    """Oldest first; who passed is among them, without a feedback."""


class Reviews(Rows):
    """The two queues for people, and the anchors."""

    def add(self, batch: Iterable[Review]) -> int:
        """Put interactions into queues; one that is in its queue already is left as it is. Returns how many were new."""
        return self.insert_all(reviews, batch)

    def answer(self, label: Label) -> bool:
        """Note a person's answer; False where that person answered this review before, which is left as it is."""
        return self.insert_all(labels, [label]) == 1

    def of(self, task: str, queue: str) -> Iterator[Reviewed]:
        """A queue with its answers, oldest first."""
        asked = select(reviews).where(reviews.c.task == task, reviews.c.queue == queue)
        answers = select(labels).join(reviews, labels.c.review_id == reviews.c.id)
        answers = answers.where(reviews.c.task == task, reviews.c.queue == queue).order_by(labels.c.created_at)
        with self.engine.connect() as connection:
            given: dict[str, list[Label]] = {}
            for row in connection.execute(answers):
                given.setdefault(row.review_id, []).append(from_row(Label, row))
            for row in connection.execute(asked.order_by(reviews.c.created_at, reviews.c.id)).all():
                yield Reviewed(from_row(Review, row), tuple(given.get(row.id, ())))

    def ids(self, task: str, queue: str) -> set[str]:
        """The interactions in a queue."""
        query = select(reviews.c.interaction_id).where(reviews.c.task == task, reviews.c.queue == queue)
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())
