"""MinHash: which of many texts may be nearly equal, without comparing each with each (Broder 1997).

A text is its runs of four characters; two texts whose sketches agree in a share J of their cells have about that Jaccard
similarity. Sketches are cut into 32 bands of 4 cells, and texts that agree in a band are candidates: that proposes 57% of
the pairs of similarity 0.4, 96% of 0.55 and 99.98% of 0.7.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue] - a compiled module

SHINGLE = 4
CELLS = 128
SEED = 42

BATCH = 256
"""Texts that are worked on together: arrays of more leave the processor's cache, which costs twice as much."""
BATCH_CHARACTERS = 65_536
LONGEST = 1_000_000
"""Characters of a text that are sketched, from its end."""

LARGEST_BUCKET = 64
"""In a band that more texts share, each is paired with its neighbours in alphabetical order only."""
WINDOW = 16
"""Neighbours on each side, in the order of the texts read forwards and in that of the texts read backwards."""
HELD = 4_000_000
"""Pairs that are gathered before those found twice are put together."""

_FACTORS = tuple(np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5))
_MIX = np.uint64(0xBF58476D1CE4E5B9)


Sketch = Callable[[Sequence[str]], np.ndarray]
"""Makes the signatures of texts, one row each."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of positions that may be nearly equal; sorted, each once, the lower position first."""

    first: np.ndarray
    """Shape (pairs,), int64."""
    second: np.ndarray
    """Shape (pairs,), int64."""
    crowded: int
    """Texts with more look-alikes than they were paired with: their nearest in spelling were taken."""

    def __len__(self) -> int:
        return len(self.first)


def signatures(texts: Sequence[str]) -> np.ndarray:
    """The sketches of texts, shape (texts, 128), uint16; a text's row depends on nothing but the text.

    Only the low 16 bits of each minimum are kept (Li and König 2010): a quarter of a gigabyte for a million texts, and a band
    of four of them is one 64-bit number.
    """
    rows = np.empty((len(texts), CELLS), dtype="<u2")
    begin = 0
    for batch in _batches(texts):
        rows[begin : begin + len(batch)] = _sketched(batch)
        begin += len(batch)
    return rows


def candidates(sketches: np.ndarray, texts: Sequence[str], blocks: np.ndarray | None = None, least: float = 0.0) -> Candidates:
    """Pairs of texts that agree in a band.

    Args:
        sketches: what `signatures` makes of the texts.
        texts: the texts themselves; where very many share a band their alphabetical order decides who is compared.
        blocks: a number for each text, uint64; only texts of one block are paired. None for one block.
        least: the least estimated Jaccard similarity, 0 to 1, of a pair.
    """
    bands = np.ascontiguousarray(sketches).view("<u8")
    found = _Pairs(sketches, len(texts), least)
    crowded = np.zeros(len(texts), dtype=bool)
    orders: list[np.ndarray] = []
    for band in range(bands.shape[1]):
        keys = bands[:, band] * _MIX
        if blocks is not None:
            keys ^= blocks
        for members in _buckets(keys):
            if members.shape[1] <= LARGEST_BUCKET:
                left, right = np.triu_indices(members.shape[1], 1)
                found.add(members[:, left], members[:, right])
                continue
            crowded[members.ravel()] = True
            orders = orders or [_ranks(texts), _ranks([text[::-1] for text in texts])]
            for ranks in orders:
                ordered = np.take_along_axis(members, np.argsort(ranks[members], axis=1), axis=1)
                for step in range(1, WINDOW + 1):
                    found.add(ordered[:, :-step], ordered[:, step:])
    first, second = np.divmod(found.all(), max(1, len(texts)))
    return Candidates(first, second, int(crowded.sum()))


def resemblance(sketches: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The estimated Jaccard similarity of each pair of rows, 0 to 1; its standard error is at most 0.045."""
    estimates = np.empty(len(first))
    for begin in range(0, len(first), BATCH):
        part = slice(begin, begin + BATCH)
        estimates[part] = np.count_nonzero(sketches[first[part]] == sketches[second[part]], axis=1) / CELLS
    return estimates


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text[-LONGEST:].ljust(SHINGLE, "\0"))
        size += len(batch[-1])
        if len(batch) == BATCH or size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _sketched(batch: list[str]) -> np.ndarray:
    characters = np.frombuffer("".join(batch).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    ends = np.cumsum([len(text) for text in batch])
    runs = len(characters) - SHINGLE + 1
    hashes = characters[:runs] * _FACTORS[0]
    for offset in range(1, SHINGLE):
        hashes += characters[offset : offset + runs] * _FACTORS[offset]
    hashes ^= hashes >> np.uint64(29)
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(32)
    # No run reaches into the next text.
    inside = np.ones(runs, dtype=bool)
    for short_of in range(1, SHINGLE):
        inside[ends[:-1] - short_of] = False
    offsets = np.concatenate(([0], ends - (SHINGLE - 1) * np.arange(1, len(batch) + 1))).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes[inside], offsets, CELLS, SEED)
    cells = np.fromiter(chain.from_iterable(matrix.to_rows()), dtype=np.uint32, count=len(batch) * CELLS)
    return cells.astype("<u2").reshape(len(batch), CELLS)


def _buckets(keys: np.ndarray) -> Iterator[np.ndarray]:
    """Positions that share a key: an array (buckets, size) for each size of 2 and more that occurs."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(keys) else np.empty(0, dtype=np.int64)
    sizes = np.diff(starts, append=len(keys))
    for size in np.unique(sizes[sizes > 1]).tolist():
        yield order[starts[sizes == size][:, None] + np.arange(size)]


class _Pairs:
    """Pairs of positions, each as one number that sorts as the pair does; those found again take no more memory for long."""

    def __init__(self, sketches: np.ndarray, count: int, least: float) -> None:
        self._sketches, self._count, self._least = sketches, np.int64(count), least
        self._found = np.empty(0, dtype=np.int64)
        self._held: list[np.ndarray] = []
        self._size = 0

    def add(self, left: np.ndarray, right: np.ndarray) -> None:
        coded = np.minimum(left, right).ravel() * self._count + np.maximum(left, right).ravel()
        self._held.append(coded)
        self._size += len(coded)
        if self._size >= HELD:
            self._settle()

    def all(self) -> np.ndarray:
        self._settle()
        return self._found

    def _settle(self) -> None:
        fresh = _distinct(np.concatenate([np.empty(0, dtype=np.int64), *self._held]))
        if self._least > 0:
            fresh = fresh[resemblance(self._sketches, *np.divmod(fresh, self._count)) >= self._least]
        self._found = _distinct(np.concatenate([self._found, fresh]))
        self._held, self._size = [], 0


def _distinct(values: np.ndarray) -> np.ndarray:
    # By sorting: numpy's own way for so many values, a hash table, is several times slower.
    values.sort()
    return values[np.concatenate(([True], values[1:] != values[:-1]))[: len(values)]]


def _ranks(texts: Sequence[str]) -> np.ndarray:
    ranks = np.empty(len(texts), dtype=np.int64)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return ranks
