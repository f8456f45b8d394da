"""SimHash: 64 bits of a text such that texts with nearly the same words get nearly the same bits (Charikar 2002).

Bits within 3 of each other are a near repeat (Manku, Jain and Das Sarma 2007). On long texts that finds what differs in a
word or two; on a chat turn of ten words it finds little more than equal words, so it flags and nothing is deleted for it.

A feature is what stands at the beginning of a word: its first bytes and, where it is shorter, those of the next. Scripts
without spaces give one feature a character. A long text keeps the features whose hashes are lowest, wherever they stand, so
that text put in front of it moves nothing. The values are stored with interactions: they may never change.
"""

import unicodedata
from array import array
from collections.abc import Iterator, Sequence

import numpy as np

NEAR_BITS = 3
"""Fingerprints that differ in up to this many bits are near repeats."""

BLANK = "0" * 16
"""The fingerprint of a text without words."""

LONGEST = 1_000_000
"""Characters of a text that are read."""

MOST_FEATURES = 1024
"""Features of a text that are counted."""

BATCH_BYTES = 50_000
"""Texts are worked on together up to this size: arrays made of more would be fresh memory each time, which costs more."""

FEATURE_BYTES = 8
BLOCK = 255
"""Hashes whose bits are summed in one byte."""
LAST_SPACE = 0x20
LOWER = np.uint8(ord("a") - ord("A"))
LONG_CHARACTER = 0xE0
"""From this byte up a UTF-8 character takes three bytes or four; most scripts without spaces do."""
END = 0xFF
"""A byte that UTF-8 never holds; it stands after each text, so that no feature reaches into the next."""

BANDS = 4
"""Of four bands of 16 bits at least one is equal where at most three bits differ."""
LONGEST_WALK = 16
"""Entries that are looked at one by one, of one band or in a row; beyond it all are compared at once."""

