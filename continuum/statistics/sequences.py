"""How two models' conversations differ on the average, by bounds that stay right however often one looks.

An interval of a fixed sample is wrong more often the more often it is computed: who looks at a canary two hundred times and
acts on the first look that seems clear acts on luck. A confidence sequence holds at all looks at once. This is the normal
mixture of Robbins, in the one-sided form of Howard et al. (2021, "Time-uniform, nonparametric, nonasymptotic confidence
sequences", eq. 3.7), with estimated variances as in the asymptotic sequences of Waudby-Smith et al. (2024, "Time-uniform
central limit theory and asymptotic confidence sequences"):

    radius = se * sqrt(2 (t + 1) / t * log(sqrt(t + 1) / (2 alpha) + 1)),    t = m / rho

where `m = n1 n0 / (n1 + n0)` counts comparisons, and `rho` makes the sequence tightest at the comparisons it is planned for.

Traffic that ramps up is compared within each step of the ramp: were the pooled means compared, a day on which everybody's
answers were worse would count against the arm that had more of that day's traffic.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

UNSEEN = 3
"""Made-up scores of 0, and as many of 1, that enter an arm's variance and never its mean.

An arm that has not failed yet shows no spread at all, which says little of an arm that fails once in twenty. With one score
at each end, after Agresti and Caffo, the watch would let such a model go on beside one that never fails in 0.055 of all trials
where 0.05 are allowed, looking after each answer; with three in 0.023.
"""


@dataclass(frozen=True)
class Summary:
    """The scores of one arm, each the mean of a conversation, from 0 to 1."""

    n: int
    mean: float
    """0 where there is none."""
    squares: float
    """Sum of the squared distances from the mean."""


@dataclass(frozen=True)
class Step:
    """Both arms while the split of the traffic stood still."""

    candidate: Summary
    stable: Summary


@dataclass(frozen=True)
class Difference:
    """By how much the candidate's mean is above the stable arm's, and how sure of it one may be."""

    candidate: int
    """Conversations that were compared; those of a step in which the other arm has none are left out."""
    stable: int
    delta: float
    lower: float
    """Below the true difference at all looks together, with probability 1 - alpha."""
    upper: float
    """Above it likewise; the two sides share no alpha."""
    se: float
    """Standard error of `delta`."""


def summary(scores: Iterable[float]) -> Summary:
    """What `difference` needs to know of an arm.

    Raises:
        ValueError: a score is not between 0 and 1.
    """
    values = list(scores)
    if bad := [value for value in values if not 0 <= value <= 1]:
        raise ValueError(f"scores are from 0 to 1, found {bad[0]!r}: bring a scale of 1 to 5 down by (score - 1) / 4")
    mean = math.fsum(values) / len(values) if values else 0.0
    return Summary(len(values), mean, math.fsum((value - mean) ** 2 for value in values))


def difference(candidate: Sequence[float], stable: Sequence[float], *, alpha: float, planned: int) -> Difference | None:
    """Compare two arms whose split never changed; see `difference_of`."""
    return difference_of([Step(summary(candidate), summary(stable))], alpha=alpha, planned=planned)


def difference_of(steps: Sequence[Step], *, alpha: float, planned: int) -> Difference | None:
    """Compare two arms within each step of a ramp.

    Args:
        steps: the arms' conversations by the step of the ramp in which they began; each conversation counts once.
        alpha: of each bound, in (0, 0.5).
        planned: comparisons at which the bounds are to be tightest; they hold at any number.

    Returns:
        The difference weighted by the comparisons of each step, or None while no step has both arms.

    Raises:
        ValueError: `alpha` or `planned` is out of range.
    """
    if not 0 < alpha < 0.5 or planned < 1:
        raise ValueError(f"alpha {alpha} must lie in (0, 0.5) and planned {planned} be at least 1")
    compared = [step for step in steps if step.candidate.n and step.stable.n]
    if not compared:
        return None
    comparisons = above = 0.0
    candidate, stable = _Arm(), _Arm()
    for step in compared:
        weight = step.candidate.n * step.stable.n / (step.candidate.n + step.stable.n)
        comparisons += weight
        above += weight * (step.candidate.mean - step.stable.mean)
        candidate.add(step.candidate, weight)
        stable.add(step.stable, weight)
    delta = above / comparisons
    se = math.sqrt(candidate.variance() + stable.variance()) / comparisons
    half = se * _factor(comparisons, alpha, planned)
    return Difference(candidate.n, stable.n, delta, max(-1.0, delta - half), min(1.0, delta + half), se)


class _Arm:
    """One arm over the steps of a ramp, each of them with its weight in the difference."""

    def __init__(self) -> None:
        self.n = self.steps = 0
        self.total = self.squares = self.weights = 0.0

    def add(self, step: Summary, weight: float) -> None:
        self.n += step.n
        self.steps += 1
        self.total += step.n * step.mean
        self.squares += step.squares
        self.weights += weight * weight / step.n

    def variance(self) -> float:
        """Of the weighted sum of the steps' means, by the spread of the scores about the means of their steps."""
        mean = self.total / self.n
        unseen = UNSEEN * (mean**2 + (1 - mean) ** 2) - (UNSEEN * (1 - 2 * mean)) ** 2 / (self.n + 2 * UNSEEN)
        return self.weights * (self.squares + unseen) / max(1, self.n + 2 * UNSEEN - self.steps)


def _factor(comparisons: float, alpha: float, planned: int) -> float:
    """How many standard errors wide a side is, after so many comparisons."""
    level = 2 * math.log(1 / alpha)
    t = comparisons / planned * (level + math.log(1 + level))
    return math.sqrt(2 * (t + 1) / t * math.log(math.sqrt(t + 1) / (2 * alpha) + 1))
