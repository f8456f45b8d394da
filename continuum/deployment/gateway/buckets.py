"""How often a key may ask: buckets of tokens, of one worker's own or of all workers of a gateway together.

What all share is a small file that each of them maps into its memory: a slot for each key, and a lock of the system's that is
held for a few instructions, and that ends with whoever holds it.
"""

import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from continuum.config import make_private

SLOT = struct.Struct("<8sddd")
"""Whose it is, requests a minute, how many are left, and when that was counted."""
SLOTS = 1024
EMPTY = bytes(8)


def after_one(left: float, since_s: float, per_minute: float) -> tuple[float, float]:
    """Take one from a bucket of a minute's worth of requests, which fills up again at as many a minute.

    Args:
        left: what was in it.
        since_s: seconds since then.
        per_minute: how many; a bucket holds at least one whole request.

    Returns:
        What is left now, and 0.0 where there was one; else in how many seconds there will be.
    """
    left = min(max(1.0, per_minute), left + max(0.0, since_s) * per_minute / 60)
    return (left - 1.0, 0.0) if left >= 1.0 else (left, (1.0 - left) * 60 / per_minute)


class Bucket:
    """A bucket of one worker's own.

    Args:
        per_minute: how many requests; it is full at first.
        clock: seconds that never go back.
    """

    __slots__ = ("_clock", "_left", "_per_minute", "_seen")

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._left = max(1.0, per_minute)
        self._seen = clock()

    def take(self) -> float:
        """Take one; 0.0 where there was one, else in how many seconds there will be."""
        now = self._clock()
        self._left, wait_s = after_one(self._left, now - self._seen, self._per_minute)
        self._seen = now
        return wait_s


class SharedBuckets:
    """The buckets of all workers of one gateway.

    Args:
        file: made where there is none, for this user alone; whoever starts the workers begins with a new one.
        clock: seconds that never go back, the same for all processes of the machine.

    Raises:
        OSError: the file cannot be made, mapped or locked.
    """

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        make_private(file.parent)
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(self._file, SLOTS * SLOT.size)
            self._slots = mmap.mmap(self._file, SLOTS * SLOT.size)
            with self:
                pass  # on a file system without locks, each worker is to count by itself
        except (OSError, ValueError):
            os.close(self._file)
            raise

    def bucket(self, key_id: str, per_minute: float) -> "SharedBucket | None":
        """The bucket of a key, as the others left it; None where there are keys in all slots."""
        whose = blake2b(key_id.encode(), digest_size=8).digest()
        with self:
            for at in self._places(int.from_bytes(whose, "little")):
                found, limit, _, _ = SLOT.unpack_from(self._slots, at)
                if found in (whose, EMPTY):
                    if found == EMPTY or limit != per_minute:
                        SLOT.pack_into(self._slots, at, whose, per_minute, max(1.0, per_minute), self._clock())
                    return SharedBucket(self, at)
        return None

    def take(self, at: int) -> float:
        """Take one from the bucket in a slot; 0.0 where there was one, else in how many seconds there will be."""
        with self:
            whose, per_minute, left, seen = SLOT.unpack_from(self._slots, at)
            now = self._clock()
            left, wait_s = after_one(left, now - seen, per_minute)
            SLOT.pack_into(self._slots, at, whose, per_minute, left, now)
        return wait_s

    def close(self) -> None:
        """Let go of the file."""
        self._slots.close()
        os.close(self._file)

    @staticmethod
    def _places(first: int) -> list[int]:
        return [(first + step) % SLOTS * SLOT.size for step in range(SLOTS)]

    def __enter__(self) -> None:
        # The system's lock is between processes; the threads of one have theirs.
        self._lock.acquire()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._lock.release()


class SharedBucket:
    """One key's bucket among those that all workers share."""

    __slots__ = ("_at", "_buckets")

    def __init__(self, buckets: SharedBuckets, at: int) -> None:
        self._buckets = buckets
        self._at = at

    def take(self) -> float:
        """Take one; 0.0 where there was one, else in how many seconds there will be."""
        return self._buckets.take(self._at)
