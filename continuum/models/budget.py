"""A hard limit on spending: reserve an upper bound, call, settle with what it cost.

Money is counted in whole micro-dollars, rounded up. A call that does not fit now but may once others have settled waits for them;
a call whose outcome nobody knows (a timeout, a broken connection, a cancellation under way) is booked in full.
The limit holds as far as the endpoint keeps to the token limit it is given and the price table is right.
"""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from continuum.errors import ConfigurationError, JudgeError
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.policy import Purpose, TaskPolicy
    from continuum.store.accounts import AccountKey
    from continuum.store.database import Store


class BudgetExhausted(JudgeError):
    """The next call does not fit the budget and never will; those who run a batch turn this into a result."""


class Reservation:
    """Money set aside for one call that is about to be made."""

    def __init__(self, micro_usd: int) -> None:
        self.micro_usd = micro_usd
        self.outcome: int | None = None
        """Micro-dollars the call cost; None while nobody knows, and then the whole reservation counts."""

    def settle(self, cost_usd: float) -> None:
        """The call came back and cost this much."""
        self.outcome = in_micro_usd(cost_usd)

    def release(self) -> None:
        """The call was not made, or was refused without charge."""
        self.outcome = 0


@dataclass(frozen=True)
class Account:
    """Where a task's money is booked: one of its accounts, shared by all processes, and who books there."""

    store: "Store"
    key: "AccountKey"
    worker: str
    limit: int | None
    """Micro-dollars of the account's period; None for no limit."""


class Budget:
    """What one run may spend, shared by all its concurrent calls, and the task's account that it spends from.

    Args:
        limit_usd: the most that this run may spend; None for no limit of its own.
        account: the task's account; its limit holds besides, over all processes. None where no task pays.
    """

    def __init__(self, limit_usd: float | None = None, *, account: Account | None = None) -> None:
        if limit_usd is not None and not (math.isfinite(limit_usd) and limit_usd >= 0):
            raise ConfigurationError(f"a budget of {limit_usd} US dollars is no limit; give zero or more, or None for none")
        # Rounded down, so that the limit in micro-dollars is never above the one in dollars.
        self.limit = None if limit_usd is None else int(limit_usd * 1_000_000 + 1e-6)
        self.account = account
        self.spent = 0
        self.reserved = 0
        self.exhausted = False
        """Whether a call was turned away for lack of money."""
        self._settled = asyncio.Event()

    @classmethod
    def of_task(
        cls,
        store: "Store",
        policy: "TaskPolicy",
        purpose: "Purpose",
        *,
        limit_usd: float | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> "Budget":
        """What may be spent for a purpose of a task: its share of the policy's budget in this period.

        Args:
            store: where the account is.
            policy: the task's, for the budget, the period and the share.
            purpose: what the money is for.
            limit_usd: a limit of this run besides.
            now: the clock, which says which period it is.
        """
        from continuum.store.accounts import AccountKey

        budget_usd = policy.judge.budget_usd
        limit = None if budget_usd is None else int(budget_usd * getattr(policy.judge.shares, purpose) * 1_000_000 + 1e-6)
        key = AccountKey(policy.task, purpose, period_of(policy.judge.budget_period, now()))
        return cls(limit_usd, account=Account(store, key, f"{os.getpid()}", limit))

    @property
    def limited(self) -> bool:
        """Whether there is a limit that calls must keep to, and so must have a price."""
        return self.limit is not None or (self.account is not None and self.account.limit is not None)

    @property
    def spent_usd(self) -> float:
        """US dollars spent so far."""
        return self.spent / 1_000_000

    @asynccontextmanager
    async def reserve(self, bound_usd: float) -> AsyncIterator[Reservation]:
        """Set money aside while the block makes its call; waits for other calls to settle where that may make room.

        Args:
            bound_usd: the most the call can cost.

        Raises:
            BudgetExhausted: it would not fit even if every call under way turned out to be free.
        """
        reservation = Reservation(in_micro_usd(bound_usd))
        await self._take(reservation.micro_usd)
        try:
            yield reservation
        finally:
            self._settle(reservation)

    async def _take(self, amount: int) -> None:
        while self.limit is not None and self.spent + self.reserved + amount > self.limit:
            if self.spent + amount > self.limit:
                self.exhausted = True
                raise BudgetExhausted(
                    f"${self.spent_usd:.4f} of a budget of ${self.limit / 1e6:.4f} are spent and the next call may cost "
                    f"${amount / 1e6:.4f}; raise cost_budget_usd to go on"
                )
            await self._settled.wait()
        if self.account is not None:
            account = self.account
            if not account.store.accounts.reserve(account.key, account.worker, amount, limit_micro_usd=account.limit):
                self.exhausted = True
                raise BudgetExhausted("the task's budget is spent")
        self.reserved += amount

    def _settle(self, reservation: Reservation) -> None:
        cost = reservation.micro_usd if reservation.outcome is None else reservation.outcome
        self.reserved -= reservation.micro_usd
        self.spent += cost
        self._settled.set()
        self._settled = asyncio.Event()
        if self.account is not None:
            self.account.store.accounts.settle(
                self.account.key,
                self.account.worker,
                reserved_micro_usd=reservation.micro_usd,
                spent_micro_usd=cost,
                unknown_micro_usd=cost if reservation.outcome is None else 0,
            )


def period_of(length: str, at: datetime) -> str:
    """The first day of the period that a moment lies in."""
    day = at.astimezone(UTC).date()
    if length == "month":
        day = day.replace(day=1)
    elif length == "week":
        day -= timedelta(days=day.weekday())
    return day.isoformat()


def in_micro_usd(dollars: float) -> int:
    """Whole micro-dollars, rounded up; what binary fractions add below a millionth of one is not a cost."""
    return math.ceil(dollars * 1_000_000 - 1e-6)