_GAMMA, _FIRST, _SECOND = (np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_LANES = np.uint64(0x0101_0101_0101_0101)


def fingerprints(texts: Sequence[str]) -> list[str]:
    """The SimHash of each text as 16 hexadecimal digits; case and spacing do not count.

    A text's value depends on nothing but the text: not on the rest of the batch, the process or the machine.
    """
    values: list[str] = []
    for batch in _batches(texts):
        values += [f"{value:016x}" for value in _simhashes(batch).tolist()]
    return values


class RecentFingerprints:
    """The last fingerprints of one task, asked for near repeats; one for each task, used by one thread.

    Args:
        window: how many calls back a repeat is recognised; at least 1.
    """

    def __init__(self, window: int = 20_000) -> None:
        self._window = window
        self._next = 0
        self._ids: list[str] = [""] * window
        self._values = array("Q", bytes(8 * window))
        # A chain for each value of a band, newest entry first: its head, and for each entry the one before it. Entries that
        # left the window need no clearing, because numbers only fall along a chain and a walk ends at the first old one.
        self._heads = [array("q", [-1]) * 65_536 for _ in range(BANDS)]
        self._before = [array("q", [-1]) * window for _ in range(BANDS)]
        # What was found for a fingerprint holds until it leaves the window: whatever comes later is no earlier.
        self._found: dict[int, int] = {}

    def near(self, fingerprint: str, id: str) -> str | None:
        """The id of the earliest call within 3 bits among the last ones, and remember this one.

        A text without words repeats nothing.
        """
        if fingerprint == BLANK:
            return None
        value = int(fingerprint, 16)
        oldest = max(0, self._next - self._window)
        earliest = self._found.get(value, -1)
        if earliest < oldest:
            # Where one text comes all the time, the earliest leaves the window at each call and the next one stands just behind.
            behind = None if earliest < 0 else self._soon_behind(earliest, value, oldest)
            earliest = self._earliest(value) if behind is None else behind
            if earliest is not None:
                if len(self._found) >= self._window:
                    self._found.clear()
                self._found[value] = earliest
        found = None if earliest is None else self._ids[earliest % self._window]
        self.remember(fingerprint, id)
        return found

    def remember(self, fingerprint: str, id: str) -> None:
        """Hold a fingerprint without asking what it repeats, as when a process takes up where another ended."""
        if fingerprint == BLANK:
            return
        value, slot = int(fingerprint, 16), self._next % self._window
        self._ids[slot] = id
        self._values[slot] = value
        for band, (heads, before) in enumerate(zip(self._heads, self._before, strict=True)):
            key = value >> 16 * band & 0xFFFF
            before[slot] = heads[key]
            heads[key] = self._next
        self._next += 1

    def _soon_behind(self, earliest: int, value: int, oldest: int) -> int | None:
        """The earliest near entry, where that is one of the first that may be: none before the former earliest was."""
        first = max(earliest + 1, oldest)
        for entry in range(first, min(first + LONGEST_WALK, self._next)):
            if (self._values[entry % self._window] ^ value).bit_count() <= NEAR_BITS:
                return entry
        return None

    def _earliest(self, value: int) -> int | None:
        oldest = max(0, self._next - self._window)
        earliest = self._next
        for band, (heads, before) in enumerate(zip(self._heads, self._before, strict=True)):
            entry = heads[value >> 16 * band & 0xFFFF]
            steps = 0
            while entry >= oldest:
                if entry < earliest and (self._values[entry % self._window] ^ value).bit_count() <= NEAR_BITS:
                    earliest = entry
                entry = before[entry % self._window]
                steps += 1
                if steps > LONGEST_WALK:
                    return self._earliest_of_all(value, oldest)
        return earliest if earliest < self._next else None

    def _earliest_of_all(self, value: int, oldest: int) -> int | None:
        """The same answer by comparing with everything: what templated traffic, all in one band, is faster with."""
        held = np.frombuffer(self._values, dtype=np.uint64, count=self._next - oldest)
        near = np.bitwise_count(held ^ np.uint64(value)) <= NEAR_BITS
        # The oldest entry stands where the next will; what is in front of it came after it.
        for slots, first in ((near[oldest % self._window :], oldest), (near, oldest - oldest % self._window + self._window)):
            if slots.any():
                return first + int(slots.argmax())
        return None


def _batches(texts: Sequence[str]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for text in texts:
        batch.append(_encoded(text[:LONGEST]))
        size += len(batch[-1])
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encoded(text: str) -> bytes:
    if text.isascii():
        # Its capitals wait for `_features`, where many texts are lowered at once.
        return text.strip().encode()
    # Wide letters and the other blanks become plain ones. Unicode never changes either mapping of an assigned character.
    return unicodedata.normalize("NFKC", text.casefold()).strip().encode("utf-8", "surrogatepass")


def _simhashes(texts: list[bytes]) -> np.ndarray:
    hashes, counts = _features(texts)
    values = np.zeros(len(texts), dtype="<u8")
    filled = counts > 0
    if filled.any():
        values[filled] = _majorities(hashes, counts[filled])
    return values


def _features(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of all features, text by text, and how many each text has."""
    end = bytes([END]) * FEATURE_BYTES
    raw = np.frombuffer(end + end.join(texts) + end + end, dtype=np.uint8)
    raw = raw + (raw - ord("A") < 26).view(np.uint8) * LOWER
    space = raw <= LAST_SPACE
    # Of a run of blanks the first stays, as a plain space.
    kept = np.maximum(raw[~(space & np.concatenate(([False], space[:-1])))], LAST_SPACE)
    # Unsigned bytes wrap round, so one comparison leaves out blanks and ends both.
    word = kept - (LAST_SPACE + 1) < END - (LAST_SPACE + 1)
    starts = np.flatnonzero((~word[:-1] | (kept[1:] >= LONG_CHARACTER)) & word[1:]) + 1
    ends = np.flatnonzero(kept == END)[FEATURE_BYTES::FEATURE_BYTES][: len(texts)]
    counts = np.diff(np.searchsorted(starts, ends), prepend=0)
    windows = np.ndarray((len(kept) - FEATURE_BYTES + 1,), dtype="<u8", buffer=kept, strides=(1,))
    hashes = _mixed(windows.take(starts))
    if counts.max() <= MOST_FEATURES:
        return hashes, counts
    chosen = [_lowest(part) for part in np.split(hashes, np.cumsum(counts)[:-1])]
    return np.concatenate(chosen), np.array([len(part) for part in chosen])


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): each bit of the result depends on all of the value."""
    mixed = values + _GAMMA
    # One array for all that is shifted: memory fresh from the system costs more than the arithmetic.
    shifted = mixed >> np.uint64(30)
    mixed ^= shifted
    mixed *= _FIRST
    mixed ^= np.right_shift(mixed, np.uint64(27), out=shifted)
    mixed *= _SECOND
    mixed ^= np.right_shift(mixed, np.uint64(31), out=shifted)
    return mixed


def _lowest(hashes: np.ndarray) -> np.ndarray:
    if len(hashes) <= MOST_FEATURES:
        return hashes
    # Chosen by another hash than the one whose bits are counted, or all of the chosen would begin with zeros.
    return hashes[np.argpartition(_mixed(hashes), MOST_FEATURES)[:MOST_FEATURES]]


def _majorities(hashes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each text the 64 bits that more than half of its hashes have."""
    # Eight sums, each of eight bits at once in lanes of a byte, over blocks too short to overflow one: several times faster
    # than unpacking 64 columns.
    blocks = -(-counts // BLOCK)
    first_block = np.cumsum(blocks) - blocks
    first = np.repeat(np.cumsum(counts) - counts - BLOCK * first_block, blocks) + BLOCK * np.arange(blocks.sum())
    sums = np.empty((8, len(first)), dtype="<u8")
    bits = np.empty_like(hashes)
    for shift in range(8):
        np.right_shift(hashes, np.uint64(shift), out=bits)
        np.bitwise_and(bits, _LANES, out=bits)
        np.add.reduceat(bits, first, out=sums[shift])
    ones = np.add.reduceat(sums.view(np.uint8).astype(np.int32).reshape(8, -1, 8), first_block, axis=1)
    majority = 2 * ones > counts[:, None]
    return np.packbits(majority.transpose(1, 2, 0).reshape(len(counts), 64), axis=1, bitorder="little").view("<u8").ravel()
