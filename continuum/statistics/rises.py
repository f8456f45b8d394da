"""Whether a witness rises with a judge that has risen, or falls short of what it should have risen by.

Two judges have scales of their own, so a plain difference of their rises would call the one that is sparing with points a
witness against the other. Instead the witness's score is regressed on the judge's before the change, and what the regression
predicts after it is compared with what is found. Noise in the judge's scores makes that slope, and so the prediction, smaller
than the true relation: under an honest improvement the witness rises by at least as much as predicted, and the test is cautious.

Answers of one conversation are not independent, so all is computed on the means of conversations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from continuum.statistics.paired import NOISE

Values = NDArray[np.float64]

SLOPE_ALPHA = 0.05


@dataclass(frozen=True)
class Rise:
    """How a mean moved from one sample to another; Welch's test."""

    before: float
    after: float
    rise: float
    low: float
    """Lower end of the two-sided interval of `rise`."""
    high: float
    p: float
    """One-sided, that it did not rise."""
    groups_before: int
    groups_after: int


@dataclass(frozen=True)
class Shortfall:
    """How far a witness fell short of what its relation to the judge predicted."""

    judge: Rise
    """The judge, on the items that the witness scored too."""
    witness: Rise
    slope: float
    """By how much the witness's score rose with one more point of the judge's, before."""
    follows: bool
    """Whether it rose surely at all; a witness that does not follow the judge cannot vouch for it."""
    expected: float
    """The rise that was predicted."""
    shortfall: float
    """What is missing of it."""
    low: float
    """Lower end of the two-sided interval of `shortfall`."""
    high: float
    p: float
    """One-sided, that nothing is missing."""


def rise_of(before: Values, after: Values, *, alpha: float) -> Rise:
    """Compare the means of two independent samples of at least two values each."""
    rise = float(after.mean() - before.mean())
    parts = [(float(sample.var(ddof=1)) / len(sample), len(sample) - 1.0) for sample in (before, after)]
    low, high, p = _interval(rise, parts, alpha)
    return Rise(float(before.mean()), float(after.mean()), rise, low, high, p, len(before), len(after))


def shortfall_of(
    before: tuple[Sequence[float], Sequence[float]], after: tuple[Sequence[float], Sequence[float]], *, alpha: float
) -> Shortfall:
    """Compare a witness's rise with the one that its relation to the judge predicts.

    Args:
        before: the judge's and the witness's means of the same conversations, before the change.
        after: the same after it, of other conversations.
        alpha: of the tests; the intervals are of the level 1 - alpha.

    Raises:
        ValueError: there are fewer than four conversations on a side.
    """
    (f_0, g_0), (f_1, g_1) = ([np.asarray(scores, dtype=float) for scores in side] for side in (before, after))
    if len(f_0) < 4 or len(f_1) < 4:
        raise ValueError(f"a rise needs four conversations on each side, found {len(f_0)} and {len(f_1)}")
    judge, witness = rise_of(f_0, f_1, alpha=alpha), rise_of(g_0, g_1, alpha=alpha)
    spread = float(((f_0 - judge.before) ** 2).sum())
    slope = float(((f_0 - judge.before) * (g_0 - witness.before)).sum()) / spread if spread > NOISE else 0.0
    # Long and White's HC3: residuals enlarged by their leverage, since their spread may well depend on the score.
    leverage = 1 / len(f_0) + ((f_0 - judge.before) ** 2 / spread if spread > NOISE else 0.0)
    residuals = (g_0 - witness.before - slope * (f_0 - judge.before)) / np.maximum(NOISE, 1 - leverage)

    def error_of(weights: Values) -> float:
        return float(((weights * residuals) ** 2).sum())

    tilt = (f_0 - judge.before) / spread if spread > NOISE else np.zeros_like(f_0)
    predicted = error_of(1 / len(f_0) + judge.rise * tilt)
    found = float((g_1 - slope * f_1).var(ddof=1)) / len(f_1)
    missing = slope * judge.rise - witness.rise
    low, high, p = _interval(missing, [(predicted, len(f_0) - 2.0), (found, len(f_1) - 1.0)], alpha)
    slope_error = math.sqrt(error_of(tilt))
    follows = slope > special.stdtrit(len(f_0) - 2, 1 - SLOPE_ALPHA) * slope_error
    return Shortfall(judge, witness, slope, bool(follows), slope * judge.rise, missing, low, high, p)


def _interval(value: float, parts: Sequence[tuple[float, float]], alpha: float) -> tuple[float, float, float]:
    """The interval of a difference of independent parts, and the one-sided p-value of its not being above zero.

    Args:
        value: the difference.
        parts: the variance of each part's mean, and its degrees of freedom.
        alpha: one less the level.
    """
    variance = sum(part for part, _ in parts)
    error = math.sqrt(variance)
    if error < NOISE:
        return value, value, 0.0 if value > NOISE else 1.0
    # Welch and Satterthwaite.
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    half = float(special.stdtrit(freedom, 1 - alpha / 2)) * error
    return value - half, value + half, float(special.stdtr(freedom, -value / error))
