"""The scores of one judge over a task, in few columns: what calibration and the watches read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select

from continuum.store.rows import Rows
from continuum.store.tables import annotations, interactions

Role = Literal["selecting", "second", "trial"]


@dataclass(frozen=True, slots=True)
class Scored:
    """What a judge made of one interaction."""

    interaction_id: str
    overall: float | None
    """None unless the status is ok."""
    status: str
    group: str
    """The conversation, or the interaction where it is in none."""
    started_at: datetime


@dataclass(frozen=True)
class JudgedBy:
    """Who judged, and by what."""

    judge: str
    rubric: str
    served_by: str | None
    at: datetime


class Scores(Rows):
    """What judges said, without their reasons."""

    def of(
        self,
        task: str,
        *,
        judge: str,
        rubric: str,
        role: Role = "selecting",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Scored]:
        """A judge's scores of the interactions that began in a span of time, by interaction id."""
        columns = (
            annotations.c.interaction_id,
            annotations.c.overall,
            annotations.c.status,
            interactions.c.conversation_id,
            interactions.c.started_at,
        )
        query = select(*columns).join(interactions, interactions.c.id == annotations.c.interaction_id)
        query = query.where(annotations.c.task == task, annotations.c.judge == judge, annotations.c.rubric == rubric)
        query = query.where(annotations.c.role == role)
        if since is not None:
            query = query.where(interactions.c.started_at >= since)
        if until is not None:
            query = query.where(interactions.c.started_at < until)
        with self.engine.connect() as connection:
            return [
                Scored(row[0], row[1], row[2], row[3] or row[0], row[4])
                for row in connection.execute(query.order_by(annotations.c.interaction_id))
            ]

    def judged_ids(self, task: str, *, since: datetime | None = None, valid: bool = False) -> list[str]:
        """The interactions that the selecting judges of a task have judged, each once, in the order of their ids.

        Args:
            task: whose.
            since: judged at this time or later.
            valid: only those with a score that counts.
        """
        query = select(annotations.c.interaction_id).distinct().where(annotations.c.task == task)
        query = query.where(annotations.c.role == "selecting")
        if since is not None:
            query = query.where(annotations.c.created_at >= since)
        if valid:
            query = query.where(annotations.c.status == "ok")
        with self.engine.connect() as connection:
            return list(connection.execute(query.order_by(annotations.c.interaction_id)).scalars())

    def newest_judge(self, task: str, role: Role = "selecting", *, judge: str | None = None) -> JudgedBy | None:
        """Who judged last in this role, or how this judge did last; None where nobody has."""
        columns = (annotations.c.judge, annotations.c.rubric, annotations.c.served_by, annotations.c.created_at)
        query = select(*columns).where(annotations.c.task == task, annotations.c.role == role)
        if judge is not None:
            query = query.where(annotations.c.judge == judge)
        with self.engine.connect() as connection:
            row = connection.execute(query.order_by(annotations.c.created_at.desc(), annotations.c.id.desc()).limit(1)).first()
        return None if row is None else JudgedBy(*row)
