"""The cost-quality frontier: which models no other beats at once in cost and in quality, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from continuum.statistics.paired import group_means

RESAMPLES = 1000


@dataclass(frozen=True)
class Standing:
    """Where a model stands in cost and quality."""

    model: str
    cost_usd: float
    """A query."""
    quality: float
    """0 to 1: the mean of the metrics."""
    on_frontier: bool
    probability: float
    """Of being on the frontier, 0 to 1, over resampled golden groups."""


def frontier(
    quality: Mapping[str, Sequence[float]], cost_usd: Mapping[str, float], groups: Sequence[str], *, seed: int = 0
) -> list[Standing]:
    """Every model's standing, the cheapest first.

    Args:
        quality: model to the quality of its answer to each item, the same items for all.
        cost_usd: model to its cost a query, taken as known.
        groups: the group of each item; whole groups are resampled, for all models at once.
        seed: of the resampling.
    """
    models = sorted(quality, key=lambda model: (cost_usd[model], model))
    if not models or not groups:
        return []
    means = np.array([group_means(quality[model], groups) for model in models])
    costs = np.array([cost_usd[model] for model in models])
    drawn = np.random.default_rng(seed).integers(0, means.shape[1], size=(RESAMPLES, means.shape[1]))
    member = undominated(costs, means.mean(axis=1)[None, :])[0]
    share = undominated(costs, means[:, drawn].mean(axis=2).T).mean(axis=0)
    return [
        Standing(model, float(costs[n]), float(means[n].mean()), bool(member[n]), float(share[n]))
        for n, model in enumerate(models)
    ]


def undominated(costs: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """For each row of qualities, which models no other matches in both and beats in one."""
    no_dearer = costs[:, None] <= costs[None, :]
    cheaper = costs[:, None] < costs[None, :]
    no_worse = quality[:, :, None] >= quality[:, None, :]
    better = quality[:, :, None] > quality[:, None, :]
    dominates = no_dearer & no_worse & (cheaper | better)
    return np.asarray(~dominates.any(axis=1))
