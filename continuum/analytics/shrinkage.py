"""Gains of clusters, each measured on few golden items, shrunk towards what the clusters have in common.

Empirical Bayes (Efron and Morris 1975; Morris 1983, "Parametric Empirical Bayes Inference") with the adaptive shrinkage of
Stephens (2017, "False discovery rates: a new deal"): the mean y_j that is measured on cluster j has a standard error s_j, and the
true gains are drawn from

    (1 - w) N(mu, tau^2) + w N(mu, tau^2 + STRAY^2)

so that most clusters are alike and a few may stray. mu, tau and w are not fitted but averaged over what the data leave of them.
A gain is pulled towards mu the more, the less is known of it, which is also what makes looking at many clusters at once safe:
the largest of many measured means is the one that owes most to chance, and is believed least.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from continuum.statistics.paired import Values, exact_mean

STRAY = 0.4
"""How far a cluster strays that is not like the others, one standard deviation, on the 0-1 scale."""
SPREADS = np.array([0.0, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3])
SPREAD_SD = 0.1
"""The prior of tau is half normal."""
STRAYING = np.array([0.0, 0.03, 0.06, 0.12, 0.25, 0.5])
STRAYING_MEAN = 0.15
"""The prior of w is exponential."""
POOLED_DEGREES = 20.0
"""The variance inside a cluster is taken together with that of all, which counts as so many of its own differences."""
IMAGINED_SQUARE = 0.25
"""One imagined squared difference of half the scale: where no item changed, that nothing ever would is not yet known."""
GRID = 201
LEVEL = 0.95


@dataclass(frozen=True)
class Shrunk:
    """What is believed of one cluster's true gain."""

    mean: float
    low: float
    """Lower end of the 95% interval."""
    high: float
    probability_negative: float
    """That the true gain is below 0; 0.5 where nothing speaks for either side."""


@dataclass(frozen=True)
class Shrinkage:
    """All clusters, and what they were shrunk towards."""

    common: float
    """mu: the gain of a cluster of which nothing is known."""
    clusters: tuple[Shrunk, ...]


def shrink(clusters: Sequence[Values]) -> Shrinkage:
    """Shrink the mean gains of clusters.

    Args:
        clusters: the differences after - before of each cluster's independent groups, -1 to 1; a cluster may have none, and is
            then believed to be like the others.

    Returns:
        In the order given. A cluster's mean lies between that of its differences and `common`.

    Raises:
        ValueError: there is no difference at all.
    """
    if not any(len(values) for values in clusters):
        raise ValueError("shrinking needs at least one difference, found none")
    measured = _Measured.of(clusters)
    common, doubt = _in_common(measured)
    return Shrinkage(common, tuple(_believed(measured, common, doubt)))


@dataclass(frozen=True)
class _Measured:
    """Each cluster's mean and the square of its standard error; shape (clusters,)."""

    mean: np.ndarray
    error2: np.ndarray
    known: np.ndarray
    """Whether the cluster has a difference."""

    @classmethod
    def of(cls, clusters: Sequence[Values]) -> "_Measured":
        count = np.array([len(values) for values in clusters])
        mean = np.array([exact_mean(values) if len(values) else 0.0 for values in clusters])
        squares = np.array([float(np.sort((values - m) ** 2).sum()) for values, m in zip(clusters, mean, strict=True)])
        free = np.maximum(count - 1, 0)
        pooled = (squares.sum() + IMAGINED_SQUARE) / (free.sum() + 1)
        variance = (POOLED_DEGREES * pooled + squares) / (POOLED_DEGREES + free)
        return cls(mean, variance / np.maximum(count, 1), count > 0)


def _in_common(measured: _Measured) -> tuple[float, float]:
    """The posterior mean of mu and its variance, under a flat prior."""
    mean, error = measured.mean[measured.known], np.sqrt(measured.error2[measured.known])
    grid = np.linspace((mean - 4 * error).min(), (mean + 4 * error).max(), GRID)
    likely = _weights(_log_posterior(measured, grid)).sum(axis=(0, 1))
    common = float(likely @ grid)
    # What lies between two points of the grid is not known either.
    doubt = float(likely @ (grid - common) ** 2) + float(grid[1] - grid[0]) ** 2 / 12
    # Between the lowest and the highest measured mean, to the last digit.
    return min(max(common, float(mean.min())), float(mean.max())), doubt


def _log_posterior(measured: _Measured, at: np.ndarray) -> np.ndarray:
    """Of tau, w and mu, up to a constant; shape (spreads, straying, at)."""
    prior = -0.5 * (SPREADS[:, None] / SPREAD_SD) ** 2 - STRAYING[None, :] / STRAYING_MEAN
    apart2 = (measured.mean[measured.known] - at[:, None]) ** 2
    found = np.zeros((len(SPREADS), len(STRAYING), len(at)))
    for place, spread in enumerate(SPREADS):
        alike, stray = (_density(apart2, measured.error2[measured.known] + tau2) for tau2 in _spreads2(spread))
        for other, share in enumerate(STRAYING):
            found[place, other] = np.log((1 - share) * alike + share * stray + np.finfo(float).tiny).sum(axis=1)
    return found + prior[:, :, None]


def _believed(measured: _Measured, common: float, doubt: float) -> list[Shrunk]:
    laws = _weights(_log_posterior(measured, np.array([common])))[:, :, 0]
    believed = []
    for mean, error2, known in zip(measured.mean, measured.error2, measured.known, strict=True):
        weights, means, variances = [], [], []
        for place, spread in enumerate(SPREADS):
            both = [float(_density((mean - common) ** 2, error2 + tau2)) if known else 1.0 for tau2 in _spreads2(spread)]
            either = (1 - STRAYING) * both[0] + STRAYING * both[1]
            # Where no cluster may stray, one that is too far for any digit of its density is still like the others.
            strays = np.divide(STRAYING * both[1], either, out=np.zeros(len(STRAYING)), where=either > 0)
            for part, tau2 in zip((1 - strays, strays), _spreads2(spread), strict=True):
                pull = error2 / (error2 + tau2) if known else 1.0
                weights.append(float(laws[place] @ part))
                means.append(pull * common + (1 - pull) * mean)
                # Morris 1983, eq. 5.2: what is not known of mu is part of what is not known of the gain.
                variances.append((1 - pull) * error2 + pull**2 * doubt if known else tau2 + doubt)
        believed.append(_summary(np.array(weights) / sum(weights), np.array(means), np.sqrt(variances), (mean, common)))
    return believed


def _summary(weights: np.ndarray, means: np.ndarray, errors: np.ndarray, ends: tuple[float, float]) -> Shrunk:
    """Of a mixture of normals whose means lie between the ends."""

    def below(value: float) -> float:
        return float(weights @ special.ndtr((value - means) / errors))

    def quantile(share: float) -> float:
        return float(optimize.root_scalar(lambda value: below(value) - share, bracket=(-20, 20), xtol=1e-6).root)

    mean = min(max(float(weights @ means), min(ends)), max(ends))
    low, high = (min(max(quantile(share), -1.0), 1.0) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Shrunk(mean, low, high, below(0.0))


def _spreads2(spread: float) -> tuple[float, float]:
    return spread**2, spread**2 + STRAY**2


def _density(apart2: np.ndarray | float, variance: np.ndarray | float) -> np.ndarray:
    """Of a normal, up to a constant."""
    return np.exp(-0.5 * apart2 / variance) / np.sqrt(variance)


def _weights(log: np.ndarray) -> np.ndarray:
    weights = np.exp(log - log.max())
    return weights / weights.sum()
