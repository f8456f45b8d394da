"""Which of the eligible examples to train on.

`active_learning` and `diversity` maximise the weighted facility location

    F(S) = sum over all v of  max over s in S of  w_s * max(0, cos(v, s)),      w_s = d + (1 - d) * u_s

in which d is the diversity coefficient. For `active_learning` u is the rank among the eligible of half quality and half
uncertainty, themselves ranks; for `diversity` it is 1, which is coverage alone. F is monotone and submodular, so the greedy
answer is within 1 - 1/e of the best (Nemhauser, Wolsey and Fisher 1978); the lazy greedy (Minoux 1978) finds that very answer
without asking every row each time. `core_set` is the farthest-first traversal of Gonzalez (1985), the k-center of Sener and
Savarese (2018). `uncertainty` takes the highest uncertainty: rows for a second judge and for people before they are trained on.
"""

from dataclasses import dataclass
from heapq import heapify, heappop, heappushpop
from math import ceil
from typing import Literal

import numpy as np

from continuum.embedding.clusters import find_clusters
from continuum.embedding.cosines import SQUARE, directions, total, whole

Strategy = Literal["active_learning", "diversity", "uncertainty", "core_set"]

DENSE_ROWS = 8000
"""Up to here all cosines are held at once, 256 MB of them; above, the rows are cut into clusters with quotas."""
PART_ROWS = 2500
"""Rows a part has on average, and half of what it may have."""
WEIGHTS = 1000
"""Weights are rounded to this part of one, and cosines to as many parts that a product of both is exact in float32."""
COSINES = 1024
BATCH = 256
"""Rows whose distance to the chosen is brought up to date together."""
DECIMALS = 4
"""Scores are told apart to this precision."""


@dataclass(frozen=True)
class Wanted:
    """What to select and how."""

    strategy: Strategy
    size: int
    diversity: float
    """0 to 1: 0 weighs by priority most, 1 looks at coverage alone."""


def select(vectors: np.ndarray, scores: np.ndarray, uncertainty: np.ndarray, wanted: Wanted) -> list[int]:
    """Positions of the chosen rows in the order they were chosen; all of them when no more are wanted than there are.

    Whole-number arithmetic decides, and the lower position where two rows are equal, so that equal rows in an equal order
    give equal answers on any machine; callers order rows by id.

    Args:
        vectors: rows of length one, shape (rows, dimensions).
        scores: 1 to 5, one a row.
        uncertainty: 0 to 1, one a row.
        wanted: the strategy, the size and the diversity coefficient.
    """
    if wanted.size >= len(vectors):
        return list(range(len(vectors)))
    if wanted.strategy == "core_set":
        return farthest_first(vectors, wanted.size)
    if wanted.strategy == "uncertainty":
        return by_uncertainty(scores, uncertainty)[: wanted.size]
    if wanted.strategy == "diversity":
        return _in_parts(vectors, np.ones(len(vectors)), wanted.size)
    return _in_parts(vectors, weights_of(scores, uncertainty, wanted.diversity), wanted.size)


def by_uncertainty(scores: np.ndarray, uncertainty: np.ndarray) -> list[int]:
    """All positions, the most uncertain first; of equals the lower score, nearer to the threshold that all of them passed."""
    return np.lexsort((np.round(scores, DECIMALS), -np.round(uncertainty, DECIMALS))).tolist()


