"""When a quality that was good is good no longer.

The Shiryaev-Roberts e-detector of Shin, Ramdas and Rinaldo (2024, "E-detectors: a nonparametric framework for sequential
change detection", section 2 and the mixtures of section 4): with bets `lambda_k` against the reference mean `mu`,

    R_k(t) = (R_k(t-1) + 1) * (1 + lambda_k (mu - x_t)),    alarm when the mean of the R_k reaches the wished-for run length.

For scores in [0, 1] whose mean stays at or above `mu`, whatever their distribution and with no appeal to large samples, the
average number of scores up to a false alarm is at least that run length.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

STAKES = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of the largest bet under which no score ruins the bettor: small bets find small drops, large ones large drops fast."""
REFERENCE_LEVEL = 2.326
"""Normal quantile of 0.99: how far below its estimate the reference is taken to be."""


@dataclass(frozen=True)
class Change:
    """Whether the mean has fallen below the reference."""

    scores: int
    reference: float
    """The mean below which a fall counts."""
    mean: float
    """Of all scores since the reference was taken."""
    evidence: float
    """The largest value of the detector; it alarms at `threshold`."""
    threshold: float
    at: int | None
    """How many scores had been seen at the alarm; None without one."""


def reference_below(mean: float, se: float, *, tolerated: float) -> float:
    """The mean below which a fall counts, from an estimated one.

    A reference that came out too high by luck would sooner or later raise an alarm of its own; so it is lowered by what it
    may be off (`2.33 se`, one in a hundred), or by what is tolerated anyhow where that is more.
    """
    return max(0.0, mean - max(tolerated, REFERENCE_LEVEL * se))


def fallen(scores: Sequence[float], *, reference: float, healthy: int) -> Change:
    """Look for a fall of the mean in scores that are in the order of their time.

    Args:
        scores: each from 0 to 1; the same ones again, with later ones behind them, at each look.
        reference: the mean below which a fall counts, in [0, 1); see `reference_below`.
        healthy: scores up to a false alarm, on the average at least.

    Raises:
        ValueError: a score is not between 0 and 1, or the reference not from 0 to below 1.
    """
    if not 0 <= reference <= 1:
        raise ValueError(f"a reference is a mean from 0 to 1, found {reference}")
    # A score of 1 against a reference of 1 loses nothing: the bets are kept finite.
    bets = [stake / max(1 - reference, 0.01) for stake in STAKES]
    detectors = [0.0] * len(bets)
    largest, at = 0.0, None
    for count, score in enumerate(scores, start=1):
        if not 0 <= score <= 1:
            raise ValueError(f"scores are from 0 to 1, found {score!r}")
        short = reference - score
        detectors = [(value + 1) * (1 + bet * short) for value, bet in zip(detectors, bets, strict=True)]
        evidence = sum(detectors) / len(detectors)
        if evidence > largest:
            largest = evidence
        if evidence >= healthy:
            at = count
            break
    mean = math.fsum(scores) / len(scores) if scores else 0.0
    return Change(len(scores), reference, mean, largest, float(healthy), at)
