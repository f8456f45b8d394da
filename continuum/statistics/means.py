"""One mean and how sure of it one may be, when items come in groups."""

from collections.abc import Sequence
from dataclasses import dataclass

from continuum.statistics.paired import group_means, t_interval


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
