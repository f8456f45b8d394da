"""What models answered to golden items and probes, and what people said of such answers; both go with their interaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.dialects import postgresql, sqlite

from continuum.records import Message
from continuum.store.bodies import plain_message
from continuum.store.guard_tables import golden_answers, golden_labels
from continuum.store.refusing import erased_among
from continuum.store.rows import Rows, in_batches, insert_new
from continuum.store.tables import dataset_items, interactions
from continuum.store.writing import in_one_transaction


@dataclass(frozen=True)
class KeptAnswer:
    """A row of `golden_answers`."""

    key: str
    """A hash of the model's files, how it was asked, and the conversation."""
    task: str
    interaction_id: str | None
    """The golden item's; None for a probe, which is nobody's."""
    model: str
    """A checkpoint's id, or the base model's name."""
    answer: Message | None
    """None where the model gave none."""
    created_at: datetime


@dataclass(frozen=True)
class AnswerLabel:
    """A row of `golden_labels`: what one person said of one answer."""

    answer: str
    """A hash of the conversation and the answer."""
    metric: str
    labeller: str
    task: str
    interaction_id: str
    score: float
    """From 0 to 1."""
    created_at: datetime


class GoldenAnswers(Rows):
    """Answers by key. The first that is kept stays: two processes that ask the same go on with the same answer."""

    def of(self, keys: Iterable[str]) -> dict[str, Message | None]:
        """What is kept under these keys; those under which nothing is are left out."""
        found: dict[str, Message | None] = {}
        with self.engine.connect() as connection:
            for batch in in_batches(keys):
                query = select(golden_answers.c.key, golden_answers.c.answer).where(golden_answers.c.key.in_(batch))
                for key, said in connection.execute(query):
                    found[key] = None if said is None else Message.model_validate(said)
        return found

    def keep(self, answers: Iterable[KeptAnswer], *, seen: Collection[str] = ()) -> int:
        """Keep answers, each batch in one transaction; returns how many were new.

        Args:
            answers: what to keep; of a key that is there already the first answer stays.
            seen: interactions that were in the store when their answers were asked for. Nothing is kept of one that was erased
                since, nor of a dataset's member whose interaction is gone.

        Raises:
            StoreError: the database failed; nothing of the batch is kept.
        """
        new = 0
        for batch in in_batches(answers):
            new += in_one_transaction(self.engine, partial(_keep, batch=batch, seen=frozenset(seen)))
        return new

    def there(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids that are interactions of the store."""
        with self.engine.connect() as connection:
            return {one for batch in in_batches(ids) for one in connection.execute(_interactions(batch)).scalars()}

    def count(self, task: str, model: str | None = None) -> int:
        """How many answers are kept of a task, or of one of its models."""
        query = select(func.count()).select_from(golden_answers).where(golden_answers.c.task == task)
        if model is not None:
            query = query.where(golden_answers.c.model == model)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()


class GoldenLabels(Rows):
    """What people said of answers to golden items, not knowing whose they are."""

    def put(self, labels: Iterable[AnswerLabel], *, brought: Collection[str] = ()) -> set[str]:
        """Write what people say now in the place of what the same people said before of the same answers.

        Args:
            labels: what they say.
            brought: ids behind which no interaction ever stood.

        Returns:
            The interactions nothing is written of, because they were erased: members of a dataset that are gone.

        Raises:
            StoreError: the database failed; nothing of the batch is written.
        """
        gone: set[str] = set()
        # One order for all writers, so that two of them never wait for each other.
        newest = {(label.answer, label.metric, label.labeller): label for label in labels}
        for batch in in_batches([newest[key] for key in sorted(newest)]):
            gone |= in_one_transaction(self.engine, partial(_put, batch=batch, brought=frozenset(brought)))
        return gone

    def of(self, answers: Iterable[str], metric: str) -> dict[str, dict[str, float]]:
        """Scores from 0 to 1 by a metric: hash of the answer to labeller to score."""
        found: dict[str, dict[str, float]] = defaultdict(dict)
        columns = (golden_labels.c.answer, golden_labels.c.labeller, golden_labels.c.score)
        with self.engine.connect() as connection:
            for batch in in_batches(answers):
                query = select(*columns).where(golden_labels.c.answer.in_(batch), golden_labels.c.metric == metric)
                for answer, labeller, score in connection.execute(query.order_by(golden_labels.c.labeller)):
                    found[answer][labeller] = score
        return dict(found)

    def count(self, task: str) -> int:
        """How many scores people have given to answers of a task."""
        query = select(func.count()).select_from(golden_labels).where(golden_labels.c.task == task)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()


def _keep(connection: Connection, *, batch: Sequence[KeptAnswer], seen: frozenset[str]) -> int:
    gone = _gone(connection, {one.interaction_id for one in batch if one.interaction_id is not None}, seen)
    rows = [
        {
            "key": one.key,
            "task": one.task,
            "interaction_id": one.interaction_id,
            "model": one.model,
            "answer": None if one.answer is None else plain_message(one.answer),
            "created_at": one.created_at,
        }
        for one in sorted(batch, key=lambda one: one.key)
        if one.interaction_id not in gone
    ]
    return insert_new(connection, golden_answers, rows)


def _put(connection: Connection, *, batch: Sequence[AnswerLabel], brought: frozenset[str]) -> set[str]:
    gone = _gone(connection, {one.interaction_id for one in batch} - brought, frozenset())
    rows = [vars(one) for one in batch if one.interaction_id not in gone]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(golden_labels)
    said = {name: statement.excluded[name] for name in ("task", "interaction_id", "score", "created_at")}
    if rows:
        connection.execute(statement.on_conflict_do_update(index_elements=list(golden_labels.primary_key), set_=said), rows)
    return gone


def _gone(connection: Connection, ids: set[str], seen: frozenset[str]) -> set[str]:
    """Those of the ids that were erased: seen before, members of a dataset, or refused, and no interactions any more.

    An item of a golden set that came from elsewhere, as a file, is neither.
    """
    # On Postgres the rows are held until the transaction ends, so that none is erased between this look and what is written
    # after it; on SQLite a transaction that writes is alone.
    held = _interactions(ids).with_for_update(read=True, key_share=True)
    missing = ids - set(connection.execute(held).scalars())
    if not missing:
        return set()
    members = select(dataset_items.c.interaction_id).where(dataset_items.c.interaction_id.in_(missing))
    return (missing & seen) | set(connection.execute(members).scalars()) | erased_among(connection, missing)


def _interactions(ids: Collection[str]) -> Select[str]:
    return select(interactions.c.id).where(interactions.c.id.in_(ids)).order_by(interactions.c.id)
