"""What was captured, and what people and judges said of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, or_, select, update

from continuum.records import Annotation, Feedback, Interaction
from continuum.store.rows import BATCH_ROWS, Rows, from_row, in_batches, insert_new, to_row
from continuum.store.tables import annotations, feedback, interactions

COMPLETED = (
    "deployment_id",
    "variant",
    "provider_response_id",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "time_to_first_chunk_ms",
    "conversation_id",
    "user_id",
    "parent_id",
    "model",
)
"""What one door may know and the other not."""
SEEN = ("messages", "response", "status", "error", "latency_ms", "tags", "source")
"""What the decorator saw better: it knows the whole call, of which the gateway served a part."""


class Interactions(Rows):
    """Captured calls, in the order they reached the store."""

    def add(self, batch: Iterable[Interaction]) -> int:
        """Store interactions and return how many were new; one whose id is already there is left as it is.

        The exception is a call that came by two doors, the decorator and the gateway: it is one row, the same whichever came
        first. What the decorator saw stands, and what only the gateway knows is filled in.
        """
        new = 0
        for records in in_batches(batch, BATCH_ROWS // 4):
            rows = [to_row(record) for record in records]
            with self.engine.begin() as connection:
                added = insert_new(connection, interactions, rows)
                if added < len(rows):
                    merge(connection, rows)
            new += added
        return new

    def get(self, interaction_id: str) -> Interaction | None:
        """One interaction, by our id or by the provider's response id."""
        by_id = or_(interactions.c.id == interaction_id, interactions.c.provider_response_id == interaction_id)
        with self.engine.connect() as connection:
            row = connection.execute(select(interactions).where(by_id).limit(1)).first()
        return None if row is None else from_row(Interaction, row)

    def get_many(self, ids: Iterable[str]) -> dict[str, Interaction]:
        """The interactions among these ids that are in the store, by id."""
        found: dict[str, Interaction] = {}
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                for row in connection.execute(select(interactions).where(interactions.c.id.in_(batch))):
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
        query = select(interactions).where(interactions.c.task == task)
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
        query = select(interactions).outerjoin(annotations, scored_by(judge, rubric))
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


def scored_by(judge: str, rubric: str) -> ColumnElement[bool]:
    """Joins an interaction to what this judge said of it by this rubric."""
    return and_(annotations.c.interaction_id == interactions.c.id, annotations.c.judge == judge, annotations.c.rubric == rubric)


def merge(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Bring what these rows know into the rows of the same ids; rows that were just inserted do not change."""
    theirs = {name: bindparam(f"new_{name}", type_=interactions.c[name].type) for name in (*COMPLETED, *SEEN)}
    same = interactions.c.id == bindparam("new_id")
    fill = (
        update(interactions).where(same).values({name: func.coalesce(interactions.c[name], theirs[name]) for name in COMPLETED})
    )
    seen = {name: theirs[name] for name in SEEN}
    known = {name: func.coalesce(theirs[name], interactions.c[name]) for name in COMPLETED}
    replace = update(interactions).where(same, interactions.c.source == "gateway").values(seen | known)
    values = [{f"new_{name}": row[name] for name in ("id", *COMPLETED, *SEEN)} for row in rows]
    captured = [value for value in values if value["new_source"] == "capture"]
    completing = [value for value in values if value["new_source"] in {"capture", "gateway"}]
    if captured:
        connection.execute(replace, captured)
    if completing:
        connection.execute(fill, completing)


class FeedbackRows(Rows):
    """What people said; it may be here before its interaction is."""

    def add(self, batch: Iterable[Feedback]) -> int:
        """Store feedback; a repeated id or idempotency key is left as it is. Returns how many were new."""
        return self.insert_all(feedback, batch)

    def of(self, interactions_: Iterable[Interaction]) -> dict[str, list[Feedback]]:
        """Feedback by interaction id, oldest first; feedback given to a provider's response id is found too."""
        names: dict[str, str] = {}
        for interaction in interactions_:
            names[interaction.id] = interaction.id
            if interaction.provider_response_id:
                names[interaction.provider_response_id] = interaction.id
        found: dict[str, list[Feedback]] = defaultdict(list)
        with self.engine.connect() as connection:
            for batch in in_batches(names):
                query = (
                    select(feedback).where(feedback.c.interaction_id.in_(batch)).order_by(feedback.c.recorded_at, feedback.c.id)
                )
                for row in connection.execute(query):
                    found[names[row.interaction_id]].append(from_row(Feedback, row))
        return dict(found)

    def count(self, task: str) -> int:
        """How many of a task's interactions a person has scored or corrected."""
        named = or_(
            feedback.c.interaction_id == interactions.c.id, feedback.c.interaction_id == interactions.c.provider_response_id
        )
        verdict = or_(feedback.c.score.is_not(None), feedback.c.correction.is_not(None))
        query = (
            select(func.count(interactions.c.id.distinct()))
            .join(feedback, named)
            .where(interactions.c.task == task, feedback.c.kind == "explicit", verdict)
        )
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def verdicts(self, task: str) -> tuple[int, int, int]:
        """How many of a task's interactions people score 4 or better, 2 or worse, and in between; the newest score counts."""
        named = or_(
            feedback.c.interaction_id == interactions.c.id, feedback.c.interaction_id == interactions.c.provider_response_id
        )
        newest_first = (feedback.c.recorded_at.desc(), feedback.c.id.desc())
        scores = (
            select(feedback.c.score, func.row_number().over(partition_by=interactions.c.id, order_by=newest_first).label("age"))
            .select_from(interactions)
            .join(feedback, named)
            .where(interactions.c.task == task, feedback.c.kind == "explicit", feedback.c.score.is_not(None))
            .subquery()
        )
        good = func.count(case((scores.c.score >= 4, 1)))
        bad = func.count(case((scores.c.score <= 2, 1)))
        query = select(good, bad, func.count() - good - bad).where(scores.c.age == 1)
        with self.engine.connect() as connection:
            found = connection.execute(query).one()
        return found[0], found[1], found[2]


class Annotations(Rows):
    """What judges said: one row for an interaction, a judge and a rubric."""

    def add(self, batch: Iterable[Annotation]) -> int:
        """Store annotations; one that this judge already gave by this rubric is left as it is. Returns how many were new."""
        return self.insert_all(annotations, batch)

    def of(self, ids: Iterable[str]) -> dict[str, Annotation]:
        """The newest annotation of each interaction, by interaction id."""
        newest: dict[str, Annotation] = {}
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                query = (
                    select(annotations)
                    .where(annotations.c.interaction_id.in_(batch))
                    .order_by(annotations.c.created_at, annotations.c.id)
                )
                for row in connection.execute(query):
                    newest[row.interaction_id] = from_row(Annotation, row)
        return newest

    def count(self, task: str) -> int:
        """How many annotations a task has."""
        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).where(annotations.c.task == task)).scalar_one()
