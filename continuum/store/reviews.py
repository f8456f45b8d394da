"""What people are asked about, and who has answered.

An answer is two rows, the label and the feedback that is its verdict; they are written, and taken back, in one transaction.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy import ColumnElement, Connection, Select, and_, case, delete, exists, func, select, update

from continuum.errors import StoreError
from continuum.records import Feedback, Label, Review
from continuum.store.judging_tables import labels, reviews
from continuum.store.rows import Rows, arriving, from_row, insert_new, to_row
from continuum.store.tables import feedback, interactions
from continuum.store.writing import in_one_transaction

RANDOM_PART = 25
"""Where the last group of a version 7 UUID begins: twelve random digits."""


@dataclass(frozen=True)
class Reviewed:
    """A review with the answers it got."""

    review: Review
    labels: tuple[Label, ...]
    """Oldest first; who passed or took an answer back is among them, without a feedback."""


@dataclass(frozen=True)
class ScoredReview:
    """One person's score in a queue."""

    review_id: str
    interaction_id: str
    conversation_id: str | None
    labeller: str
    score: float
    informed: bool
    """Given with the judge's word in view."""


@dataclass(frozen=True)
class QueueCount:
    """How far people are with a queue."""

    total: int
    """Reviews whose interaction is still there."""
    with_verdict: int
    """Of these, how many somebody gave a verdict on."""
    left: int
    """Of these, how many wait for the person who asks."""
    verdicts: dict[str, int]
    """By labeller."""
    passes: dict[str, int]


class Reviews(Rows):
    """The queues for people, the anchors, and what curation referred."""

    def add(self, batch: Iterable[Review]) -> int:
        """Put interactions into queues; one that is in its queue already is left as it is. Returns how many were new."""
        return self.insert_all(reviews, batch)

    def answer(self, label: Label, verdict: Feedback | None = None) -> bool:
        """Note a person's answer with its verdict, both or neither.

        Returns:
            False where that person has answered this review before and not taken it back; then nothing is written.

        Raises:
            StoreError: the database failed, or holds feedback under the verdict's key that belongs to no label.
        """
        return in_one_transaction(self.engine, partial(_answer, label=label, verdict=verdict))

    def withdraw(self, review_id: str, labeller: str) -> bool:
        """Take an answer back: its feedback is deleted, and the person is asked again. False where there is none."""
        return in_one_transaction(self.engine, partial(_withdraw, review_id=review_id, labeller=labeller))

    def get(self, review_id: str) -> Reviewed | None:
        """A review with its answers."""
        answers = select(labels).where(labels.c.review_id == review_id).order_by(labels.c.created_at)
        with self.engine.connect() as connection:
            row = connection.execute(select(reviews).where(reviews.c.id == review_id)).first()
            given = tuple(from_row(Label, found) for found in connection.execute(answers))
        return None if row is None else Reviewed(from_row(Review, row), given)

    def verdict(self, label: Label) -> Feedback | None:
        """The feedback of an answer; None where the person passed or took it back."""
        if label.feedback_id is None:
            return None
        with self.engine.connect() as connection:
            row = connection.execute(select(feedback).where(feedback.c.id == label.feedback_id)).first()
        return None if row is None else from_row(Feedback, row)

    def newest_answer(self, task: str, queue: str, labeller: str) -> Label | None:
        """The answer that a person gave last in a queue, if it is not taken back."""
        query = select(labels).join(reviews, labels.c.review_id == reviews.c.id)
        query = query.where(_in(task, queue), labels.c.labeller == labeller, ~labels.c.withdrawn)
        with self.engine.connect() as connection:
            row = connection.execute(query.order_by(labels.c.created_at.desc(), labels.c.review_id.desc()).limit(1)).first()
        return None if row is None else from_row(Label, row)

    def waiting(self, task: str, queue: str, labeller: str, *, overlap: int, limit: int) -> list[Review]:
        """The next reviews for a person: not answered by them, and by fewer than `overlap` others; what they took back is first.

        What was drawn at random comes in one random order for all, so that at any time what has been answered is a random
        part of it. What was chosen comes as it was put in, what curation referred before the rest.
        """
        query, taken_back = _waiting(task, queue, labeller, overlap)
        chosen = (case((_is_referred(), 0), else_=1), reviews.c.created_at)
        order = chosen if queue in ("useful", "golden") else (func.substr(reviews.c.id, RANDOM_PART),)
        first = case((taken_back, 0), else_=1)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(first, *order, reviews.c.id).limit(limit)).all()
        return [from_row(Review, row) for row in rows]

    def count(self, task: str, queue: str, labeller: str, *, overlap: int) -> QueueCount:
        """How far people are with a queue."""
        there = select(reviews.c.id).where(_in(task, queue), _interaction_is_there())
        answered = labels.c.feedback_id.is_not(None)
        given = select(labels.c.labeller, func.count(labels.c.feedback_id), func.count())
        given = given.where(labels.c.review_id.in_(there), ~labels.c.withdrawn).group_by(labels.c.labeller)
        waiting, _ = _waiting(task, queue, labeller, overlap)
        verdicts: dict[str, int] = {}
        passes: dict[str, int] = {}
        with self.engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(there.subquery())).scalar_one()
            done = select(func.count(labels.c.review_id.distinct())).where(labels.c.review_id.in_(there), answered)
            with_verdict = connection.execute(done).scalar_one()
            left = connection.execute(select(func.count()).select_from(waiting.subquery())).scalar_one()
            for name, voted, every in connection.execute(given.order_by(labels.c.labeller)):
                verdicts[name], passes[name] = voted, every - voted
        return QueueCount(total, with_verdict, left, verdicts, passes)

    def scores(self, task: str, queue: str) -> list[ScoredReview]:
        """What each person scored in a queue, in the order it was given."""
        columns = (
            *(labels.c.review_id, reviews.c.interaction_id, interactions.c.conversation_id),
            *(labels.c.labeller, feedback.c.score, labels.c.informed),
        )
        query = select(*columns).join(reviews, labels.c.review_id == reviews.c.id)
        query = query.join(feedback, feedback.c.id == labels.c.feedback_id)
        query = query.join(interactions, interactions.c.id == reviews.c.interaction_id)
        query = query.where(_in(task, queue), feedback.c.score.is_not(None))
        with self.engine.connect() as connection:
            return [ScoredReview(*row) for row in connection.execute(query.order_by(labels.c.created_at, labels.c.review_id))]

    def of(self, task: str, queue: str) -> Iterator[Reviewed]:
        """A queue with its answers, oldest first."""
        answers = select(labels).join(reviews, labels.c.review_id == reviews.c.id)
        answers = answers.where(_in(task, queue)).order_by(labels.c.created_at)
        asked = select(reviews).where(_in(task, queue)).order_by(reviews.c.created_at, reviews.c.id)
        with self.engine.connect() as connection:
            given: dict[str, list[Label]] = {}
            for row in connection.execute(answers):
                given.setdefault(row.review_id, []).append(from_row(Label, row))
            for row in connection.execute(asked).all():
                yield Reviewed(from_row(Review, row), tuple(given.get(row.id, ())))

    def ids(self, task: str, queue: str) -> set[str]:
        """The interactions in a queue."""
        with self.engine.connect() as connection:
            return set(connection.execute(select(reviews.c.interaction_id).where(_in(task, queue))).scalars())


