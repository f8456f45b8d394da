"""A hard limit on spending: reserve an upper bound, call, settle with what it cost.

Money is counted in whole micro-dollars, rounded up. A call that does not fit now but may once others have settled waits for them;
a call whose outcome nobody knows (a timeout, a broken connection, a cancellation under way) is booked in full.
The limit holds as far as the endpoint keeps to the token limit it is given and the price table is right.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from continuum.errors import ConfigurationError, JudgeError

if TYPE_CHECKING:
    from continuum.store.database import Store


ADVANCE_CALLS = 20
"""Calls for which money is booked in the store at once: a write for every call would cost more time than the call."""


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


class Budget:
    """What one run may spend, shared by all its concurrent calls.

    Args:
        limit_usd: the most that may be spent; None for no limit, spending is then only counted.
        store: where the task's own account is kept as well.
        task: whose account that is.
    """

    def __init__(self, limit_usd: float | None = None, *, store: "Store | None" = None, task: str | None = None) -> None:
        if limit_usd is not None and not (math.isfinite(limit_usd) and limit_usd >= 0):
            raise ConfigurationError(f"a budget of {limit_usd} US dollars is no limit; give zero or more, or None for none")
        # Rounded down, so that the limit in micro-dollars is never above the one in dollars.
        self.limit = None if limit_usd is None else int(limit_usd * 1_000_000 + 1e-6)
        self.spent = 0
        self.reserved = 0
        self.exhausted = False
        """Whether a call was turned away for lack of money."""
        self._account = (store.tasks, task) if store is not None and task is not None else None
        # What the store holds as reserved for us: the calls under way, `_unused`, and `_owed`, which is spent already.
        self._unused = 0
        self._owed = 0
        self._under_way = 0
        self._settled = asyncio.Event()

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
            self._under_way -= 1
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
        self._book(amount)
        self.reserved += amount
        self._under_way += 1

    def _settle(self, reservation: Reservation) -> None:
        cost = reservation.micro_usd if reservation.outcome is None else reservation.outcome
        self.reserved -= reservation.micro_usd
        self.spent += cost
        self._settled.set()
        self._settled = asyncio.Event()
        self._unused += reservation.micro_usd - cost
        self._owed += cost
        if self._account is not None and not self._under_way:
            tasks, name = self._account
            tasks.settle(name, reserved_micro_usd=self._unused + self._owed, spent_micro_usd=self._owed)
            self._unused = self._owed = 0

    def _book(self, amount: int) -> None:
        # A process that dies leaves in the store what it had booked: too much, never too little.
        if self._account is not None and self._unused < amount:
            tasks, name = self._account
            tasks.reserve(name, ADVANCE_CALLS * amount)
            self._unused += ADVANCE_CALLS * amount
        self._unused -= amount


def in_micro_usd(dollars: float) -> int:
    """Whole micro-dollars, rounded up; what binary fractions add below a millionth of one is not a cost."""
    return math.ceil(dollars * 1_000_000 - 1e-6)
