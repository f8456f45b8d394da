"""A hard limit on spending: reserve an upper bound, call, settle with what it cost.

Money is counted in whole micro-dollars, rounded up. A call that does not fit now but may once others have settled waits for them;
a call whose outcome nobody knows (a timeout, a broken connection, a cancellation under way) is booked in full.
The limit holds as far as the endpoint keeps to the token limit it is given and the price table is right.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from continuum.errors import ConfigurationError, JudgeError
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from continuum.models.account import Account
    from continuum.policy import Purpose, TaskPolicy
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

    @property
    def cost(self) -> int:
        """Micro-dollars that count as spent."""
        return self.micro_usd if self.outcome is None else self.outcome

    @property
    def unknown(self) -> int:
        """Of them, those that nobody knows to be spent."""
        return self.micro_usd if self.outcome is None else 0


class Budget:
    """What one run may spend, shared by all its concurrent calls, and the task's account that it spends from.

    Args:
        limit_usd: the most that this run may spend, in this process; None for no limit of its own.
        account: the task's account; its limit holds besides, over all processes. None where no task pays.
        calls: how many of the calls that it pays for may be under way at once; None for as many as there are.
    """

    def __init__(self, limit_usd: float | None = None, *, account: "Account | None" = None, calls: int | None = None) -> None:
        if limit_usd is not None and not (math.isfinite(limit_usd) and limit_usd >= 0):
            raise ConfigurationError(f"a budget of {limit_usd} US dollars is no limit; give zero or more, or None for none")
        # Rounded down, so that the limit in micro-dollars is never above the one in dollars.
        self.limit = None if limit_usd is None else int(limit_usd * 1_000_000 + 1e-6)
        self.account = account
        self.spent = 0
        self.reserved = 0
        self.exhausted = False
        """Whether a call was turned away for lack of money."""
        self.calls = calls
        self._settled = asyncio.Event()
        self._turns = asyncio.Semaphore(calls) if calls is not None else None

    @classmethod
    def of_task(
        cls,
        store: "Store",
        policy: "TaskPolicy",
        purpose: "Purpose",
        *,
        limit_usd: float | None = None,
        calls: int | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> "Budget":
        """What may be spent for a purpose of a task: its share of the policy's budget in this period.

        Args:
            store: where the account is.
            policy: the task's, for the budget, the period and the share.
            purpose: what the money is for.
            limit_usd: a limit of this run besides.
            calls: how many calls may be under way at once.
            now: the clock, which says which period it is.
        """
        from continuum.models.account import Account  # SQLAlchemy starts here
        from continuum.store.accounts import AccountKey

        judge = policy.judge
        share, period = getattr(judge.shares, purpose), period_of(judge.budget_period, now())
        limit = None if judge.budget_usd is None else int(judge.budget_usd * share * 1_000_000 + 1e-6)
        terms = (
            f"{purpose} has {share:g} of the ${judge.budget_usd or 0:g} that task {policy.task!r} may spend in the "
            f"{judge.budget_period} from {period}; raise judge.budget_usd or judge.shares.{purpose} to go on"
        )
        account = Account(store, AccountKey(policy.task, purpose, period), limit, terms=terms)
        return cls(limit_usd, account=account, calls=calls)

    @property
    def limited(self) -> bool:
        """Whether there is a limit that calls must keep to, and so must have a price."""
        return self.limit is not None or (self.account is not None and self.account.limit is not None)

    @property
    def spent_usd(self) -> float:
        """US dollars spent so far."""
        return self.spent / 1_000_000

    def turn(self) -> AbstractAsyncContextManager[object]:
        """Held while a call is under way, so that there are no more at once than there may be."""
        return self._turns or nullcontext()

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
            await self._settle(reservation)

    @asynccontextmanager
    async def together(self) -> AsyncIterator["Purse"]:
        """A budget for the calls of one piece of work, whose costs are booked with what the work brings.

        Whatever is not booked when the block ends, for it failed or was cancelled, is booked then.
        """
        purse = Purse(self)
        try:
            yield purse
        finally:
            await purse.empty()

    async def _take(self, amount: int) -> None:
        await self._make_room(amount)
        if self.account is None:
            return
        try:
            await self.account.reserve(amount)
        except BaseException as error:
            self._give_back(amount, 0)
            self.exhausted |= isinstance(error, BudgetExhausted)
            raise

    async def _settle(self, reservation: Reservation) -> None:
        self._give_back(reservation.micro_usd, reservation.cost)
        if self.account is not None:
            await self.account.settle(reservation.micro_usd, reservation.cost, reservation.unknown)

    async def _make_room(self, amount: int) -> None:
        while self.limit is not None and self.spent + self.reserved + amount > self.limit:
            if self.spent + amount > self.limit:
                self.exhausted = True
                raise BudgetExhausted(
                    f"${self.spent_usd:.4f} of a budget of ${self.limit / 1e6:.4f} are spent and the next call may cost "
                    f"${amount / 1e6:.4f}; raise cost_budget_usd to go on"
                )
            await self._settled.wait()
        self.reserved += amount

    def _give_back(self, reserved: int, spent: int) -> None:
        self.reserved -= reserved
        self.spent += spent
        self._settled.set()
        self._settled = asyncio.Event()


class Purse(Budget):
    """The part of a budget that one piece of work spends; its settlements wait until they are booked with what the work brings.

    The budget behind it counts each call at once; what waits is the entry in the task's account.
    """

    def __init__(self, budget: Budget) -> None:
        super().__init__(account=budget.account)
        self._budget = budget
        self._waiting = 0
        self._unbooked: list[Reservation] = []

    @property
    def limited(self) -> bool:
        """Whether the budget behind it is."""
        return self._budget.limited

    def turn(self) -> AbstractAsyncContextManager[object]:
        """A turn of the budget behind it."""
        return self._budget.turn()

    @asynccontextmanager
    async def together(self) -> AsyncIterator["Purse"]:
        """Another purse from the same budget: its work is booked by itself."""
        async with self._budget.together() as purse:
            yield purse

    async def book(self, write: "Callable[[Connection], object]") -> None:
        """Write what the work brought and settle what it cost, in one transaction; done even if the caller is cancelled.

        Args:
            write: writes with the connection it is given, and nothing else; it may be called again.

        Raises:
            ConfigurationError: no task's account pays, so that there is no transaction.
            StoreError: the database failed; nothing is written, and what the calls cost is booked when the block ends.
        """
        if self.account is None:
            raise ConfigurationError("nothing can be booked together with a budget that no task pays; write it by itself")
        await self._book(write)

    async def empty(self) -> None:
        """Book what has not been booked."""
        if self._unbooked:
            await self._book(None)

    async def _take(self, amount: int) -> None:
        budget = self._budget
        await budget._make_room(amount)
        try:
            if self.account is not None and amount and not await self.account.grab(amount):
                await self._wait(self.account, amount)
        except BaseException as error:
            budget._give_back(amount, 0)
            self.exhausted = isinstance(error, BudgetExhausted)
            budget.exhausted |= self.exhausted
            raise
        self.reserved += amount

    async def _wait(self, account: "Account", amount: int) -> None:
        # Whoever waits for money must hold none that nothing but itself could give back.
        self._waiting += 1
        try:
            await self.empty()
            await account.reserve(amount)
        finally:
            self._waiting -= 1

    async def _settle(self, reservation: Reservation) -> None:
        self._give_back(reservation.micro_usd, reservation.cost)
        self._budget._give_back(reservation.micro_usd, reservation.cost)
        self._unbooked.append(reservation)
        if self._waiting:
            await self.empty()

    async def _book(self, write: "Callable[[Connection], object] | None") -> None:
        booked, self._unbooked = self._unbooked, []
        if self.account is None:
            return
        held, spent, unknown = (sum(getattr(one, name) for one in booked) for name in ("micro_usd", "cost", "unknown"))
        try:
            await self.account.settle(held, spent, unknown, write)
        except Exception:
            self._unbooked += booked
            raise


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
