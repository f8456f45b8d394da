"""The spool: a bounded queue in memory and one thread that writes it to the store.

Handing over takes microseconds and never waits. While the store is down the queue keeps what fits and counts what does not.
"""

import atexit
import concurrent.futures.thread  # noqa: F401  SQLAlchemy imports it, and may not once the interpreter has begun to end
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from continuum.records import Feedback, Interaction
from continuum.spool.writing import Captured, Item, Outage, Writer
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.store.database import Store

BATCH_ITEMS = 256
LINGER_S = 0.05
"""How long a batch waits for company."""
MAX_ITEMS = 10_000
MAX_CHARACTERS = 64_000_000
ITEM_CHARACTERS = 500
"""What an item counts for when nobody measured it."""
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 10.0
EXIT_WAIT_S = 0.5
"""At exit the spool waits this long at a time, and goes on for as long as each wait got something done."""
FIRST_WRITE_S = 5.0
"""At exit a store that is still being opened, or written for the first time, gets this long."""

logger = logging.getLogger(__name__)


@dataclass
class Tally:
    """What became of one kind of record."""

    received: int = 0
    stored: int = 0
    """Written, or found to be in the store already."""
    dropped: int = 0
    """Not taken because the queue was full."""
    failed: int = 0
    """Not made into a record, or refused by the store for what it holds."""

    @property
    def pending(self) -> int:
        """Still on the way."""
        return self.received - self.stored - self.dropped - self.failed


class Spool:
    """Takes records from any thread and writes them to a store from a thread of its own.

    Args:
        open_store: called in the spool's thread, for each batch and again after each failure.
        max_items: how many records may wait.
        max_characters: how much text may wait.
    """

    def __init__(
        self,
        open_store: "Callable[[], Store]" = default_store,
        *,
        max_items: int = MAX_ITEMS,
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        self._writer = Writer(open_store)
        self._max_items = max_items
        self._max_characters = max_characters
        self._queue: SimpleQueue[tuple[Item, int]] = SimpleQueue()
        # Reentrant, as the queue is: the collector may finish an abandoned stream, and hand it over, in the midst of this code.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._waiting = 0
        self._characters = 0
        self._tallies: dict[type[Captured], Tally] = {Interaction: Tally(), Feedback: Tally()}
        self._hurry = threading.Event()
        self.last_error: str | None = None
        """Why the store takes nothing at present; None while it does."""

    def offer(self, item: Item, characters: int = ITEM_CHARACTERS) -> bool:
        """Take a record, or a function that makes one; False, and nothing is kept or counted, where the queue is full.

        Args:
            item: a function is called in the spool's thread, so that its work is not the caller's.
            characters: about how much text the item holds.
        """
        with self._lock:
            if self._waiting >= self._max_items or self._characters + characters > self._max_characters:
                return False
            self._waiting += 1
            self._characters += characters
            self._tallies[kind_of(item)].received += 1
            self._queue.put((item, characters))
        self.start()
        return True

    def put(self, item: Item, characters: int = ITEM_CHARACTERS) -> None:
        """Take a record, or count it as dropped where the queue is full."""
        if not self.offer(item, characters):
            with self._lock:
                self._tallies[kind_of(item)].received += 1
                self._tallies[kind_of(item)].dropped += 1

    def tally(self, kind: type[Captured]) -> Tally:
        """What became of the interactions, or of the feedback, up to now."""
        with self._lock:
            return replace(self._tallies[kind])

    def start(self) -> None:
        """Start the thread if it does not run yet; it opens the store at once."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._drain, name="continuum-spool", daemon=True)
                    # A process out of threads, or about to end, captures on; the next record tries again.
                    with suppress(RuntimeError):
                        thread.start()
                        self._thread = thread
                        close_with_worker(self)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all that was handed over is written; False when that did not happen in time."""
        deadline = time.monotonic() + timeout_s
        self._hurry.set()
        while self._waiting:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    def close(self) -> None:
        """Write what is left, for as long as the store takes it; a store that is down costs EXIT_WAIT_S."""
        first_write_ends = time.monotonic() + FIRST_WRITE_S
        while before := self._waiting:
            if self.flush(EXIT_WAIT_S):
                return
            first_write = not self._writer.tried and time.monotonic() < first_write_ends
            if self._waiting >= before and not first_write:
                logger.warning(
                    "continuum: %d records were not written: %s", self._waiting, self.last_error or "the store is slow"
                )
                return

    # --- in the spool's thread ---

    def _drain(self) -> None:
        with suppress(Outage):
            self._writer.open()
        while True:
            batch = self._next_batch()
            self._write([record for item, _ in batch if (record := self._made(item)) is not None])
            with self._lock:
                self._waiting -= len(batch)
                self._characters -= sum(characters for _, characters in batch)

    def _next_batch(self) -> list[tuple[Item, int]]:
        batch = [self._queue.get()]
        if self._queue.qsize() < BATCH_ITEMS:
            time.sleep(LINGER_S)
        with suppress(Empty):
            while len(batch) < BATCH_ITEMS:
                batch.append(self._queue.get_nowait())
        return batch

    def _made(self, item: Item) -> Captured | None:
        try:
            return item() if callable(item) else item
        except Exception:
            logger.debug("an interaction could not be made into a record", exc_info=True)
            with self._lock:
                self._tallies[kind_of(item)].failed += 1
            return None

    def _write(self, records: Sequence[Captured]) -> None:
        wait = FIRST_RETRY_S
        while records:
            try:
                refused = self._writer.write(records)
            except Outage as outage:
                self._note_outage(str(outage))
                self._hurry.clear()
                self._hurry.wait(wait)
                wait = min(2 * wait, LAST_RETRY_S)
                continue
            self.last_error = None
            with self._lock:
                for record in records:
                    self._tallies[kind_of(record)].stored += 1
                for record in refused:
                    self._tallies[kind_of(record)].stored -= 1
                    self._tallies[kind_of(record)].failed += 1
            return

    def _note_outage(self, reason: str) -> None:
        if self.last_error is None:
            logger.warning("continuum: captures wait in memory, the store takes none: %s", reason)
        self.last_error = reason


def kind_of(item: Item) -> type[Captured]:
    """What a record is; a function makes an interaction."""
    return Feedback if isinstance(item, Feedback) else Interaction


def close_with_worker(spool: Spool) -> None:
    """Have a multiprocessing worker close its spool: it ends without the interpreter's own exit handlers."""
    if "multiprocessing.util" in sys.modules:
        from multiprocessing import parent_process
        from multiprocessing.util import Finalize

        if parent_process() is not None:
            Finalize(None, spool.close, exitpriority=10)


_spool = Spool()


def default_spool() -> Spool:
    """The spool of this process, which writes to `default_store()`."""
    return _spool


def flush(timeout_s: float = 5.0) -> bool:
    """Wait until all that was captured is in the store; False when that did not happen in time."""
    return _spool.flush(timeout_s)


def _renew_in_child() -> None:
    # The child has neither the thread nor, safely, the locks; what waits is the parent's to write.
    global _spool
    _spool = Spool()


atexit.register(lambda: _spool.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_in_child)
