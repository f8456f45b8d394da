"""Intents found rather than given: spherical k-means over the eligible questions, in whole numbers.

The centroids of one version are frozen: the next version assigns its rows to the same ones, so that the coverage of the two can
be compared. What was far from all of them when they were fitted is the measure of what is new to them later.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from continuum.embedding.cosines import SQUARE, directions, whole
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt

COUNTS = (10, 20, 40, 80, 160)
"""Numbers of clusters that are tried."""
SAMPLE_ROWS = 5000
FIT_ROWS = 20_000
JOINED_ROWS = 4000
"""Joining takes the square of the rows, here 64 MB."""
ROWS_OF_CENTROID = 128
"""A fit learns from so many rows a cluster at most; more would move the centroids little."""
ITERATIONS = 25
FEWEST_ROWS = 5
"""A cluster of fewer rows, or of a smaller share than the next, is dropped and its rows go to the nearest that is left."""
SMALLEST_SHARE = 0.001
NOVEL_PERCENTILE = 1
NAMING_TEXTS = 3
NAMING_LENGTH = 80


@dataclass(frozen=True)
class Clusters:
    """Centroids, and the cluster of each row."""

    centroids: np.ndarray
    """Rows of length one in 4000ths, see `continuum.embedding.cosines`; shape (clusters, dimensions)."""
    assigned: np.ndarray
    """Row to cluster; shape (rows,)."""
    cosine: np.ndarray
    """Row to the cosine with its centroid; shape (rows,)."""

    @property
    def floor(self) -> float:
        """The cosine below which a row is novel: the 1st percentile of these rows, -1 where there are none."""
        return float(np.percentile(self.cosine, NOVEL_PERCENTILE, method="lower")) if len(self.cosine) else -1.0


def find_clusters(vectors: np.ndarray, seed: int, count: int | None = None) -> Clusters:
    """Spherical k-means (Dhillon and Modha 2001) with k-means++ starts.

    Args:
        vectors: rows of length one, shape (rows, dimensions).
        seed: of the starts; the same rows in the same order and the same seed give the same clusters on any machine.
        count: how many to look for; where None, of a handful of numbers the one with the best silhouette. Empty ones are
            dropped, and where None small ones too.
    """
    if not len(vectors):
        return Clusters(np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64), np.zeros(0))
    rows = whole(vectors)
    if count is not None:
        fitted = _sample(rows, min(FIT_ROWS, ROWS_OF_CENTROID * count), seed)
        return assign(rows, _used(fitted, _k_means(fitted, count, seed), fewest=1))
    sample = _sample(rows, SAMPLE_ROWS, seed)
    best = max(_counts(len(sample)), key=lambda tried: (silhouette(sample, _k_means(sample, tried, seed)), -tried))
    fitted = _sample(rows, min(FIT_ROWS, ROWS_OF_CENTROID * best), seed)
    fewest = max(FEWEST_ROWS, int(SMALLEST_SHARE * len(fitted)))
    return assign(rows, _used(fitted, _k_means(fitted, best, seed), fewest))


def join_clusters(vectors: np.ndarray, count: int, seed: int) -> Clusters:
    """Clusters by joining the nearest again and again (Ward 1963): purer than `find_clusters` on few rows, and dearer.

    Args:
        vectors: rows of length one, shape (rows, dimensions).
        count: how many to leave, at most.
        seed: of the sample that is joined where there are many rows; the others go to the nearest of what it gives.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    rows = whole(vectors)
    sample = _sample(rows, JOINED_ROWS, seed)
    if len(sample) < 2:
        return assign(rows, sample)
    joined = fcluster(linkage(sample.astype(np.float64), "ward"), count, "maxclust")
    sums = [sample[joined == cluster].sum(axis=0, dtype=np.float64) for cluster in np.unique(joined)]
    return assign(rows, directions(np.array(sums)))


def assign(rows: np.ndarray, centroids: np.ndarray) -> Clusters:
    """Each whole row with its nearest centroid, the first of equally near ones."""
    if not len(centroids):
        return Clusters(centroids, np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows)))
    near = rows @ centroids.T
    assigned = near.argmax(axis=1)
    return Clusters(centroids, assigned, near[np.arange(len(rows)), assigned].astype(np.float64) / SQUARE)


