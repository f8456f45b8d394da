"""Whether a task's money is in order: nothing spent beyond a purpose's share, nothing held by processes that are gone."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

from continuum.annotation.trust import Spending, spending
from continuum.models.budget import period_of
from continuum.policy import TaskPolicy
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store


@dataclass(frozen=True)
class Money:
    """A task's accounts of one period."""

    period: str
    """The first day of it."""
    limit_usd: float | None
    """The task's budget for the period; None where it has none."""
    rows: tuple[Spending, ...]
    dead_usd: float
    """Reserved by processes that are dead, over all periods."""

    @classmethod
    def of(cls, store: "Store", policy: TaskPolicy, *, now: Callable[[], datetime] = utc_now) -> Self:
        """Read it from the store.

        Raises:
            StoreError: the store cannot be read.
        """
        at = now()
        rows = spending(store, policy, now=lambda: at)
        dead = store.workers.held_by_dead(policy.task, now=lambda: at)
        return cls(period_of(policy.judge.budget_period, at), policy.judge.budget_usd, tuple(rows), dead / 1e6)

    @property
    def committed_usd(self) -> float:
        """Spent and reserved, for all purposes."""
        return sum(row.spent_usd + row.reserved_usd for row in self.rows)

    @property
    def beyond(self) -> tuple[Spending, ...]:
        """The purposes that have spent and reserved more than their share."""
        return tuple(row for row in self.rows if row.limit_usd is not None and _micro(row) > int(row.limit_usd * 1e6 + 1e-6))

    @property
    def kept(self) -> bool:
        """Whether all is in order."""
        return not self.beyond and not self.dead_usd

    def words(self) -> str:
        """How it stands, in a sentence."""
        of = "no budget is set" if self.limit_usd is None else f"the budget is ${self.limit_usd:.2f}"
        told = [f"${self.committed_usd:.4f} are spent or reserved in the period from {self.period}, {of}"]
        told += [
            f"{row.purpose} has taken ${row.spent_usd + row.reserved_usd:.4f} of its ${row.limit_usd:.4f}: the budget was "
            "lowered since, or a call cost more than its price says; look at the endpoint's bill, then raise judge.budget_usd"
            for row in self.beyond
        ]
        if self.dead_usd:
            told.append(f"dead processes hold ${self.dead_usd:.4f} reserved, which the next judging books as spent")
        return "; ".join(told)


def _micro(row: Spending) -> int:
    return round((row.spent_usd + row.reserved_usd) * 1e6)
