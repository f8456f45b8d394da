"""What a judge has said of the answers of a window of time, and which other judges have: counted for a backfill."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, Text, cast, func, select

from continuum.store.interactions import scored_by
from continuum.store.reading import Filter, paged
from continuum.store.rows import Rows
from continuum.store.scores import JudgedBy
from continuum.store.tables import annotations, bodies, interactions

PAGE_ROWS = 5000


@dataclass(frozen=True, slots=True)
class Answered:
    """An interaction with an answer."""

    id: str
    judged: bool
    """Whether the judge has said something of it by the rubric."""


class Windows(Rows):
    """The answered interactions of a task that began in a span of time."""

    def answered(
        self, task: str, *, judge: str, rubric: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Answered]:
        """Each in the order of arrival, with whether the judge has judged it by the rubric; those without an answer are left out.

        Args:
            task: whose.
            judge: the judge's name.
            rubric: fingerprint of the criteria.
            since: the first moment that counts; None for all.
            until: the first that no longer does; None for none.
        """
        columns = (interactions.c.sequence, interactions.c.id, annotations.c.id.label("annotation"))
        query = select(*columns).select_from(interactions).join(bodies, bodies.c.hash == interactions.c.body)
        query = query.outerjoin(annotations, scored_by(judge, rubric))
        # Nothing that was answered is the JSON null.
        query = query.where(func.nullif(cast(bodies.c.response, Text), "null").is_not(None))
        query = Filter(task, since, until, status="ok").in_database(query)
        for rows in paged(self.engine, query, PAGE_ROWS):
            yield from (Answered(row.id, row.annotation is not None) for row in rows)

    def judged_by(self, task: str, *, since: datetime | None = None, until: datetime | None = None) -> list[JudgedBy]:
        """Whose selecting scores there are in a window, each judge and rubric once, who judged last first."""
        newest = func.max(annotations.c.created_at).label("at")
        query = self._selecting(select(annotations.c.judge, annotations.c.rubric, newest), task, since, until)
        with self.engine.connect() as connection:
            rows: Sequence = connection.execute(query.group_by(annotations.c.judge, annotations.c.rubric)).all()
        found = [JudgedBy(row.judge, row.rubric, None, row.at) for row in rows]
        return sorted(found, key=lambda one: (one.at, one.judge, one.rubric), reverse=True)

    def cost_usd(
        self, task: str, *, judge: str, rubric: str, since: datetime | None, until: datetime | None, after: datetime
    ) -> float:
        """US dollars that the stored judgements of a window cost which were made from some moment on."""
        query = select(func.coalesce(func.sum(annotations.c.cost_usd), 0.0)).select_from(interactions)
        query = query.join(annotations, scored_by(judge, rubric)).where(annotations.c.created_at >= after)
        with self.engine.connect() as connection:
            return float(connection.execute(Filter(task, since, until).in_database(query)).scalar_one())

    def last_costs(self, task: str, *, judge: str, limit: int = 500) -> list[float]:
        """US dollars of each of the last judgements of a task by a judge that cost something, the newest first."""
        query = select(annotations.c.cost_usd).where(annotations.c.task == task, annotations.c.judge == judge)
        query = query.where(annotations.c.cost_usd > 0).order_by(annotations.c.created_at.desc()).limit(limit)
        with self.engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def _selecting(self, query: Select, task: str, since: datetime | None, until: datetime | None) -> Select:
        query = query.select_from(interactions).join(annotations, annotations.c.interaction_id == interactions.c.id)
        return Filter(task, since, until).in_database(query).where(annotations.c.role == "selecting")
