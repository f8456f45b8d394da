"""What the judgements of a task cost: how many were given in a span of time, by whichever judge, and for how much."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from continuum.store.rows import Rows
from continuum.store.tables import annotations


@dataclass(frozen=True)
class JudgingCost:
    """Judgements and their price."""

    interactions: int
    """Interactions that were judged, each once however many judges there were."""
    cost_usd: float


class JudgingCosts(Rows):
    """The price of judgements, from the rows in which they stand; what was never asked of anybody cost nothing."""

    def of(self, task: str, *, after: datetime | None = None, until: datetime | None = None) -> JudgingCost:
        """What was judged of a task in a span of time.

        Args:
            task: whose interactions.
            after: judgements given later than this; None for from the first on.
            until: and not later than this; None for up to now.
        """
        judged = func.count(annotations.c.interaction_id.distinct())
        query = select(judged, func.coalesce(func.sum(annotations.c.cost_usd), 0.0)).where(annotations.c.task == task)
        if after is not None:
            query = query.where(annotations.c.created_at > after)
        if until is not None:
            query = query.where(annotations.c.created_at <= until)
        with self.engine.connect() as connection:
            count, cost = connection.execute(query).one()
        return JudgingCost(int(count), float(cost))
