"""A mean of people's scores from few of them and many of a judge's: prediction-powered inference.

The estimator is PPI++ (Angelopoulos, Duchi and Zrnic 2023, section 6) over a population that the labelled items belong to:
the judge's mean over all of it, moved by how far people differ from the judge where both have spoken. How much of the judge
is used, the paper's lambda, is learned from the labels: a judge that knows nothing is given no say, and one that is wrong by
the same amount everywhere costs nothing. What it needs is that labels are drawn at random, with known probabilities.

Three things differ from the paper. For each group of labels (a conversation) lambda is learned from the other groups, so that a
label never decides how it is used itself. Items may have been drawn with different probabilities (Hajek weights). And the
error is that of whole groups, with Student's quantiles, since thirty labels are few.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]
Places = NDArray[np.intp]

LOWEST, HIGHEST = 1.0, 5.0
"""The ends of the scale."""
NOISE = 1e-9
"""Spread below this is rounding, not data."""


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its two-sided interval."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class PredictionPowered:
    """What people would say on average of everything the judge has scored."""

    mean: float
    low: float
    high: float
    level: float
    judge_use: float
    """The lambda of the paper: from 0, the labels alone, to 1, the judge corrected by its mean error."""
    labels: int
    groups: int
    """Groups that the labels come from."""
    population: int
    """Items the judge has scored, the labelled ones among them."""
    label_gain: float
    """How many times as many labels would give as narrow an interval without the judge."""
    labels_only: MeanInterval
    judge_only: MeanInterval
    """The judge's own mean; its interval knows nothing of the judge's errors."""


def ppi_mean(
    judged: Sequence[float],
    labels: Sequence[float | None],
    *,
    probabilities: Sequence[float | None] | None = None,
    groups: Sequence[str] | None = None,
    level: float = 0.95,
) -> PredictionPowered:
    """Estimate the mean of people's scores over a population that a judge has scored throughout.

    Args:
        judged: the judge's score of every item.
        labels: people's score of each item, 1 to 5; None where nobody was asked or nobody answered.
        probabilities: with which each labelled item was drawn for labelling; what stands for the others is not read. None
            where all had the same.
        groups: what each item belongs to; items of one group are not independent. None where each is its own.
        level: of the interval.

    Raises:
        ValueError: labels come from fewer than three groups, the lengths differ, or a probability is not above 0 and at most 1.
    """
    scores, said = np.asarray(judged, dtype=float), np.array([math.nan if one is None else one for one in labels], dtype=float)
    cluster: Places = np.arange(len(scores))
    if groups is not None:
        _, cluster = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if not len(scores) == len(said) == len(cluster):
        raise ValueError(f"scores, labels and groups need equal lengths, found {len(scores)}, {len(said)} and {len(cluster)}")
    asked = ~np.isnan(said)
    weight = np.zeros(len(scores))
    weight[asked] = 1.0 if probabilities is None else 1 / _drawn_with(probabilities, asked)
    labelled = Labelled(said[asked], scores[asked], weight[asked] / weight.sum(), cluster[asked])
    if (found := labelled.count) < 3:
        raise ValueError(f"an interval needs labels from at least three groups, found {found}")
    use = labelled.judge_use(centre := float(scores.mean()))
    # People's scores, each moved to where it would be were the judge's score of it the average one.
    moved = labelled.said - use * (labelled.scores - centre)
    mean, overall_use = float(labelled.weight @ moved), float(labelled.weight @ use)
    influence = overall_use * (scores - centre) / len(scores)
    powered = labelled.interval(moved, level, beside=_group_sums(influence, cluster))
    alone = labelled.interval(labelled.said, level)
    return PredictionPowered(
        mean=min(HIGHEST, max(LOWEST, mean)),
        low=powered.low,
        high=powered.high,
        level=level,
        judge_use=overall_use,
        labels=int(asked.sum()),
        groups=labelled.count,
        population=len(scores),
        label_gain=(alone.half_width / powered.half_width) ** 2 if powered.half_width > NOISE else 1.0,
        labels_only=alone,
        judge_only=_judge_alone(scores, cluster, level),
    )


@dataclass(frozen=True)
class Labelled:
    """The labelled items; weights sum to 1."""

    said: Values
    scores: Values
    weight: Values
    cluster: Places

    @property
    def count(self) -> int:
        """Groups that the labels come from."""
        return len(np.unique(self.cluster))

    @property
    def effective(self) -> float:
        """How many groups of equal weight would estimate a variance as surely (Satterthwaite): all, where all weigh alike.

        At least 2, so that it has a degree of freedom.
        """
        squares = _group_sums(self.weight, self.cluster) ** 2
        return max(2.0, float(squares.sum() ** 2 / (squares @ squares)))

    def judge_use(self, centre: float) -> Values:
        """For each label the slope of people's scores on the judge's over the other groups, held between 0 and 1.

        That slope is the lambda of least variance where the labelled items are part of the population.
        """
        _, own = np.unique(self.cluster, return_inverse=True)
        # Squared weights, since that is how much each label adds to the variance; centred, so that the sums stay exact.
        square, f, y = self.weight**2, self.scores - centre, self.said - self.said.mean()
        sums = [np.bincount(own, square * part) for part in (np.ones(len(f)), f, y, f * f, f * y)]
        one, with_f, with_y, with_ff, with_fy = (total.sum() - total for total in sums)
        shared = with_fy - with_f * with_y / one
        spread = with_ff - with_f**2 / one
        slope = np.divide(shared, spread, out=np.zeros_like(shared), where=spread > NOISE * square.sum())
        return np.clip(slope, 0, 1)[own]

    def error(self, values: Values, beside: Values | None = None) -> float:
        """The standard error of the weighted mean of the values, by whole groups.

        Args:
            values: one for each label.
            beside: for every group of the population, what it adds to the mean besides the values.
        """
        mean, n = float(self.weight @ values), self.effective
        sums = np.bincount(self.cluster, self.weight * (values - mean), minlength=0 if beside is None else len(beside))
        # Only the labelled groups are few; what they add to the variance is enlarged as for any sample of their number.
        variance = float(sums @ sums) * n / (n - 1)
        if beside is not None:
            variance += float(beside @ (2 * sums + beside))
        return math.sqrt(max(0.0, variance))

    def interval(self, values: Values, level: float, beside: Values | None = None) -> MeanInterval:
        """The weighted mean of the values with the error of whole groups; `values` and `beside` as for `error`."""
        mean, n = float(self.weight @ values), self.effective
        half = float(special.stdtrit(n - 1, (1 + level) / 2)) * self.error(values, beside)
        if half < NOISE:
            # Labels that agree to the last digit have not seen what is rare: no more than this share of the answers may be
            # as bad, or as good, as can be (the rule of three).
            unseen = min(1.0, -math.log((1 - level) / 2) / n)
            return MeanInterval(mean, mean - unseen * (mean - LOWEST), mean + unseen * (HIGHEST - mean))
        return MeanInterval(mean, max(LOWEST, mean - half), min(HIGHEST, mean + half))


def _drawn_with(probabilities: Sequence[float | None], asked: NDArray[np.bool_]) -> Values:
    if len(probabilities) != len(asked):
        raise ValueError(f"{len(probabilities)} probabilities do not fit {len(asked)} items; give one for each")
    drawn = np.array([probability or 0.0 for probability in probabilities], dtype=float)[asked]
    if not ((drawn > 0) & (drawn <= 1)).all():
        raise ValueError("each labelled item needs the probability with which it was drawn, above 0 and at most 1")
    return drawn


def _group_sums(values: Values, cluster: Places) -> Values:
    return np.bincount(cluster, values).astype(float)


def _judge_alone(scores: Values, cluster: Places, level: float) -> MeanInterval:
    mean, n = float(scores.mean()), len(np.unique(cluster))
    error = math.sqrt(float((_group_sums(scores - mean, cluster) ** 2).sum()) * n / (n - 1)) / len(scores)
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * error
    return MeanInterval(mean, mean - half, mean + half)
