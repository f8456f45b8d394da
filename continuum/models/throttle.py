"""How many calls a model gets at once: more while it answers, half as many when it says that they are too many.

The limit grows by one with each answer until the model refuses for the first time, which doubles it a round; after that by one a
round. It only grows while it is used, so it never runs far ahead of what the callers ask for.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

START = 8


class Slot:
    """The right to make one call."""

    def __init__(self, throttle: "Throttle") -> None:
        self._throttle = throttle
        self._cuts = throttle.cuts
        self.refusal = False

    def refused(self, pause_s: float | None = None) -> None:
        """The model said that there are too many calls; fewer follow, and none for so many seconds where it named a pause."""
        self.refusal = True
        self._throttle._refused(self._cuts, pause_s)


class Throttle:
    """The calls to one model.

    Args:
        start: calls at once in the beginning.
        clock: monotonic seconds.
    """

    def __init__(self, start: int = START, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = float(start)
        """Calls at once, in whole ones; the fraction is on its way to the next."""
        self.under_way = 0
        self.cuts = 0
        """How often the limit was halved."""
        self._clock = clock
        self._open_at = -1.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def pause(self) -> None:
        """Wait until the model wants to be called again."""
        while (left := self._open_at - self._clock()) > 0:
            await asyncio.sleep(left)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """Make a call in the block; it waits for its turn, first come, first served."""
        await self._enter()
        slot = Slot(self)
        try:
            yield slot
            if not slot.refusal:
                self._grow()
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self._waiting or self.under_way >= int(self.limit):
            await self._turn()
        else:
            self.under_way += 1
        try:
            await self.pause()
        except BaseException:
            self._leave()
            raise

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
                self._wake()
            else:
                self._leave()  # Its turn had come.
            raise

    def _leave(self) -> None:
        self.under_way -= 1
        self._wake()

    def _wake(self) -> None:
        # The turn is handed over, so that nobody who comes now takes it.
        while self._waiting and self.under_way < int(self.limit):
            if self._waiting[0].cancelled():
                break  # It takes itself out of the line, and wakes the next.
            self.under_way += 1
            self._waiting.popleft().set_result(None)

    def _grow(self) -> None:
        if self.under_way >= int(self.limit):
            self.limit += 1 if not self.cuts else 1 / self.limit

    def _refused(self, cuts_before: int, pause_s: float | None) -> None:
        if pause_s is not None:
            self._open_at = max(self._open_at, self._clock() + pause_s)
        # Of a burst of refusals the first one halves: those that were under way with it say the same thing again.
        if cuts_before == self.cuts:
            self.cuts += 1
            self.limit = max(1.0, self.limit / 2)
