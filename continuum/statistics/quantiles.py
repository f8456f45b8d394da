"""Quantiles of measurements that come in groups, such as latencies of calls in conversations, and how sure one may be of them.

Whole groups are drawn again (the cluster bootstrap, percentile interval). A tail takes many groups: the 95th percentile of 40
calls rests on two of them, so below `least_groups` nothing should be said.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from continuum.statistics.means import Estimate
from continuum.statistics.paired import group_places

RESAMPLES = 1000
LEVEL = 0.95
TAIL_GROUPS = 5
"""Groups that must lie beyond a quantile, on its thinner side, at the least."""


def least_groups(share: float) -> int:
    """How many groups a quantile takes.

    Args:
        share: of the values that lie below it, above 0 and below 1.
    """
    return math.ceil(TAIL_GROUPS / min(share, 1 - share) - 1e-9)


def quantile_estimate(values: Sequence[float], groups: Sequence[str], share: float, *, seed: int = 0) -> Estimate:
    """A quantile with its two-sided 95% interval.

    Args:
        values: at least one measurement.
        groups: the group of each.
        share: of the values that lie below it, above 0 and below 1.
        seed: of the resampling.

    Raises:
        ValueError: there is no value, or the lengths differ.
    """
    found, drawn = _drawn(values, groups, share, np.random.default_rng(seed))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(found, float(low), float(high), len(values), len(set(groups)))


def quantile_difference(
    values: Sequence[float],
    groups: Sequence[str],
    reference: Sequence[float],
    reference_groups: Sequence[str],
    share: float,
    *,
    seed: int = 0,
) -> Estimate:
    """The same quantile of one sample less that of another, which shares nothing with it, with its two-sided 95% interval.

    Raises:
        ValueError: a sample is empty, or its lengths differ.
    """
    rng = np.random.default_rng(seed)
    found, drawn = _drawn(values, groups, share, rng)
    other, drawn_other = _drawn(reference, reference_groups, share, rng)
    low, high = np.quantile(drawn - drawn_other, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    counted = len(values) + len(reference), len(set(groups)) + len(set(reference_groups))
    return Estimate(found - other, float(low), float(high), *counted)


def _drawn(
    values: Sequence[float], groups: Sequence[str], share: float, rng: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    """The quantile, and what it is of resampled groups."""
    if not values or len(values) != len(groups):
        raise ValueError(f"a quantile needs at least one value and a group for each, found {len(values)} and {len(groups)}")
    scores, places = np.asarray(values, dtype=float), group_places(groups)
    order = np.lexsort((places, scores))
    scores, places = scores[order], places[order]
    number = int(places.max()) + 1

    def quantile(times: NDArray[np.intp]) -> float:
        below = np.cumsum(times[places])
        return float(scores[np.searchsorted(below, share * below[-1])])

    drawn = [quantile(np.bincount(rng.integers(0, number, number), minlength=number)) for _ in range(RESAMPLES)]
    return quantile(np.ones(number, dtype=np.intp)), np.array(drawn)