def weights_of(scores: np.ndarray, uncertainty: np.ndarray, diversity: float) -> np.ndarray:
    """What the coverage by each row counts for, d to 1: w = d + (1 - d) u, u the rank of half quality and half uncertainty.

    The sum of two ranks crowds in the middle, which makes its few extremes weigh too much; its rank does not.
    """
    return diversity + (1 - diversity) * ranks((ranks(scores) + ranks(uncertainty)) / 2)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks scaled to 0 to 1, equal values sharing the mean of theirs; 0.5 where all are equal."""
    if len(values) <= 1:
        return np.full(len(values), 0.5)
    _, group, counts = np.unique(np.round(values, DECIMALS), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts + 1) / 2
    return mean_rank[group] / (len(values) - 1)


def farthest_first(vectors: np.ndarray, size: int) -> list[int]:
    """k-center: start at the row nearest to the middle, then always take the row farthest from all taken.

    A row's distance to the chosen only falls, so one whose distance was below the farthest before is not looked at again.
    """
    rows = whole(vectors)
    first = int(np.argmax(rows @ directions(total(rows))[0]))
    chosen = [first]
    distance = SQUARE - rows @ rows[first]
    distance[first] = -np.inf
    compared = np.ones(len(rows), dtype=np.intp)
    taken = np.empty((size, rows.shape[1]), dtype=np.float32)
    taken[0] = rows[first]
    while len(chosen) < size:
        following = int(np.argmax(distance))
        while compared[following] < len(chosen):
            stale = np.flatnonzero((compared < len(chosen)) & (distance > -np.inf))
            if len(stale) > BATCH:
                stale = stale[np.argpartition(-distance[stale], BATCH)[:BATCH]]
            since = int(compared[stale].min())
            fresh = SQUARE - (rows[stale] @ taken[since : len(chosen)].T).max(axis=1)
            distance[stale] = np.minimum(distance[stale], fresh)
            compared[stale] = len(chosen)
            following = int(np.argmax(distance))
        taken[len(chosen)] = rows[following]
        chosen.append(following)
        distance[following] = -np.inf
    return chosen


def facility_location(vectors: np.ndarray, weights: np.ndarray, size: int) -> list[int]:
    """Greedy maximisation of the weighted facility location; positions in the order of their choice.

    Args:
        vectors: rows of length one; as many at most as their cosines fit into memory, 4 bytes each.
        weights: 0 to 1, one a row.
        size: how many to choose, no more than there are rows.
    """
    reach = _reach(vectors, weights)
    covered = np.zeros(len(vectors), dtype=np.float32)
    left = np.empty_like(covered)
    # A gain only falls as more is covered: a row whose old gain is below another's fresh one need not be looked at.
    queue = [(-gain, row) for row, gain in enumerate(reach.sum(axis=1, dtype=np.float64).tolist())]
    heapify(queue)
    chosen: list[int] = []
    while len(chosen) < size:
        entry = heappop(queue)
        while queue:
            np.subtract(reach[entry[1]], covered, out=left)
            np.maximum(left, 0, out=left)
            fresh = (-float(left.sum(dtype=np.float64)), entry[1])
            best = heappushpop(queue, fresh)
            if best == fresh:
                break
            entry = best
        chosen.append(entry[1])
        np.maximum(covered, reach[entry[1]], out=covered)
    return chosen


def _reach(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """w_s * max(0, cos(s, v)) in whole numbers below 2^24, in place: one matrix of this size is the most that is held."""
    rows = whole(vectors)
    reach = rows @ rows.T
    np.maximum(reach, 0, out=reach)
    reach *= np.float32(1 / COSINES)
    np.floor(reach, out=reach)
    reach *= np.rint(weights * WEIGHTS).astype(np.float32)[:, None]
    return reach


def _in_parts(vectors: np.ndarray, weights: np.ndarray, size: int) -> list[int]:
    if len(vectors) <= DENSE_ROWS:
        return facility_location(vectors, weights, size)
    parts = _parts(vectors)
    quotas = _quotas([len(part) for part in parts], size)
    chosen: list[int] = []
    for part, quota in zip(parts, quotas, strict=True):
        if quota:
            chosen += part[facility_location(vectors[part], weights[part], quota)].tolist()
    return chosen


def _parts(vectors: np.ndarray) -> list[np.ndarray]:
    """Rows in parts of like rows, each small enough to be looked at whole."""
    queue, parts = [np.arange(len(vectors))], []
    while queue:
        rows = queue.pop()
        if len(rows) <= 2 * PART_ROWS:
            parts.append(rows)
            continue
        count = ceil(len(rows) / PART_ROWS)
        clusters = find_clusters(vectors[rows], seed=0, count=count)
        if len(clusters.centroids) > 1:
            queue += [rows[clusters.assigned == cluster] for cluster in range(len(clusters.centroids))]
        else:
            # Equal rows have no clusters; any cut is as good.
            queue += np.array_split(rows, count)
    return parts


def _quotas(sizes: list[int], total: int) -> list[int]:
    """Shares of `total` in proportion to the sizes, by largest remainder."""
    quotas = [total * size // sum(sizes) for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda part: (-(total * sizes[part] % sum(sizes)), part))
    for part in by_remainder[: total - sum(quotas)]:
        quotas[part] += 1
    return quotas
