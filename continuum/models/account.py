"""Spending from a task's account: one limit for any number of processes.

Money that others hold reserved may come back, so a call that does not fit yet waits for it. Of this process's waiting calls only
the one in front asks the database, and the others stand in line behind it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from continuum.models.budget import BudgetExhausted
from continuum.store.accounts import AccountKey, Balance, reserve, settle
from continuum.store.grouped import BOOKING
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from continuum.store.database import Store

SHORTEST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5
SWEEP_S = 5.0
"""How often who waits looks for dead workers, whose money nobody else would give back."""


class Account:
    """One of a task's accounts, as the calls of one run spend from it.

    Args:
        store: where it is.
        key: which one.
        limit: whole micro-dollars that may be spent from it in its period, over all processes; None for no limit.
        terms: whose share of what the limit is, and what to raise, for the message.
        patience_s: how long a call waits for others that neither spend nor give back.
    """

    def __init__(self, store: "Store", key: AccountKey, limit: int | None, *, terms: str = "", patience_s: float = 900.0) -> None:
        self.store = store
        self.key = key
        self.limit = limit
        self._terms = terms
        self._patience_s = patience_s
        self._order = (BOOKING, f"{key.task} {key.purpose} {key.period}")
        self._begun = False
        self._waiting = 0
        self._line: asyncio.Lock | None = None
        self._changed: asyncio.Event | None = None

    async def grab(self, micro_usd: int) -> bool:
        """Reserve at once; False where there is no room now, or others have waited longer."""
        return not self._waiting and await self._try(micro_usd) is None

    async def reserve(self, micro_usd: int) -> None:
        """Reserve, and wait for those who may give something back where there is no room now.

        Raises:
            BudgetExhausted: it would not fit even if all that is reserved came back.
        """
        if micro_usd == 0 or await self.grab(micro_usd):
            return
        async with self._in_line():
            await self._wait_for_room(micro_usd)

    async def settle(
        self, reserved: int, spent: int, unknown: int = 0, write: "Callable[[Connection], object] | None" = None
    ) -> None:
        """Book what calls cost, and in the same transaction write what they brought; done even if the caller is cancelled."""
        if reserved or spent or write is not None:
            await self.store.writes.write(partial(self._settle, reserved, spent, unknown, write), order=self._order)
        if self._changed is not None:
            self._changed.set()

    async def _wait_for_room(self, micro_usd: int) -> None:
        before, since, swept, pause = None, time.monotonic(), -SWEEP_S, SHORTEST_PAUSE_S
        while (found := await self._try(micro_usd)) is not None:
            now = time.monotonic()
            if self.limit is not None and found.spent_micro_usd + found.batched_micro_usd + micro_usd > self.limit:
                raise BudgetExhausted(self._told(found, micro_usd))
            if found != before:
                before, since = found, now
            elif now - since > self._patience_s:
                held = f"; others have held ${found.reserved_micro_usd / 1e6:.4f} reserved for {self._patience_s:.0f} s"
                raise BudgetExhausted(self._told(found, micro_usd) + held)
            if now - swept > SWEEP_S:
                swept = now
                if await asyncio.to_thread(self.store.workers.settle_dead):
                    continue
            await self._pause(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_S)

    async def _pause(self, seconds: float) -> None:
        self._changed = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass  # Nothing of ours was settled; perhaps something of another process's.

    @asynccontextmanager
    async def _in_line(self) -> AsyncIterator[None]:
        # A lock belongs to the event loop in which it was waited for; the next line may stand in another.
        self._line = self._line if self._waiting and self._line else asyncio.Lock()
        self._waiting += 1
        try:
            async with self._line:
                yield
        finally:
            self._waiting -= 1

    async def _try(self, micro_usd: int) -> Balance | None:
        if not self._begun:
            await asyncio.to_thread(self._begin)
            self._begun = True
        return await self.store.writes.write(
            partial(self._reserve, micro_usd),
            order=self._order,
            undo=lambda refused: partial(self._settle, micro_usd, 0, 0, None) if refused is None else None,
        )

    def _begin(self) -> None:
        self.store.workers.here()
        self.store.workers.settle_dead()

    def _reserve(self, micro_usd: int, connection: "Connection") -> Balance | None:
        worker = self.store.workers.see(connection, utc_now())
        return reserve(connection, self.key, worker, micro_usd, self.limit)

    def _settle(
        self,
        reserved: int,
        spent: int,
        unknown: int,
        write: "Callable[[Connection], object] | None",
        connection: "Connection",
    ) -> None:
        if reserved or spent:
            # Where it was taken for dead meanwhile, all it held is booked as spent already.
            settle(connection, self.key, self.store.workers.known or "", reserved, spent, unknown)
        if write is not None:
            write(connection)

    def _told(self, found: Balance, micro_usd: int) -> str:
        batched = f", ${found.batched_micro_usd / 1e6:.4f} are reserved for batches" if found.batched_micro_usd else ""
        return (
            f"${found.spent_micro_usd / 1e6:.4f} of ${(self.limit or 0) / 1e6:.4f} are spent{batched} and the next call may cost "
            f"${micro_usd / 1e6:.4f}; {self._terms}"
        )