def _in(task: str, queue: str) -> ColumnElement[bool]:
    return and_(reviews.c.task == task, reviews.c.queue == queue)


def _is_referred() -> ColumnElement[bool]:
    other = reviews.alias()
    same = (other.c.task == reviews.c.task) & (other.c.interaction_id == reviews.c.interaction_id)
    return exists().where(same, other.c.queue == "referred")


def _interaction_is_there() -> ColumnElement[bool]:
    # Retention and erasure take interactions away from under their reviews.
    return exists().where(interactions.c.id == reviews.c.interaction_id)


def _waiting(task: str, queue: str, labeller: str, overlap: int) -> tuple[Select, ColumnElement[bool]]:
    """The reviews that wait for a person, and what says of one of them that this person took an answer back."""
    mine = and_(labels.c.review_id == reviews.c.id, labels.c.labeller == labeller)
    others = select(func.count(labels.c.feedback_id)).where(labels.c.review_id == reviews.c.id, labels.c.labeller != labeller)
    answered = exists().where(mine, ~labels.c.withdrawn)
    taken_back = exists().where(mine, labels.c.withdrawn)
    wanted = taken_back | (others.scalar_subquery() < overlap)
    return select(reviews).where(_in(task, queue), _interaction_is_there(), ~answered, wanted), taken_back


def _mine(review_id: str, labeller: str) -> ColumnElement[bool]:
    return and_(labels.c.review_id == review_id, labels.c.labeller == labeller)


def _answer(connection: Connection, label: Label, verdict: Feedback | None) -> bool:
    # The label goes first: where two write at once, the second waits here and then finds that it is too late.
    if not insert_new(connection, labels, [to_row(label)]):
        again = {"feedback_id": label.feedback_id, "withdrawn": False, "created_at": label.created_at}
        taken_back = _mine(label.review_id, label.labeller) & labels.c.withdrawn
        if connection.execute(update(labels).where(taken_back).values(again)).rowcount == 0:
            return False
    if verdict is not None and not insert_new(connection, feedback, arriving([verdict], label.created_at)):
        raise StoreError(
            f"feedback {verdict.idempotency_key!r} is in the store and belongs to no label; nothing was written. "
            "Delete that feedback, or label under another name"
        )
    return True


def _withdraw(connection: Connection, review_id: str, labeller: str) -> bool:
    mine = _mine(review_id, labeller) & ~labels.c.withdrawn
    label = connection.execute(select(labels).where(mine).with_for_update()).first()
    if label is None:
        return False
    if label.feedback_id is None and not label.informed:
        connection.execute(delete(labels).where(mine))  # who passes is not shown what the judge says
        return True
    taken_back = {"feedback_id": None, "withdrawn": True, "informed": True}
    if connection.execute(update(labels).where(mine).values(taken_back)).rowcount == 0:
        return False
    connection.execute(delete(feedback).where(feedback.c.id == label.feedback_id))
    return True
