"""Other ways to choose, as their authors or first drafts have it, to be measured beside ours."""

from heapq import heapify, heappop, heappushpop

import numpy as np


def score_first(vectors: np.ndarray, scores: np.ndarray, size: int, most_alike: float) -> list[int]:
    """Best score first, leaving out what is too like a row that was taken (Liu et al. 2024, DEITA).

    Args:
        vectors: rows of length one.
        scores: one a row.
        size: how many to choose; fewer come back where the rest is too alike.
        most_alike: cosine above which a row is left out.
    """
    chosen: list[int] = []
    nearest = np.full(len(vectors), -1.0, dtype=np.float32)
    for row in np.argsort(-scores, kind="stable").tolist():
        if nearest[row] <= most_alike:
            chosen.append(row)
            nearest = np.maximum(nearest, vectors @ vectors[row])
        if len(chosen) == size:
            break
    return chosen


def raw_sum(vectors: np.ndarray, quality: np.ndarray, size: int, diversity: float) -> list[int]:
    """(1 - d) times the mean quality plus d times the share of the coverage, by lazy greedy.

    Args:
        vectors: rows of length one.
        quality: ranks from 0 to 1.
        size: how many to choose.
        diversity: d.
    """
    reach = np.maximum(vectors @ vectors.T, 0)
    covered = np.zeros(len(vectors), dtype=np.float32)
    worth = (1 - diversity) * quality / size
    share = diversity / float(reach.max(axis=0).sum(dtype=np.float64))
    queue = [(-float(worth[row] + share * gain), row) for row, gain in enumerate(reach.sum(axis=1, dtype=np.float64))]
    heapify(queue)
    chosen: list[int] = []
    while len(chosen) < size:
        entry = heappop(queue)
        while queue:
            gain = np.maximum(reach[entry[1]] - covered, 0).sum(dtype=np.float64)
            fresh = (-float(worth[entry[1]] + share * gain), entry[1])
            best = heappushpop(queue, fresh)
            if best == fresh:
                break
            entry = best
        chosen.append(entry[1])
        covered = np.maximum(covered, reach[entry[1]])
    return chosen
