"""What a judge said of the frozen anchors, each time it was asked."""

from typing import Any

from pydantic import AwareDatetime, Field
from sqlalchemy import select

from continuum.ids import new_id
from continuum.records import Record
from continuum.store.judging_tables import anchor_rounds
from continuum.store.rows import Rows, from_row
from continuum.timespan import utc_now


class AnchorRound(Record):
    """One time that the frozen anchors were judged."""

    id: str = Field(default_factory=new_id)
    task: str
    judge: str
    version: str
    """What the judge was: its model, prompt and sampling."""
    rubric: str
    served_by: str | None = None
    """The models that answered, by their own account, each once; None where the endpoint does not say."""
    scores: dict[str, float]
    """Interaction id to overall score; an anchor without a valid judgement is not there."""
    evidence: dict[str, Any] = {}
    """What it was compared with, and how the scores moved."""
    alarm: bool = False
    """The judge is not the one it was."""
    created_at: AwareDatetime = Field(default_factory=utc_now)


class AnchorRounds(Rows):
    """The rounds of all tasks."""

    def add(self, done: AnchorRound) -> None:
        """Store a round; the same id again changes nothing."""
        self.insert_all(anchor_rounds, [done])

    def of(self, task: str, *, rubric: str | None = None) -> list[AnchorRound]:
        """A task's rounds, by one rubric or by all, oldest first."""
        query = select(anchor_rounds).where(anchor_rounds.c.task == task)
        if rubric is not None:
            query = query.where(anchor_rounds.c.rubric == rubric)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(anchor_rounds.c.created_at, anchor_rounds.c.id))
            return [from_row(AnchorRound, row) for row in rows]

    def latest(self, task: str, *, judge: str | None = None, rubric: str | None = None) -> AnchorRound | None:
        """The newest round of a task, of one judge and rubric or of any; None before the first."""
        query = select(anchor_rounds).where(anchor_rounds.c.task == task)
        if judge is not None:
            query = query.where(anchor_rounds.c.judge == judge)
        if rubric is not None:
            query = query.where(anchor_rounds.c.rubric == rubric)
        query = query.order_by(anchor_rounds.c.created_at.desc(), anchor_rounds.c.id.desc()).limit(1)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else from_row(AnchorRound, row)
