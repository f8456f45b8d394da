"""What candidates answered in the shadow: a second answer to an interaction, which nobody was given."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field
from sqlalchemy import func, select

from continuum.records import Message, Record
from continuum.store.rows import BATCH_ROWS, Rows, from_row
from continuum.store.serving_tables import shadow_answers
from continuum.timespan import utc_now


class ShadowAnswer(Record):
    """A candidate's answer to what somebody else answered."""

    deployment_id: str
    interaction_id: str
    """Whose question it is; the answer that was given stands there."""
    task: str
    answer: Message | None = None
    status: Literal["ok", "error"] = "ok"
    error: str | None = None
    latency_ms: float | None = Field(default=None, ge=0)
    """Until the whole answer was there; shadows are never streamed."""
    created_at: AwareDatetime = Field(default_factory=utc_now)


class ShadowAnswers(Rows):
    """The answers of all deployments."""

    def add(self, answers: Iterable[ShadowAnswer]) -> int:
        """Store answers; the count of those that were new: the first answer to a question stays."""
        return self.insert_all(shadow_answers, answers)

    def of(self, deployment_id: str, *, since: datetime | None = None) -> Iterator[ShadowAnswer]:
        """A deployment's answers in the order of their interactions' ids, read page by page.

        Args:
            deployment_id: whose.
            since: only those given at or after this time.
        """
        query = select(shadow_answers).where(shadow_answers.c.deployment_id == deployment_id)
        if since is not None:
            query = query.where(shadow_answers.c.created_at >= since)
        page = query.order_by(shadow_answers.c.interaction_id).limit(BATCH_ROWS)
        last = ""
        while True:
            with self.engine.connect() as connection:
                rows = connection.execute(page.where(shadow_answers.c.interaction_id > last)).all()
            yield from (from_row(ShadowAnswer, row) for row in rows)
            if len(rows) < BATCH_ROWS:
                return
            last = rows[-1].interaction_id

    def counts(self, deployment_id: str) -> dict[str, int]:
        """How many answers of each status a deployment has."""
        of_it = shadow_answers.c.deployment_id == deployment_id
        query = select(shadow_answers.c.status, func.count().label("answers")).where(of_it).group_by(shadow_answers.c.status)
        with self.engine.connect() as connection:
            return {row.status: row.answers for row in connection.execute(query)}
