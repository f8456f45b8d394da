"""What was captured, and what people and judges said of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import Select, and_, func, or_, select

from continuum.records import Annotation, Feedback, Interaction
from continuum.store.rows import Rows, from_row, in_batches
from continuum.store.tables import annotations, feedback, interactions


class Interactions(Rows):
    """Captured calls, in the order they reached the store."""

    def add(self, batch: Iterable[Interaction]) -> int:
        """Store interactions; one whose id is already there is left as it is. Returns how many were new."""
        return self.insert_all(interactions, batch)

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
        scored = and_(
            annotations.c.interaction_id == interactions.c.id, annotations.c.judge == judge, annotations.c.rubric == rubric
        )
        query = (
            select(interactions)
            .outerjoin(annotations, scored)
            .where(interactions.c.task == task, interactions.c.status == "ok", annotations.c.id.is_(None))
        )
        if since is not None:
            query = query.where(interactions.c.started_at >= since)
        return self._pages(query)

    def count(self, task: str, *, after: int = 0, through: int | None = None, since: datetime | None = None) -> int:
        """How many of a task's interactions lie above the sequence number `after`, up to `through` where one is given."""
        query = select(func.count()).where(interactions.c.task == task, interactions.c.sequence > after)
        if through is not None:
            query = query.where(interactions.c.sequence <= through)
        if since is not None:
            query = query.where(interactions.c.started_at >= since)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()

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