def silhouette(rows: np.ndarray, centroids: np.ndarray) -> float:
    """Mean simplified silhouette, -1 to 1: distances to centroids stand for mean distances to their rows (Hruschka 2006)."""
    if len(centroids) < 2:
        return -1.0
    near = SQUARE - np.sort(rows @ centroids.T, axis=1)[:, -2:].astype(np.float64)
    # The largest cosine is the last, so the own distance is the smaller one.
    own, other = np.maximum(near[:, 1], 0), np.maximum(near[:, 0], 1)
    return round(float(((other - own) / np.maximum(own, other)).mean()), 6)


def packed(clusters: Clusters, embedder_id: str) -> dict[str, Any]:
    """Frozen centroids for a manifest: base64 of little-endian 16-bit whole numbers, row by row."""
    return {
        "embedder": embedder_id,
        "shape": list(clusters.centroids.shape),
        "dtype": "<i2",
        "base64": b64encode(clusters.centroids.astype("<i2").tobytes()).decode("ascii"),
        "floor": clusters.floor,
    }


@dataclass(frozen=True)
class Frozen:
    """Centroids of an earlier version."""

    centroids: np.ndarray
    floor: float
    """The cosine with the nearest centroid below which a row is novel to them."""


def unpacked(stored: Mapping[str, Any], embedder_id: str) -> Frozen:
    """What `packed` packed.

    Raises:
        ConfigurationError: the centroids are of another embedder, or what is stored is damaged.
    """
    if stored.get("embedder") != embedder_id:
        raise ConfigurationError(
            f"the stored centroids are of embedder {stored.get('embedder')!r}, the vectors of {embedder_id!r}; "
            "only vectors of one embedder can be compared: fit the clusters again"
        )
    try:
        rows, dimensions = (int(size) for size in stored["shape"])
        values = np.frombuffer(b64decode(stored["base64"], validate=True), dtype="<i2").reshape(rows, dimensions)
        return Frozen(values.astype(np.float32), float(stored["floor"]))
    except (KeyError, TypeError, ValueError, NotBase64) as error:
        raise ConfigurationError(f"the stored centroids cannot be read ({error}); fit the clusters again") from error


def in_words(vectors: np.ndarray, texts: Sequence[str], members: np.ndarray) -> list[str]:
    """A class in words: the texts nearest to its middle, each once, shortened.

    Args:
        vectors: rows of length one, of all texts.
        texts: one a row.
        members: the rows of the class.
    """
    rows = whole(vectors[members])
    order = np.argsort(-(rows @ directions(rows.sum(axis=0, keepdims=True, dtype=np.float64))[0]), kind="stable")
    nearest: list[int] = members[order].tolist()
    return list(dict.fromkeys(excerpt(texts[row], NAMING_LENGTH) for row in nearest))[:NAMING_TEXTS]


def _counts(rows: int) -> list[int]:
    """Those of the numbers with at least five rows a cluster; for few rows the square root of half of them."""
    return [count for count in COUNTS if count * FEWEST_ROWS <= rows] or [max(1, round(sqrt(rows / 2)))]


def _sample(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))]


def _k_means(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    centroids = _starts(rows, count, np.random.default_rng(seed))
    exact = rows.astype(np.float64)
    for _ in range(ITERATIONS):
        assigned = (rows @ centroids.T).argmax(axis=1)
        order = np.argsort(assigned, kind="stable")
        used, begins = np.unique(assigned[order], return_index=True)
        moved = centroids.copy()
        moved[used] = directions(np.add.reduceat(exact[order], begins, axis=0))
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def _used(rows: np.ndarray, centroids: np.ndarray, fewest: int) -> np.ndarray:
    """The centroids with at least so many rows; the largest one where none has."""
    sizes = np.bincount((rows @ centroids.T).argmax(axis=1), minlength=len(centroids))
    kept = sizes >= fewest
    return centroids[kept] if kept.any() else centroids[[int(sizes.argmax())]]


def _starts(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++ (Arthur and Vassilvitskii 2007): each start is drawn by its squared distance to those before it."""
    starts = [int(rng.integers(len(rows)))]
    # Rows that differ in rounding alone are equal.
    spare = SQUARE // 1000
    distance = np.maximum(0, SQUARE - rows @ rows[starts[0]] - spare)
    while len(starts) < count:
        reached = np.cumsum(distance, dtype=np.float64)
        if not reached[-1]:
            break
        starts.append(int(np.searchsorted(reached, rng.integers(int(reached[-1])), side="right")))
        distance = np.minimum(distance, np.maximum(0, SQUARE - rows @ rows[starts[-1]] - spare))
    return rows[starts]
