"""What is left of an estimate that was looked at because it was large: inference given that it was selected.

An estimate x with the distribution N(theta, s^2) that is reported only from a limit c up is too large on average: the winner's
curse. Given its selection it is normal, cut off below c, and the chance of a value up to x falls as theta grows. The theta at
which that chance is 1/2 is the median-unbiased estimate; those at which it is .975 and .025 end an exact 95% interval.
This is the truncated Gaussian pivot of Lee, Sun, Sun and Taylor (2016), "Exact post-selection inference, with application to the
lasso", Ann. Statist. 44, 907-927; the conditional likelihood behind it is that of Zhong and Prentice (2008), "Bias-reduced
estimators and confidence intervals for odds ratios in genome-wide association studies", Biostatistics 9, 621-634.

A value far above the limit is left nearly as it is. One close to it says next to nothing: its interval reaches far down.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from continuum.statistics.paired import Moments, student_p, with_worst_case

METHOD = "median-unbiased given selection (truncated normal; Lee et al. 2016, Zhong and Prentice 2008)"
NORMAL_WIDTH = 2 * 1.959963984540054
"""Standard errors in a 95% interval."""
EDGE = 1.0
"""The largest difference there is, on a scale from 0 to 1."""


@dataclass(frozen=True)
class GivenSelection:
    """An estimate, corrected for having been selected."""

    mean: float
    """Below the truth as often as above it, from -1 to 1."""
    low: float
    """Lower end of the 95% interval, from -1 to 1."""
    high: float
    limit: float
    """The least value that would have been selected."""


def given_selection(value: float, error: float, limit: float, *, level: float = 0.95) -> GivenSelection:
    """Correct an estimate for having been selected because it was not below a limit.

    Args:
        value: the estimate, -1 to 1.
        error: its standard error, taken as known.
        limit: from where on it was selected.
        level: how surely the interval is to hold the truth.

    Raises:
        ValueError: the value is below the limit, so that something else selected it, or the error is negative.
    """
    if value < limit or error < 0:
        raise ValueError(f"a value selected from {limit} up cannot be {value} with an error of {error}")
    if error == 0:
        return GivenSelection(value, value, value, limit)
    from scipy import special

    def chance(theta: float) -> float:
        """Of a value up to the one that was found, given that it was selected."""
        above, selected = special.log_ndtr((theta - value) / error), special.log_ndtr((theta - limit) / error)
        return -math.expm1(above - selected)

    def theta(share: float) -> float:
        return _root(lambda one: chance(one) - share)

    return GivenSelection(theta(0.5), theta((1 + level) / 2), theta((1 - level) / 2), limit)


def least_approved(sd: float, groups: int, floor: float, alpha: float) -> float:
    """The least mean difference that a test would have shown to be above a floor, at the spread that was seen.

    Args:
        sd: standard deviation of the groups' differences.
        groups: how many there are, at least 2.
        floor: what an approval is shown to be above.
        alpha: the level of the test, which also says how many failures are imagined (`paired.with_worst_case`).
    """
    return _root(lambda mean: alpha - student_p(with_worst_case(Moments(mean, sd, groups), alpha), floor, worse=False))


def least_unblocked(sd: float, groups: int, min_delta: float, alpha: float) -> float:
    """The least mean difference that a test would not have shown to be below what is allowed, at the spread that was seen."""
    return _root(lambda mean: student_p(Moments(mean, sd, groups), min_delta, worse=True) - alpha)


def _root(excess: Callable[[float], float]) -> float:
    """Where a function that rises or falls crosses zero between -1 and 1; the nearer end where it does not."""
    from scipy import optimize

    low, high = excess(-EDGE), excess(EDGE)
    if low * high > 0 or low == high:
        return -EDGE if abs(low) <= abs(high) else EDGE
    return float(optimize.root_scalar(excess, bracket=(-EDGE, EDGE), xtol=1e-9).root)
