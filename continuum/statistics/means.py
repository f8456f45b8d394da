"""One mean and how sure of it one may be, when items come in groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from continuum.statistics.paired import Moments, group_means, student_interval, t_interval


@dataclass(frozen=True)
class Estimate:
    """A mean over groups with its two-sided 95% interval."""

    mean: float
    low: float | None
    """None with a single group: nothing is known of the spread."""
    high: float | None
    items: int
    groups: int


def estimate(values: Sequence[float], groups: Sequence[str]) -> Estimate:
    """The mean over groups of at least one value, with Student's interval.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a mean needs at least one value, found none")
    means = group_means(values, groups)
    low, high = t_interval(means) if len(means) > 1 else (None, None)
    return Estimate(float(means.mean()), low, high, len(values), len(means))


def estimate_difference(
    values: Sequence[float], groups: Sequence[str], reference: Sequence[float], reference_groups: Sequence[str]
) -> Estimate:
    """The mean over groups of one sample less that of another, taken as independent of it, with Welch's interval.

    The items and groups of both are counted together. There is no interval where either has a single group.

    Raises:
        ValueError: a sample is empty.
    """
    if not values or not reference:
        raise ValueError(f"a difference needs a value on either side, found {len(values)} and {len(reference)}")
    sides = [group_means(values, groups), group_means(reference, reference_groups)]
    difference, number = float(sides[0].mean() - sides[1].mean()), sum(map(len, sides))
    low = high = None
    if min(map(len, sides)) > 1:
        # Welch (1947), Biometrika 34, 28-35, with Satterthwaite's degrees of freedom.
        shares = [Moments.of(side).error ** 2 for side in sides]
        error = math.sqrt(sum(shares))
        weights = sum(share**2 / (len(side) - 1) for share, side in zip(shares, sides, strict=True))
        freedom = error**4 / weights if weights > 0 else number - 2
        low, high = student_interval(Moments(difference, error * math.sqrt(freedom + 1), freedom + 1))
    return Estimate(difference, low, high, len(values) + len(reference), number)
