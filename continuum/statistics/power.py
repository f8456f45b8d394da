"""How much a number of groups can show: detectable effects, required sizes, and the misses of a test that only blocks."""

import math
from collections.abc import Callable

from scipy import special

from continuum.statistics.paired import HALF_AN_ITEM, NOISE, Moments, tango_variance, tango_z, with_worst_case

POWER = 0.8
"""The chance of a decision that required sizes are worked out for."""
LARGEST = 100_000_000
"""Sizes are not worked out beyond this."""
HALVINGS = 40
"""Of an interval that a detectable effect is looked for in."""


def detectable_effect(sd: float, n: int, *, alpha: float = 0.05, power: float = POWER) -> float:
    """The smallest true difference that a one-sided t test on n groups, at least 2, finds with this power."""
    return _noncentrality(n - 1, alpha, power) * sd / math.sqrt(n)


def detectable_effect_tango(gained: float, n: int, margin: float, *, alpha: float = 0.05, power: float = POWER) -> float:
    """The smallest fall of a share below the margin that the score test on n pairs finds with this power.

    Args:
        gained: the share of pairs that the candidate wins; it loses as many more as it falls.
        n: pairs.
        margin: the difference of shares that is still allowed.
        alpha: the level of the test.
        power: the chance of finding it.

    Returns:
        At most 1 + margin, which is the whole scale.
    """

    def found(fall: float) -> bool:
        lost = min(1.0 - gained, gained - margin + fall)
        return _tango_power(-1, gained, lost, n, margin, n * gained, n * lost, alpha, HALF_AN_ITEM) >= power

    low, high = 0.0, 1.0 + margin
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def required_n(sd: float, effect: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Groups that a one-sided t test needs to find a true difference of `effect` with this power; at least two.

    Raises:
        ValueError: the effect is not above zero.
    """
    if not effect > 0:
        raise ValueError(f"no number of groups shows an effect of {effect}; it must be above zero")
    # The normal distribution asks for a few groups too few.
    normal = max(2, min(LARGEST, math.ceil((_quantiles(alpha, power) * sd / effect) ** 2)))
    return _smallest(lambda n: detectable_effect(sd, n, alpha=alpha, power=power) <= effect, normal)


def required_n_to_approve(sd: float, delta: float, floor: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Groups that show a true delta to lie above the floor, when imagined failures are counted with them.

    The failures (`paired.with_worst_case`) lower the mean and widen the spread, so more groups are needed than `required_n`
    says.

    Raises:
        ValueError: the delta is not above the floor.
    """

    def shown(n: int) -> bool:
        found = with_worst_case(Moments(delta, sd, n), alpha)
        return (found.mean - floor) / found.error >= _noncentrality(found.n - 1, alpha, power)

    return _smallest(shown, required_n(sd, delta - floor, alpha=alpha, power=power))


def required_n_to_approve_tango(gained: float, delta: float, floor: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """As `required_n_to_approve`, for yes-or-no answers and the score test.

    Args:
        gained: the share of pairs that the candidate wins.
        delta: the true difference of shares.
        floor: what it is to be shown to be above.
        alpha: the level of the test.
        power: the chance of showing it.

    Raises:
        ValueError: the delta is not above the floor.
    """
    if not delta > floor:
        raise ValueError(f"no number of pairs shows a difference of {delta} to be above {floor}")
    gained = max(gained, delta, 0.0)
    lost = gained - delta

    def shown(n: int) -> bool:
        return _tango_power(1, gained, lost, n + 1, floor, n * gained, n * lost + 1, alpha, 0.0) >= power

    return _smallest(shown, 2)


def miss_rate(sd: float, n: int, shift: float, *, alpha: float = 0.05) -> float:
    """The chance that a one-sided t test on n groups does not notice a true difference of `shift` below its margin."""
    if sd <= 0:
        return 0.0
    centre, spread = _noncentral(n - 1, alpha)
    return float(special.ndtr((centre - shift * math.sqrt(n) / sd) / spread))


def _quantiles(alpha: float, power: float) -> float:
    return float(special.ndtri(1 - alpha) + special.ndtri(power))


def _noncentrality(degrees: float, alpha: float, power: float) -> float:
    """How many standard errors a true difference has to be for a one-sided t test to find it with this power."""
    centre, spread = _noncentral(degrees, alpha)
    return centre + float(special.ndtri(power)) * spread


def _noncentral(degrees: float, alpha: float) -> tuple[float, float]:
    """Mean and spread of the normal distribution of differences, in standard errors, at which the t test is as likely to reject.

    Abramowitz and Stegun (1964), 26.7.10: at 19 degrees of freedom it agrees with the exact distribution in three digits, and it
    has an answer at every level, where the exact one's inverse does not end.
    """
    critical = float(special.stdtrit(degrees, 1 - alpha))
    return critical * (1 - 1 / (4 * degrees)), math.sqrt(1 + critical**2 / (2 * degrees))


def _smallest(enough: Callable[[int], bool], low: int) -> int:
    """The smallest number from `low` on that is enough, or `LARGEST`."""
    high = LARGEST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _tango_power(
    way: int, gained: float, lost: float, n: int, margin: float, wins: float, losses: float, alpha: float, correction: float
) -> float:
    """The chance that the score test rejects, upwards (1) or downwards (-1), from expected counts and true shares."""
    z = way * tango_z(wins, losses, n, margin, correction=correction)
    truly, under_null = gained + lost - (gained - lost) ** 2, tango_variance(wins, losses, n, margin)
    ratio = math.sqrt(max(truly, NOISE) / max(under_null, NOISE))
    return float(special.ndtr((z - special.ndtri(1 - alpha)) / ratio))
