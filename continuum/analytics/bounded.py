"""Means and differences of scores from 0 to 1, with intervals that a sample without a surprise does not make certain.

Where all scores are one and the same, as on few questions, Student's interval has no width: a failure that happens once in thirty
answers has not been seen on twenty of them two times in three, and the difference would be called real. So one squared
difference of the whole scale is imagined beside those that were measured, as the guard imagines a failure
(`statistics/paired.with_worst_case`). And of fewer than ten independent groups nothing is told but the mean.

Simulated over skewed scores, rare failures and ties (20,000 samples a row; with it, and Student's without):

| differences | 20 groups | 50 groups | 200 groups |
|---|---|---|---|
| 5% lose 0.8, the rest gain 0.04 | 1.000, 0.641 | 0.921, 0.919 | 0.933, 0.933 |
| 3% lose 1, the rest gain 0.03 | 1.000, 0.455 | 0.999, 0.779 | 0.933, 0.927 |
| exponential, mean 0.1 | 1.000, 0.920 | 1.000, 0.935 | 0.983, 0.946 |
| 90% ties, the rest a star apart | 1.000, 0.874 | 1.000, 0.941 | 0.992, 0.951 |
| stars of two models of the same questions | 0.998, 0.952 | 0.984, 0.950 | 0.961, 0.951 |

The price is width: 47% more of it at 20 groups of stars, 21% at 50, 5% at 200.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from continuum.statistics.means import Estimate
from continuum.statistics.paired import Moments, Values, group_means, student_interval

LEAST_GROUPS = 10
"""Independent groups below which there is no interval, and so no word on a difference."""
IMAGINED_SQUARE = 1.0
"""One squared difference of the whole scale that nobody has seen yet."""


def bounded_mean(values: Sequence[float], groups: Sequence[str], *, least: float = 0.0) -> Estimate:
    """The mean over groups of at least one value, with its 95% interval inside the scale.

    Args:
        values: scores from 0 to 1, or differences of such scores.
        groups: the group of each.
        least: the lower end of the scale, whose upper end is 1: 0 for scores, -1 for differences.

    Returns:
        Without an interval where there are fewer than `LEAST_GROUPS` groups.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a mean needs at least one value, found none")
    means = group_means(values, groups)
    found = Estimate(float(means.mean()), None, None, len(values), len(means))
    if len(means) < LEAST_GROUPS:
        return found
    low, high = student_interval(_with_a_surprise(means))
    return replace(found, low=max(least, low), high=min(1.0, high))


def bounded_difference(
    values: Sequence[float], groups: Sequence[str], reference: Sequence[float], reference_groups: Sequence[str]
) -> Estimate:
    """The mean over groups of scores less that of other scores, taken as independent of them, with its 95% interval (Welch's).

    The items and groups of both are counted together. There is no interval where either has fewer than `LEAST_GROUPS` groups.

    Raises:
        ValueError: a sample is empty.
    """
    if not values or not reference:
        raise ValueError(f"a difference needs a value on either side, found {len(values)} and {len(reference)}")
    sides = [group_means(values, groups), group_means(reference, reference_groups)]
    found = Estimate(float(sides[0].mean() - sides[1].mean()), None, None, len(values) + len(reference), sum(map(len, sides)))
    if min(map(len, sides)) < LEAST_GROUPS:
        return found
    # Welch (1947), Biometrika 34, 28-35, with Satterthwaite's degrees of freedom.
    shares = [_with_a_surprise(side).error ** 2 for side in sides]
    freedom = sum(shares) ** 2 / sum(share**2 / (len(side) - 1) for share, side in zip(shares, sides, strict=True))
    low, high = student_interval(Moments(found.mean, math.sqrt(sum(shares) * (freedom + 1)), freedom + 1))
    return replace(found, low=max(-1.0, low), high=min(1.0, high))


def _with_a_surprise(means: Values) -> Moments:
    found = Moments.of(means)
    return replace(found, sd=math.sqrt(((found.n - 1) * found.sd**2 + IMAGINED_SQUARE) / found.n))
