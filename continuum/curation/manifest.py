"""What a training set says of itself: how it was made, what each stage left out, and the fingerprint it is known by."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from continuum.curation.clusters import Clusters, cluster_table, coverage, packed
from continuum.curation.duplicates import Distinct
from continuum.curation.leaks import Sealed
from continuum.curation.pool import Pool, Traffic
from continuum.curation.quality import score_histogram
from continuum.curation.selection import Strategy
from continuum.policy import SplitPolicy
from continuum.records import Example, Message

FORMAT = 1
"""Grows when the same inputs would give another dataset than before."""


@dataclass(frozen=True)
class Recipe:
    """What decides, besides the data, what a training set holds."""

    strategy: Strategy
    target_size: int
    min_quality_score: float
    diversity_coefficient: float
    deduplication_threshold: float
    min_examples: int
    time_window: str | None
    only_new: bool
    seed: int


@dataclass(frozen=True)
class Assembled:
    """The results of all stages."""

    traffic: Traffic
    pool: Pool
    distinct: Distinct
    sealed: Sealed
    clusters: Clusters
    """Of the rows of `sealed`."""
    positions: list[int]
    """The chosen rows of `sealed`."""
    examples: list[Example]
    """The chosen rows, by interaction id."""


def configuration(recipe: Recipe, splits: SplitPolicy, embedder_id: str) -> dict[str, Any]:
    """Everything that decides the outcome on given data."""
    return {**asdict(recipe), "embedder": embedder_id, "splits": splits.model_dump(mode="json")}


def fingerprint_of(task: str, config: dict[str, Any], examples: Sequence[Example]) -> str:
    """SHA-256 over what would be learned and how it was chosen; clusters describe and do not decide, so they are left out."""
    digest = sha256(json.dumps({"format": FORMAT, "task": task, "config": config}, sort_keys=True).encode() + b"\n")
    for example in examples:
        row = example.model_dump(mode="json", exclude={"cluster"}, exclude_none=True)
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def manifest_of(built: Assembled, config: dict[str, Any], parents: dict[str, str | None]) -> dict[str, Any]:
    """The manifest without the version's name and date."""
    texts = [_asked(rated.interaction.messages) for rated in built.sealed.kept]
    return {
        "format": FORMAT,
        "config": config,
        "source_interactions": len(built.traffic.interactions),
        "older_interactions": built.traffic.older,
        "after": built.traffic.after,
        "through": built.traffic.through,
        "window": _window(built.traffic),
        "counts": _counts(built),
        "score_histogram": score_histogram([rated.score for rated in built.pool.scored]),
        "splits": built.traffic.sides.report.as_dict(),
        "parents": parents,
        "intent_coverage": coverage(built.clusters, built.positions),
        "clusters": cluster_table(built.clusters, built.sealed.vectors, texts, built.positions),
        "centroids": packed(built.clusters.centroids),
    }


def _asked(messages: Sequence[Message]) -> str:
    """The last thing a user said: what a reader recognises an intent by."""
    return next((message.text for message in reversed(messages) if message.role == "user"), messages[-1].action)


def _counts(built: Assembled) -> dict[str, int]:
    sides = [example.split for example in built.examples]
    return built.pool.counts | {
        "exact_duplicates": built.distinct.exact,
        "near_duplicates": built.distinct.near,
        "near_golden": built.sealed.near_golden,
        "eligible": len(built.sealed.kept),
        "selected": len(sides),
        "train": sides.count("train"),
        "validation": sides.count("validation"),
    }


def _window(traffic: Traffic) -> dict[str, str | None]:
    times = [interaction.started_at for interaction in traffic.interactions]
    return {"first": min(times).isoformat() if times else None, "last": max(times).isoformat() if times else None}
