"""Intents, found rather than given: spherical k-means over the eligible questions, and how many of them a selection covers."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

MOST_CLUSTERS = 40
ITERATIONS = 25
FIT_ROWS = 20_000
NAMING_TEXTS = 3
NAMING_LENGTH = 80


@dataclass(frozen=True)
class Clusters:
    """Centroids of length one, and the cluster of each row."""

    centroids: np.ndarray
    assigned: np.ndarray


def find_clusters(vectors: np.ndarray, seed: int, count: int | None = None) -> Clusters:
    """Spherical k-means (Dhillon and Modha 2001) with k-means++ starts.

    `count` clusters are looked for; as many as the square root of half the rows, up to 40, where none is given. Empty ones are
    dropped. The same rows in the same order and the same seed give the same clusters.
    """
    if not len(vectors):
        return Clusters(np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64))
    rng = np.random.default_rng(seed)
    rows = vectors if len(vectors) <= FIT_ROWS else vectors[np.sort(rng.choice(len(vectors), FIT_ROWS, replace=False))]
    centroids = _starts(rows, count or min(MOST_CLUSTERS, max(1, round(sqrt(len(rows) / 2)))), rng)
    for _ in range(ITERATIONS):
        assigned = assign(rows, centroids)
        sums = np.zeros_like(centroids)
        np.add.at(sums, assigned, rows)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        moved = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centroids)
        if np.allclose(moved, centroids, atol=1e-6):
            break
        centroids = moved
    used, assigned = np.unique(assign(vectors, centroids), return_inverse=True)
    return Clusters(centroids[used].astype(np.float32), assigned)


def assign(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The nearest centroid of each row."""
    return (vectors @ centroids.T).argmax(axis=1)


def coverage(clusters: Clusters, chosen: Sequence[int]) -> float:
    """Share of the clusters, 0 to 1, that have at least one of the chosen rows."""
    if not len(clusters.centroids):
        return 0.0
    return len(set(clusters.assigned[list(chosen)].tolist())) / len(clusters.centroids)


def cluster_table(clusters: Clusters, vectors: np.ndarray, texts: Sequence[str], chosen: Sequence[int]) -> list[dict[str, Any]]:
    """One row a cluster: its size, how many of it were chosen, and the texts nearest to its middle as its name."""
    picked = set(chosen)
    table = []
    for cluster, centroid in enumerate(clusters.centroids):
        members = np.flatnonzero(clusters.assigned == cluster)
        nearest = members[np.argsort(-(vectors[members] @ centroid), kind="stable")]
        names = list(dict.fromkeys(texts[row][:NAMING_LENGTH] for row in nearest))[:NAMING_TEXTS]
        selected = sum(row in picked for row in members.tolist())
        table.append({"cluster": cluster, "eligible": len(members), "selected": selected, "examples": names})
    return table


def packed(centroids: np.ndarray) -> dict[str, Any]:
    """The centroids for a manifest: base64 of little-endian float16, row by row."""
    return {
        "shape": list(centroids.shape),
        "dtype": "<f2",
        "base64": b64encode(centroids.astype("<f2").tobytes()).decode("ascii"),
    }


def _starts(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++ (Arthur and Vassilvitskii 2007): each start is drawn by its squared distance to those before it."""
    first = int(rng.integers(len(rows)))
    starts = [first]
    distance = np.maximum(0.0, 1.0 - rows @ rows[first]).astype(np.float64)
    while len(starts) < count and distance.max() > 1e-6:
        following = int(rng.choice(len(rows), p=distance / distance.sum()))
        starts.append(following)
        distance = np.minimum(distance, np.maximum(0.0, 1.0 - rows @ rows[following]))
    return rows[starts].astype(np.float32)
