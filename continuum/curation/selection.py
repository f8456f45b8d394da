"""Which of the eligible examples to train on.

`active_learning` and `diversity` maximise the quality-weighted facility location

    F(S) = sum over all v of  max over s in S of  w_s * max(0, cos(v, s)),      w_s = d + (1 - d) * u_s

in which u is a priority from 0 to 1 and d the diversity coefficient. F is monotone and submodular, so the greedy answer is
within 1 - 1/e of the best (Nemhauser, Wolsey and Fisher 1978); the lazy greedy (Minoux 1978) finds it without asking every row
each time. `core_set` is the farthest-first traversal of Gonzalez (1985). `uncertainty` takes the highest uncertainty.
"""

from dataclasses import dataclass
from heapq import heapify, heappop, heappushpop
from math import ceil
from typing import Literal

import numpy as np

from continuum.curation.clusters import find_clusters
from continuum.embedding.neighbours import nearest

Strategy = Literal["active_learning", "diversity", "uncertainty", "core_set"]

DENSE_ROWS = 8000
"""Up to here all cosines are held at once, 256 MB of them; above, the rows are cut into clusters with quotas."""
PART_ROWS = 2500
DIVERSITY_FLOOR = 0.7
"""The least diversity coefficient of the strategy that is named after it."""
NEIGHBOURS = 10
DECIMALS = 4
"""Gains are compared to this precision, so that the last bits of another machine's arithmetic decide nothing."""


@dataclass(frozen=True)
class Wanted:
    """What to select and how."""

    strategy: Strategy
    size: int
    diversity: float


def select(vectors: np.ndarray, scores: np.ndarray, uncertainty: np.ndarray, wanted: Wanted) -> list[int]:
    """Positions of the chosen rows in the order they were chosen; all of them when no more are wanted than there are.

    Args:
        vectors: rows of length one.
        scores: 1 to 5, one a row.
        uncertainty: 0 to 1, one a row.
        wanted: the strategy, the size and the diversity coefficient.
    """
    if wanted.size >= len(vectors):
        return list(range(len(vectors)))
    if wanted.strategy == "core_set":
        return farthest_first(vectors, wanted.size)
    if wanted.strategy == "uncertainty":
        return np.argsort(-uncertainty, kind="stable")[: wanted.size].tolist()
    quality = ranks(scores)
    if wanted.strategy == "diversity":
        priority, diversity = quality, max(wanted.diversity, DIVERSITY_FLOOR)
    else:
        priority, diversity = (quality + uncertainty) / 2, wanted.diversity
    return _in_parts(vectors, diversity + (1 - diversity) * priority, wanted.size)


def uncertainty_of(vectors: np.ndarray, scores: np.ndarray, rows: np.ndarray, min_score: float) -> np.ndarray:
    """How unsure we are of some rows' inputs, 0 to 1: their score surprises, or their neighbours sit at the decision boundary.

    The score of a row is predicted by the mean of its nearest neighbours; the uncertainty is the mean of two ranks, of the
    distance between score and prediction and of the closeness of the prediction to `min_score`.

    Args:
        vectors: all scored rows, good and bad.
        scores: their scores, 1 to 5.
        rows: positions of the rows asked about.
        min_score: the boundary between examples and non-examples.
    """
    if len(vectors) <= 1 or not len(rows):
        return np.full(len(rows), 0.5)
    found = nearest(vectors[rows], vectors, NEIGHBOURS + 1).position
    predicted = np.array([scores[line[line != row][:NEIGHBOURS]].mean() for row, line in zip(rows, found, strict=True)])
    surprise = ranks(np.abs(scores[rows] - predicted))
    boundary = ranks(-np.abs(predicted - min_score))
    return (surprise + boundary) / 2


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks scaled to 0 to 1, equal values sharing the mean of theirs; 0.5 where all are equal."""
    if len(values) <= 1:
        return np.full(len(values), 0.5)
    _, group, counts = np.unique(np.round(values, DECIMALS), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts + 1) / 2
    return mean_rank[group] / (len(values) - 1)


def farthest_first(vectors: np.ndarray, size: int) -> list[int]:
    """k-center: start at the row nearest to the middle, then always take the row farthest from all taken."""
    middle = vectors.mean(axis=0)
    chosen = [int(np.argmax(np.round(vectors @ middle, DECIMALS)))]
    distance = 1 - vectors @ vectors[chosen[0]]
    while len(chosen) < size:
        distance[chosen[-1]] = -1.0
        following = int(np.argmax(np.round(distance, DECIMALS)))
        chosen.append(following)
        distance = np.minimum(distance, 1 - vectors @ vectors[following])
    return chosen


def facility_location(vectors: np.ndarray, weights: np.ndarray, size: int) -> list[int]:
    """Lazy greedy maximisation of the weighted facility location; positions in the order of their choice."""
    reach = vectors @ vectors.T
    np.maximum(reach, 0, out=reach)
    reach *= weights[:, None]
    covered = np.zeros(len(vectors), dtype=np.float32)
    # A gain only falls as more is covered: a row whose old gain is below another's fresh one need not be looked at.
    queue = [(-round(float(gain), DECIMALS), row) for row, gain in enumerate(reach.sum(axis=1, dtype=np.float64))]
    heapify(queue)
    chosen: list[int] = []
    while len(chosen) < size:
        entry = heappop(queue)
        while queue:
            gain = np.maximum(reach[entry[1]] - covered, 0).sum(dtype=np.float64)
            fresh = (-round(float(gain), DECIMALS), entry[1])
            best = heappushpop(queue, fresh)
            if best == fresh:
                break
            entry = best
        chosen.append(entry[1])
        covered = np.maximum(covered, reach[entry[1]])
    return chosen


def _in_parts(vectors: np.ndarray, weights: np.ndarray, size: int) -> list[int]:
    if len(vectors) <= DENSE_ROWS:
        return facility_location(vectors, weights, size)
    parts = _parts(vectors)
    quotas = _quotas([len(part) for part in parts], size)
    chosen = []
    for part, quota in zip(parts, quotas, strict=True):
        chosen += part[facility_location(vectors[part], weights[part], quota)].tolist()
    return chosen


def _parts(vectors: np.ndarray) -> list[np.ndarray]:
    """Rows in parts of like rows, each small enough to be looked at whole."""
    queue, parts = [np.arange(len(vectors))], []
    while queue:
        rows = queue.pop()
        if len(rows) <= DENSE_ROWS:
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
    exact = [total * size / sum(sizes) for size in sizes]
    quotas = [int(share) for share in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda part: (quotas[part] - exact[part], part))
    for part in by_remainder[: total - sum(quotas)]:
        quotas[part] += 1
    return quotas
