"""The spool's thread: drains what this process captures, and what dead processes left, for as long as the spool is open."""

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from continuum.spool.apart import APART_LINES, DrainApart
from continuum.spool.draining import BATCH_LINES, Drain, Drained, Drains, Outage, counted, drain_abandoned
from continuum.spool.sampling import remember_rates
from continuum.spool.segments import Segment, abandoned, read_lines

if TYPE_CHECKING:
    from continuum.spool.spool import Spool

ROUND_S = 30.0
"""How often the thread looks for what dead processes left, and reads the tasks' policies."""
SYNC_S = 1.0
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 10.0
RETIRE_BYTES = 2**20
RETIRE_S = 5.0
"""A drained segment of this size or age is deleted: what was redacted on its way to the store must not stay on disk."""

logger = logging.getLogger(__name__)


def drain_until_closed(spool: "Spool", generation: int) -> None:
    """Drain; ends when the spool is closed."""
    work = Work(spool, generation)
    retry_s = FIRST_RETRY_S
    while spool.generation == generation:
        try:
            with spool.busy:
                worked = work.step()
        except Outage as outage:
            note_outage(spool, str(outage))
            work.wait_and_sync(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)
            continue
        except Exception:
            # The thread must outlive what nobody has thought of; it is said, and tried again.
            logger.exception("continuum: draining failed")
            note_outage(spool, "draining failed, see the log")
            work.wait_and_sync(LAST_RETRY_S)
            continue
        spool.store_error, retry_s = None, FIRST_RETRY_S
        if not worked:
            work.sleep()
    work.drain.close()


def note_outage(spool: "Spool", reason: str) -> None:
    """Say once that captures wait."""
    if spool.store_error is None:
        logger.warning("continuum: captures wait in the spool, the store takes none: %s", reason)
    spool.store_error = reason


class Work:
    """What the thread knows between its steps."""

    def __init__(self, spool: "Spool", generation: int) -> None:
        self.spool = spool
        self.generation = generation
        self.wake = spool.wake
        self.drain: Drains = DrainApart() if spool.apart else Drain(spool.open_store, spool.on_stored)
        self.batch_lines = APART_LINES if spool.apart else BATCH_LINES
        self.offsets: dict[str, int] = {}
        """How far each own segment is drained."""
        self.synced: tuple[str, int] = ("", 0)
        self.next_round = 0.0

    def step(self) -> bool:
        """Drain a batch; False where nothing waits.

        Raises:
            Outage: the store is out.
        """
        worked = self._memory() | self._own()
        if time.monotonic() >= self.next_round:
            self._round()
        return worked

    def _memory(self) -> bool:
        memory = self.spool.memory
        with self.spool.lock:
            # Copied under the lock: the buffer moves when it makes room, and offsets with it.
            read = read_lines(memory, memory.offset, memory.size, most=self.batch_lines)
            length = read.offset - memory.offset
        if not read.lines:
            return False
        drained = self.drain.write(read.lines)
        with self.spool.lock:
            if self.spool.stored(drained, self.generation):
                memory.stored(memory.offset + length)
        return True

    def _own(self) -> bool:
        with self.spool.lock:
            segment = self.spool.segments[0] if self.spool.segments else None
            end = 0 if segment is None else segment.size
            last = len(self.spool.segments) == 1
        if segment is None:
            return False
        offset = self.offsets.get(segment.name, 0)
        if offset < end:
            with suppress(OSError):  # closed meanwhile
                reached, drained = self.drain.step(segment, offset, end)
                if reached > offset and drained == Drained():
                    # Nobody else drains a segment of ours: it was stored by us, and we, or the connection, were cut off then.
                    drained = counted(segment.read(offset, reached - offset).split(b"\n"))
                if self.spool.stored(drained, self.generation):
                    self.offsets[segment.name] = reached
                return reached > offset
            return False
        return self._retired(segment, offset) if not last or worth_retiring(segment) else False

    def _retired(self, segment: Segment, offset: int) -> bool:
        if self.spool.retire(segment, offset):
            self.offsets.pop(segment.name, None)
            self.drain.forget(segment.name)
        return True

    def _round(self) -> None:
        """Look after the dead, the disk and the policies."""
        self.next_round = time.monotonic() + ROUND_S
        with self.spool.lock:
            if self.spool.generation != self.generation:
                return  # the settings would be read for whoever captures next, and may be others by then
            folder = self.spool.settings.spool_dir
        rates = self.drain.sample_rates()
        if rates != self.spool.sample_rates:
            remember_rates(folder, rates)
            self.spool.sample_rates = rates
        for segment in abandoned(folder):
            drained = drain_abandoned(self.drain, segment)
            self.spool.recovered += drained.stored + drained.feedback_stored
            if self.spool.generation != self.generation:
                return
        self.spool.measure_others(folder)

    def sleep(self) -> None:
        """Wait for a capture, or for the next round."""
        spool = self.spool
        spool.idle = True
        # Whoever captures from here on wakes the thread; whoever did just before is seen here.
        if not spool.waiting:
            self.wake.wait(max(0.0, min(self.next_round - time.monotonic(), RETIRE_S)))
        if spool.generation != self.generation:
            return
        spool.idle = False
        self.wake.clear()
        if 0 < spool.waiting < self.batch_lines:
            # Whoever waits for the store cuts it short.
            self.wake.wait(spool.linger_s)
            self.wake.clear()

    def wait_and_sync(self, seconds: float) -> None:
        """Wait before the next try, or until somebody is in a hurry; meanwhile the disk keeps what has come."""
        deadline = time.monotonic() + seconds
        self.wake.clear()
        while (left := deadline - time.monotonic()) > 0 and self.spool.generation == self.generation:
            if self.wake.wait(min(left, SYNC_S)):
                return
            with self.spool.lock:
                segment = self.spool.segments[-1] if self.spool.segments else None
            if segment is not None and self.synced != (segment.name, segment.size):
                self.synced = (segment.name, segment.size)
                segment.sync()


def worth_retiring(segment: Segment) -> bool:
    """Whether a drained segment to which captures still go should be followed by a new one."""
    return segment.size > 0 and (segment.size > RETIRE_BYTES or time.monotonic() - segment.made_at > RETIRE_S)
