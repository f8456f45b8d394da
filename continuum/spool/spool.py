"""The spool between an application and the store: it takes captures in microseconds, never waits, and loses nothing it took.

On disk (the default) a capture is one write to a segment file, and survives the process. In memory it waits in a bounded queue,
which is faster, and goes to disk when the process ends. A thread moves both to the store; while that is down, captures wait.
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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from continuum.config import Durability, RedactWhen, Settings, load_settings
from continuum.errors import ConfigurationError, MissingExtra
from continuum.records import Feedback, Interaction
from continuum.spool.finishing import redacted_now
from continuum.spool.lines import feedback_draft, line_of
from continuum.spool.sampling import remembered_rates
from continuum.spool.segments import InMemory, Segment, bytes_in
from continuum.spool.tally import SpoolStats, Tally
from continuum.store import default_store, forking  # noqa: F401  its hook is to run after this module's

if TYPE_CHECKING:
    from continuum.spool.draining import Drained
    from continuum.store.database import Store

SEGMENT_BYTES = 16 * 2**20
"""A segment that has grown to this is followed by a new one."""
LINGER_S = 0.05
MEMORY_BYTES = 64 * 2**20
"""What may wait in memory."""
DISK_RETRY_S = 1.0
"""How long a disk that failed is left alone."""
FORK_WAIT_S = 10.0
"""How long a fork waits for a batch to be finished; the first one, which makes the database, takes seconds on a busy machine."""
EXIT_WAIT_S = 0.1
"""At exit the store may take this long; what is left then waits on disk for the next start."""

logger = logging.getLogger(__name__)


_spools: "WeakSet[Spool]" = WeakSet()


class Spool:
    """Takes drafts and feedback from any thread, and drains them to a store in a thread of its own.

    Args:
        open_store: called in the spool's thread for each batch.
        settings: called when the first capture comes, and again after `close`.
        memory_bytes: what may wait in memory.
        linger_s: how long a batch waits for company, in seconds: a server's captures come by the hundred.
        apart: whether a process of its own brings captures into the store, which is the default one; see `apart.py`.
    """

    def __init__(
        self,
        open_store: "Callable[[], Store]" = default_store,
        *,
        settings: Callable[[], Settings] = load_settings,
        memory_bytes: int = MEMORY_BYTES,
        linger_s: float = LINGER_S,
        apart: bool = False,
    ) -> None:
        self.open_store = open_store
        self.apart = apart
        self.linger_s = linger_s
        self.on_stored: list[Callable[[Sequence[Interaction]], None]] = []
        """Called with each batch of interactions once it is stored, in the spool's thread."""
        # Reentrant: the collector may finish an abandoned stream, and hand it over, in the midst of this code.
        self.lock = threading.RLock()
        self.busy = threading.RLock()
        """Held by the thread while it works: a process is not forked in the midst of that."""
        self.calls, self.said = Tally(), Tally()
        self.recovered = 0
        self.sample_rates: dict[str, float] = {}
        self.idle = False
        """Whether the thread sleeps, and must be woken."""
        self.store_error: str | None = None
        self.disk_error: str | None = None
        self.failure: str | None = None
        """Why a capture could not even be written down."""
        self.generation = 0
        """Grows when the spool is closed."""
        self._read_settings = settings
        self._memory_limit = memory_bytes
        self._disk_after = 0.0
        self._begin()
        _spools.add(self)

    # --- taking ---

    @property
    def settings(self) -> Settings:
        """The settings as they were when the first capture came."""
        found = self._settings
        if found is None:
            found = self._settings = self._read_settings()
            # What the policies said last time holds until the store has said anew.
            self.sample_rates = remembered_rates(found.spool_dir)
        return found

    def take(self, draft: dict[str, Any], *, durability: Durability | None = None, redact: RedactWhen | None = None) -> bool:
        """Take the draft of an interaction (see `finishing`); False, and it is counted, where it cannot be kept.

        Args:
            draft: is the spool's from here on.
            durability: where it waits; as the settings say when None.
            redact: when personal data is taken out of it; as the settings say when None.
        """
        try:
            settings = self._settings or self.settings
            when = redact or settings.redact
            if when == "drain":
                draft["redact"] = settings.redactor
            elif when == "inline":
                draft = redacted_now(draft, settings.redactor)
            line = line_of(draft)
        except Exception as error:  # noqa: BLE001  whatever ails the settings or the draft, the application goes on
            self._failed(error)
            return False
        return self._take(line, self.calls, durability or settings.durability)

    def offer(self, feedback: Feedback) -> bool:
        """Take feedback; False, and nothing is kept or counted, where there is room for it nowhere."""
        try:
            line = line_of(feedback_draft(feedback, self.settings))
        except Exception:
            logger.debug("feedback could not be written as JSON", exc_info=True)
            return False
        taken = self._take(line, self.said, self.settings.durability)
        if not taken:
            with self.lock:
                self.said.received -= 1
                self.said.dropped -= 1
        return taken

    def _take(self, line: bytes, tally: Tally, durability: Durability) -> bool:
        if sys.is_finalizing():
            # A generator that the interpreter closes at its very end: the thread is gone, with a lock in its hands perhaps.
            return False
        with self.lock:
            tally.received += 1
            taken = (durability == "disk" and self._append(line)) or self.memory.append(line)
            if not taken:
                tally.dropped += 1
        if self.idle or self._thread is None:
            self._rouse()
        return taken

    def _rouse(self) -> None:
        # One call is enough to wake the thread; those that come before it is awake need not.
        self.idle = False
        self.start()
        self.wake.set()

    def _append(self, line: bytes) -> bool:
        try:
            most = (self._settings or self.settings).spool_max_bytes
            if self._disk_bytes + self.others_bytes + len(line) > most:
                return self._disk_failed(f"the spool has its {most:,} bytes (CONTINUUM_SPOOL_MAX_BYTES)")
            segment = self.segments[-1] if self.segments else None
            if segment is None or segment.size >= SEGMENT_BYTES:
                if time.monotonic() < self._disk_after:
                    return False
                segment = Segment(self.settings.spool_dir)
                self.segments.append(segment)
            segment.append(line)
        except Exception as error:  # noqa: BLE001  whatever ails the disk or the settings, the application goes on
            self._disk_after = time.monotonic() + DISK_RETRY_S
            return self._disk_failed(str(error))
        self._disk_bytes += len(line)
        self.disk_error = None
        return True

    def _disk_failed(self, reason: str) -> bool:
        if self.disk_error is None:
            logger.warning("continuum: captures wait in memory, the disk takes none: %s", reason)
        self.disk_error = reason
        return False

    def _failed(self, error: Exception) -> None:
        # Only an error about the settings is fit to be shown; another one may quote what was captured.
        settled = isinstance(error, (ConfigurationError, MissingExtra))
        reason = str(error) if settled else f"a {type(error).__name__} while a capture was written down"
        with self.lock:
            self.calls.received += 1
            self.calls.failed += 1
            if self.failure is None:
                logger.warning("continuum: captures are lost: %s", reason)
            self.failure = reason

    def sample_rate(self, task: str) -> float:
        """Share of a task's conversations to capture, by its policy; all, until the store has said for the first time."""
        if self._settings is None:
            with suppress(Exception):  # it is told when the capture is taken
                self._settings = self.settings
        return self.sample_rates.get(task, 1.0)

    # --- what the thread asks and tells ---

    def stored(self, drained: "Drained", generation: int) -> bool:
        """Count what became of a batch; False where the spool was closed meanwhile."""
        with self.lock:
            if self.generation != generation:
                return False
            self.calls.stored += drained.stored
            self.calls.failed += drained.failed
            self.said.stored += drained.feedback_stored
            self.said.failed += drained.feedback_failed
            return True

    def retire(self, segment: Segment, offset: int) -> bool:
        """Delete a segment that is drained up to `offset`; False where something was added meanwhile."""
        with self.lock:
            if segment not in self.segments or segment.size != offset:
                return False
            self.segments.remove(segment)
            self._disk_bytes -= segment.size
            segment.delete()
            return True

    def measure_others(self, folder: Path | None = None) -> None:
        """Look how much of the disk other processes' captures take."""
        total = bytes_in(folder or self.settings.spool_dir)
        with self.lock:
            self.others_bytes = max(0, total - self._disk_bytes)

    # --- the thread ---

    def start(self) -> None:
        """Start the thread if it does not run yet; it opens the store at once."""
        if self._thread is not None:
            return
        with self.lock:
            if self._thread is None:
                from continuum.spool.thread import drain_until_closed

                arguments = (self, self.generation)
                thread = threading.Thread(target=drain_until_closed, args=arguments, name="continuum-spool", daemon=True)
                # A process out of threads, or about to end, captures on; the next record tries again.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
                    close_with_worker(self)

    @property
    def waiting(self) -> int:
        """Records that are not in the store yet."""
        return self.calls.pending + self.said.pending

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all that was taken is in the store; False when that did not happen in time."""
        deadline = time.monotonic() + timeout_s
        if self.waiting:
            self.start()
            self.wake.set()
        while self.waiting:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    def close(self, timeout_s: float = EXIT_WAIT_S) -> None:
        """Give the store a moment, and leave on disk what it did not take; the spool may be used again."""
        if self.store_error is None:
            self.flush(timeout_s)
        with self.lock:
            left = self.calls.pending + self.said.pending
            self._spill()
            lost = self._lines_in_memory()
            for tally in (self.calls, self.said):
                tally.left += tally.pending
            drained = [] if left else [segment.name for segment in self.segments]
            self._end(drained=not left)
        for name in drained:
            with suppress(Exception):  # a row that stays harms nothing
                self.open_store().segments.forget(name)
        if lost:
            logger.warning("continuum: %d captures are lost, there is no disk for them: %s", lost, self.disk_error)
        elif left:
            level = logging.WARNING if self.store_error else logging.INFO
            logger.log(level, "continuum: %d captures wait on disk for the next start: %s", left, self.store_error or "in time")

    def _spill(self) -> None:
        # What waits in memory would end with the process.
        if not self.memory.waiting:
            return
        with suppress(Exception):
            segment = Segment(self.settings.spool_dir)
            self.segments.append(segment)
            segment.append(self.memory.read(self.memory.offset, self.memory.waiting))
            self.memory.stored(self.memory.size)

    def _lines_in_memory(self) -> int:
        return self.memory.read(self.memory.offset, self.memory.waiting).count(b"\n")

    def _end(self, *, drained: bool) -> None:
        for segment in self.segments:
            if drained:
                segment.delete()
            else:
                segment.close()
        sleeper = self.wake
        self._begin()
        sleeper.set()

    def _begin(self) -> None:
        # The thread of an earlier generation ends as soon as it sees that it is one.
        self.generation += 1
        self.segments = []
        self.sample_rates = {}
        self.memory = InMemory(self._memory_limit)
        """What waits in memory."""
        self._disk_bytes = self.others_bytes = 0
        self._thread = None
        self._settings = None
        self.wake = threading.Event()

    def renew_in_child(self, *, at_rest: bool) -> None:
        """Begin anew after a fork: what waits is the parent's to store, and the thread and the lock are the parent's."""
        # Where the thread did not rest, this process has inherited an open database, and must not use it (`store.forking`).
        self.apart |= not at_rest and self.open_store is default_store
        self.lock, self.busy = threading.RLock(), threading.RLock()
        for segment in self.segments:
            segment.close()  # without its lock, which stays the parent's
        self.calls, self.said, self.recovered = Tally(), Tally(), 0
        self._begin()

    def stats(self) -> SpoolStats:
        """How it does."""
        with self.lock:
            return SpoolStats(
                calls=replace(self.calls),
                feedback=replace(self.said),
                recovered=self.recovered,
                on_disk=self.disk_error is None and self._settings is not None and self._settings.durability == "disk",
                disk_bytes=self._disk_bytes,
                memory_bytes=self.memory.waiting,
                last_error=self.store_error or self.disk_error or self.failure,
            )


def close_with_worker(spool: Spool) -> None:
    """Have a multiprocessing worker close its spool: it ends without the interpreter's own exit handlers."""
    if "multiprocessing.util" in sys.modules:
        from multiprocessing import parent_process
        from multiprocessing.util import Finalize

        if parent_process() is not None:
            Finalize(None, spool.close, exitpriority=10)


_spool = Spool()


def default_spool() -> Spool:
    """The spool of this process, which drains to `default_store()`."""
    return _spool


def flush(timeout_s: float = 5.0) -> bool:
    """Wait until all that was captured is in the store; False when that did not happen in time."""
    return _spool.flush(timeout_s)


_held: list[Spool] = []


def _hold_still() -> None:
    # A child made while the thread is inside the database's library would find that library's locks taken for ever, and the
    # database open.
    _held.extend(spool for spool in list(_spools) if spool.busy.acquire(timeout=FORK_WAIT_S))


def _go_on() -> None:
    while _held:
        _held.pop().busy.release()


def _renew_in_child() -> None:
    at_rest = set(_held)
    _held.clear()
    for spool in list(_spools):
        spool.renew_in_child(at_rest=spool in at_rest)


atexit.register(_spool.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_still, after_in_parent=_go_on, after_in_child=_renew_in_child)
