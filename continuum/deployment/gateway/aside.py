"""Work beside the event loop that may never come to its end, such as asking a database that hangs."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


class Aside:
    """Does one thing, one call at a time, in threads that the process does not wait for when it ends.

    Args:
        work: what is done each time; what it raises is its own to handle.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._under_way: asyncio.Future[None] | None = None

    async def done_in(self, seconds: float) -> bool:
        """Do it; False where it takes longer or there is no thread for it. The next call waits for what is still under way."""
        if self._under_way is None:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            try:
                threading.Thread(target=self._run, args=(loop, future), name="continuum-aside", daemon=True).start()
            except RuntimeError:
                return False
            self._under_way = future
        done, _ = await asyncio.wait([self._under_way], timeout=seconds)
        if done:
            self._under_way = None
        return bool(done)

    def _run(self, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]") -> None:
        try:
            self._work()
        finally:
            with suppress(RuntimeError):  # the loop has ended meanwhile, and nobody waits
                loop.call_soon_threadsafe(_end, future)


def _end(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
