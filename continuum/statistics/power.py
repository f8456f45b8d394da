"""How much a number of groups can show: detectable effects, required sizes, and the misses of a test that only blocks."""

import math

from scipy import special

POWER = 0.8
"""The chance of a decision that required sizes are worked out for."""
LARGEST = 100_000_000
"""Sizes are not worked out beyond this."""


def detectable_effect(sd: float, n: int, *, alpha: float = 0.05, power: float = POWER) -> float:
    """The smallest true difference that a one-sided test on n groups finds with this power."""
    return _quantiles(alpha, power) * sd / math.sqrt(n)


def required_n(sd: float, effect: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Groups that a one-sided test needs to find a true difference of `effect` with this power; at least two.

    Raises:
        ValueError: the effect is not above zero.
    """
    if not effect > 0:
        raise ValueError(f"no number of groups shows an effect of {effect}; it must be above zero")
    return max(2, min(LARGEST, math.ceil((_quantiles(alpha, power) * sd / effect) ** 2)))


def required_n_to_approve(sd: float, delta: float, floor: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Groups that show a true delta to lie above the floor, when one imagined worst case is counted with them.

    The worst case (`paired.with_worst_case`) lowers the mean and widens the spread, so more groups are needed than
    `required_n` says.

    Raises:
        ValueError: the delta is not above the floor.
    """
    needed = _quantiles(alpha, power)
    low, high = required_n(sd, delta - floor, alpha=alpha, power=power), LARGEST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _score_with_worst_case(middle, sd, delta, floor) >= needed else (middle + 1, high)
    return low


def miss_rate(sd: float, n: int, shift: float, *, alpha: float = 0.05) -> float:
    """The chance that a one-sided t test on n groups does not notice a true difference of `shift` below its margin."""
    if sd <= 0:
        return 0.0
    critical = special.stdtrit(n - 1, 1 - alpha)
    return float(special.nctdtr(n - 1, shift * math.sqrt(n) / sd, critical))


def _quantiles(alpha: float, power: float) -> float:
    return float(special.ndtri(1 - alpha) + special.ndtri(power))


def _score_with_worst_case(n: int, sd: float, delta: float, floor: float) -> float:
    """The expected test statistic of n groups of this mean and spread, with one more at -1."""
    mean = (n * delta - 1) / (n + 1)
    squares = (n - 1) * sd**2 + n * (delta - mean) ** 2 + (-1 - mean) ** 2
    return (mean - floor) / math.sqrt(squares / n / (n + 1))
