"""What people and judges said of what was captured."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from sqlalchemy import Column, Connection, Text, and_, bindparam, case, cast, func, or_, select, update

from continuum.records import Annotation, Feedback, Interaction
from continuum.store.reading import Filter
from continuum.store.refusing import without_erased
from continuum.store.rows import BATCH_ROWS, Rows, arriving, from_row, in_batches, insert_new, inserting, to_row
from continuum.store.tables import annotations, feedback, interactions
from continuum.timespan import utc_now

Clock = Callable[[], datetime]


class FeedbackRows(Rows):
    """What people said; it may be here before its interaction is."""

    def add(self, batch: Iterable[Feedback], *, now: Clock = utc_now) -> int:
        """Store feedback; a repeated id or idempotency key is left as it is, and what was erased stays away.

        Returns:
            How many were new.
        """
        new = 0
        for some in in_batches(batch, BATCH_ROWS // 4):
            with self.engine.execution_options(write_first=True).begin() as connection:
                kept, _ = without_erased(connection, some)
                new += insert_new(connection, feedback, arriving(kept, now()))
        return new

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

    def of_task(self, task: str, *, kind: str = "explicit") -> Iterator[tuple[str, Feedback]]:
        """What was said of a task's interactions, each with the interaction's id, in no order of time; read in pages."""
        # Pages of feedback that are then looked up: a join would sort all of the task's interactions for each page.
        page = select(feedback).where(feedback.c.kind == kind).order_by(feedback.c.id).limit(BATCH_ROWS)
        after = ""
        while True:
            with self.engine.connect() as connection:
                rows = connection.execute(page.where(feedback.c.id > after)).all()
                named = {row.interaction_id for row in rows}
                of = self._of_task(connection, task, interactions.c.id, named)
                of |= self._of_task(connection, task, interactions.c.provider_response_id, named - of.keys())
            for row in rows:
                if row.interaction_id in of:
                    yield of[row.interaction_id], from_row(Feedback, row)
            if len(rows) < BATCH_ROWS:
                return
            after = rows[-1].id

    def _of_task(self, connection: Connection, task: str, name: Column[str], named: Collection[str]) -> dict[str, str]:
        """Those of the names that are a task's interactions, with their ids."""
        query = select(name, interactions.c.id).where(name.in_(named), interactions.c.task == task)
        return {row[0]: row[1] for row in connection.execute(query)} if named else {}

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


@dataclass(frozen=True)
class Standing:
    """What a judge has said of a task's answered interactions by a rubric, counted."""

    statuses: dict[str, int]
    scores: dict[str, int]
    """Overall scores by the whole one they are nearest to, halves up: from "1" to "5"."""
    unasked: int
    """Scores that were given without a call."""


class Annotations(Rows):
    """What judges said: one row for an interaction, a judge and a rubric."""

    def add(self, batch: Iterable[Annotation]) -> int:
        """Store annotations; one that this judge already gave by this rubric is left as it is. Returns how many were new."""
        return self.insert_all(annotations, batch)

    def standing(
        self,
        task: str,
        *,
        judge: str,
        rubric: str,
        since: datetime | None = None,
        until: datetime | None = None,
        unasked: str = "not asked: ",
    ) -> Standing:
        """Count what a judge has said.

        Args:
            task: of whose interactions.
            judge: the judge's name.
            rubric: fingerprint of the criteria.
            since: of interactions that began then or later; None for all.
            until: and before this; None for all.
            unasked: what the reasons of a score begin with that nobody was asked for.
        """
        nearest = case(*((annotations.c.overall < whole + 0.5, whole) for whole in (1, 2, 3, 4)), else_=5)
        begins = cast(annotations.c.reasons, Text).contains(f': "{unasked}', autoescape=True)
        # Who was asked says so, in models that name themselves; a reason that only reads like ours does not count then.
        free = case((and_(annotations.c.served_by.is_(None), begins), 1), else_=0)
        bare = annotations.c.overall.is_(None).label("bare")
        kinds = (annotations.c.status.label("said"), nearest.label("nearest"), bare, free.label("free"))
        query = select(*kinds, func.count().label("rows")).group_by(*(kind.name for kind in kinds))
        query = query.join(interactions, interactions.c.id == annotations.c.interaction_id)
        query = query.where(annotations.c.judge == judge, annotations.c.rubric == rubric)
        query = Filter(task, since, until, status="ok").in_database(query)
        statuses, scores, free_of_calls = Counter[str](), Counter[str](), 0
        with self.engine.connect() as connection:
            for row in connection.execute(query):
                statuses[row.said] += row.rows
                free_of_calls += row.free * row.rows
                if not row.bare:
                    scores[str(row.nearest)] += row.rows
        return Standing(dict(statuses), dict(scores), free_of_calls)

    def of(self, ids: Iterable[str]) -> dict[str, Annotation]:
        """The newest annotation of each interaction by a judge whose scores select, by interaction id."""
        newest: dict[str, Annotation] = {}
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                query = (
                    select(annotations)
                    .where(annotations.c.interaction_id.in_(batch), annotations.c.role == "selecting")
                    .order_by(annotations.c.created_at, annotations.c.id)
                )
                for row in connection.execute(query):
                    newest[row.interaction_id] = from_row(Annotation, row)
        return newest

    def select_by(self, task: str, *, judge: str, rubric: str, now: Clock = utc_now) -> int:
        """Let what a judge was only tried for by a rubric select from now on; returns how many annotations that is.

        They are as new as the decision: of what several rubrics say of an interaction, the newest selects.
        """
        of = and_(annotations.c.task == task, annotations.c.judge == judge, annotations.c.rubric == rubric)
        tried = and_(of, annotations.c.role == "trial")
        with self.engine.connect() as connection:
            if connection.execute(select(annotations.c.id).where(tried).limit(1)).first() is None:
                return 0  # As nearly always; nobody is kept from writing for it.
        with self.engine.begin() as connection:
            return connection.execute(update(annotations).where(tried).values(role="selecting", created_at=now())).rowcount

    def count(self, task: str) -> int:
        """How many annotations a task has."""
        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).where(annotations.c.task == task)).scalar_one()


def insert_annotations(connection: Connection, batch: Iterable[Annotation]) -> set[str]:
    """Insert annotations in a transaction of the caller's; returns the ids of those that were new.

    What is said of an interaction that was erased meanwhile is not stored.
    """
    new, statement = set[str](), NEW_ONES[connection.dialect.name]
    # In one order for all processes, so that two that insert the same do not wait for each other.
    for some in in_batches(sorted(map(to_row, batch), key=itemgetter("interaction_id")), BATCH_ROWS // 4):
        there = set(connection.execute(THERE, {"ids": [row["interaction_id"] for row in some]}).scalars())
        if rows := [row for row in some if row["interaction_id"] in there]:
            new.update(connection.execute(statement, rows).scalars())
    return new


THERE = select(interactions.c.id).where(interactions.c.id.in_(bindparam("ids", expanding=True)))
NEW_ONES = {name: insert.on_conflict_do_nothing().returning(annotations.c.id) for name, insert in inserting(annotations).items()}
