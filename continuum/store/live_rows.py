"""What a deployment served, in few columns: what the watch counts and draws its samples from."""

from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, Text, cast, or_, select

from continuum.store.rows import Rows
from continuum.store.tables import feedback, interactions


@dataclass(frozen=True, slots=True)
class ServedRow:
    """One call that was served, without what was said in it."""

    id: str
    conversation_id: str | None
    user_id: str | None
    """A keyed hash, as everywhere in the store."""
    variant: str | None
    model: str | None
    status: str
    """`ok`, `error` or `cancelled`."""
    started_at: datetime
    latency_ms: float | None
    first_chunk_ms: float | None
    tags: dict[str, str]
    cost_usd: float | None = None


COLUMNS = (
    interactions.c.id,
    interactions.c.conversation_id,
    interactions.c.user_id,
    interactions.c.variant,
    interactions.c.model,
    interactions.c.status,
    interactions.c.started_at,
    interactions.c.latency_ms,
    interactions.c.time_to_first_chunk_ms.label("first_chunk_ms"),
    cast(interactions.c.tags, Text).label("tags"),
    interactions.c.cost_usd,
)


class LiveRows(Rows):
    """Calls that were served, and what people said of them."""

    def of(self, deployment_id: str, *, until: datetime | None = None, most: int) -> list[ServedRow]:
        """The calls of a deployment in the order in which they began; where there are more than `most`, the newest.

        Args:
            deployment_id: whose.
            until: only calls that began before; None for all.
            most: how many at most.
        """
        chosen = interactions.c.deployment_id == deployment_id
        return self._served(chosen if until is None else chosen & (interactions.c.started_at < until), most)

    def between(self, task: str, *, since: datetime, until: datetime | None = None, most: int) -> list[ServedRow]:
        """A task's calls of a span of time, whoever answered, in the order in which they began; of too many the newest."""
        chosen = (interactions.c.task == task) & (interactions.c.started_at >= since)
        return self._served(chosen if until is None else chosen & (interactions.c.started_at < until), most)

    def feedback(self, deployment_id: str) -> list[tuple[str, float]]:
        """Interaction id and score, 1 to 5, of what people said of a deployment's calls, oldest first."""
        named = or_(
            feedback.c.interaction_id == interactions.c.id, feedback.c.interaction_id == interactions.c.provider_response_id
        )
        query = (
            select(interactions.c.id, feedback.c.score)
            .join(feedback, named)
            .where(interactions.c.deployment_id == deployment_id, feedback.c.kind == "explicit", feedback.c.score.is_not(None))
            .order_by(feedback.c.recorded_at, feedback.c.id)
        )
        with self.engine.connect() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def _served(self, chosen: ColumnElement[bool], most: int) -> list[ServedRow]:
        query = select(*COLUMNS).where(chosen).order_by(interactions.c.sequence.desc()).limit(most)
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        served = [ServedRow(**{**row._mapping, "tags": orjson.loads(row.tags)}) for row in rows]
        return sorted(served, key=lambda row: (row.started_at, row.id))
