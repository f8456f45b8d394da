"""The cost-quality frontier: which models no other beats at once in cost and in quality, and how sure that is.

Where latencies are known, a model must also be slower to be beaten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from continuum.analytics.bounded import bounded_mean
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
    latency_ms: float | None = None
    """The middle one; None where latency is no part of the frontier."""
    low: float | None = None
    """Lower end of the 95% interval of the quality; None below ten groups."""
    high: float | None = None
    items: int = 0
    """That the quality is the mean of."""


def frontier(
    quality: Mapping[str, Sequence[float]],
    cost_usd: Mapping[str, float],
    groups: Sequence[str],
    *,
    latency_ms: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[Standing]:
    """Every model's standing, the cheapest first.

    Args:
        quality: model to the quality of its answer to each item, the same items for all.
        cost_usd: model to its cost a query, taken as known.
        groups: the group of each item; whole groups are resampled, for all models at once.
        latency_ms: model to its latency, taken as known; None where only cost and quality count.
        seed: of the resampling.
    """
    models = sorted(quality, key=lambda model: (cost_usd[model], model))
    if not models or not groups:
        return []
    means = np.array([group_means(quality[model], groups) for model in models])
    prices = np.array([[cost_usd[model], *([latency_ms[model]] if latency_ms else [])] for model in models])
    drawn = np.random.default_rng(seed).integers(0, means.shape[1], size=(RESAMPLES, means.shape[1]))
    member = undominated(prices, means.mean(axis=1)[None, :])[0]
    share = undominated(prices, means[:, drawn].mean(axis=2).T).mean(axis=0)
    sure = [bounded_mean(quality[model], groups) for model in models]
    return [
        Standing(
            model,
            cost_usd[model],
            float(means[n].mean()),
            bool(member[n]),
            float(share[n]),
            latency_ms[model] if latency_ms else None,
            sure[n].low,
            sure[n].high,
            len(groups),
        )
        for n, model in enumerate(models)
    ]


def undominated(prices: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """For each row of qualities, which models no other matches in everything and beats in one.

    Args:
        prices: a model's price, or a row of its prices of several kinds, such as cost and latency.
        quality: rows with the quality of each model.
    """
    each = prices.reshape(len(prices), -1)
    no_dearer = (each[:, None, :] <= each[None, :, :]).all(axis=2)
    cheaper = (each[:, None, :] < each[None, :, :]).any(axis=2)
    no_worse = quality[:, :, None] >= quality[:, None, :]
    better = quality[:, :, None] > quality[:, None, :]
    dominates = no_dearer & no_worse & (cheaper | better)
    return np.asarray(~dominates.any(axis=1))
