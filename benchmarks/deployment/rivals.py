"""How others decide on a canary, on the same conversations: each says, by trial and look, whether it would act."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.deployment.crowds import Looks

Flags = NDArray[np.bool_]

LEAST = 50
"""Conversations before the cautious point rule speaks."""
DELTA, LEAST_SAMPLES = 0.05, 10
"""TensorZero's defaults: its error, and the samples of each variant before it compares them."""


@dataclass(frozen=True)
class Said:
    """What a rule says at each look of each trial."""

    rollback: Flags
    promote: Flags


Rival = Callable[[Looks, Looks, float, float], Said]
"""From the candidate's looks, the stable arm's, the limit and alpha."""


def point(candidate: Looks, stable: Looks, limit: float, alpha: float) -> Said:
    """The mean against a threshold, at every look: what metric checks of rollout controllers do."""
    lost = candidate.mean - stable.mean <= -limit
    return Said(lost, ~lost)


def cautious_point(candidate: Looks, stable: Looks, limit: float, alpha: float) -> Said:
    """The same, from fifty conversations on."""
    said = point(candidate, stable, limit, alpha)
    enough = candidate.n >= LEAST
    return Said(said.rollback & enough, said.promote & enough)


def repeated_t(candidate: Looks, stable: Looks, limit: float, alpha: float) -> Said:
    """Welch's one-sided tests at every look, as if it were the only one: of being worse, and of being within the limit."""
    parts = [candidate.variance / candidate.n, stable.variance / stable.n]
    variance = np.maximum(parts[0] + parts[1], 1e-18)
    squares = parts[0] ** 2 / np.maximum(1, candidate.n - 1) + parts[1] ** 2 / np.maximum(1, stable.n - 1)
    bound = special.stdtrit(variance**2 / np.maximum(squares, 1e-36), 1 - alpha) * np.sqrt(variance)
    delta = candidate.mean - stable.mean
    return Said(delta + bound < 0, delta - bound > -limit)


def track_and_stop(candidate: Looks, stable: Looks, limit: float, alpha: float, *, epsilon: float = 0.0) -> Said:
    """TensorZero's stopping rule for adaptive experiments, by its sources at 7a6159a (`check_stopping.rs`).

    The variant with the higher mean wins once its generalized likelihood ratio against the other, `(gap + epsilon)^2 / 2 se^2`,
    exceeds `log((1 + log t) / delta)`. A win of the stable model counts as a rollback, one of the candidate as a promotion.
    """
    gap = candidate.mean - stable.mean
    variance = np.maximum(candidate.variance, 1e-12) / candidate.n + np.maximum(stable.variance, 1e-12) / stable.n
    won = (np.abs(gap) + epsilon) ** 2 / (2 * variance) > np.log((1 + np.log(candidate.n + stable.n)) / DELTA)
    won &= np.minimum(candidate.n, stable.n) >= LEAST_SAMPLES
    # Equal means go to the variant with the smaller variance of its mean: the stable arm at a canary's split.
    ahead = (gap > 0) | ((gap == 0) & (candidate.variance / candidate.n < stable.variance / stable.n))
    return Said(won & ~ahead, won & ahead)


def track_and_stop_within(candidate: Looks, stable: Looks, limit: float, alpha: float) -> Said:
    """The same with the limit as its `epsilon`, the loss that does not matter."""
    return track_and_stop(candidate, stable, limit, alpha, epsilon=limit)


RIVALS: dict[str, Rival] = {
    "point": point,
    f"point from {LEAST}": cautious_point,
    "repeated t": repeated_t,
    "TensorZero": track_and_stop,
    "TensorZero eps": track_and_stop_within,
}
