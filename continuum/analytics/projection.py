"""Where the curve is heading: power laws through the versions so far, with an interval, or the reason there is none.

The mean of a version that has learned from x examples is taken for a - b (x + k)^-c: a power law, begun later where k is not 0,
as learning curves are that start slowly (Viering and Loog, "The Shape of Learning Curves", 2022, table 1: POW3 and POW4). What
is projected is the whole posterior of a, b, c and k under weak priors, on a grid, with b integrated out. No single fitted curve
is believed: where the versions cannot tell a ceiling from a slow climb, the interval holds both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

MIN_POINTS = 4
LEVEL = 0.90
LEAST_ERROR = 0.005
"""No measured mean counts as surer than this."""
AHEAD = 4.0
"""How far ahead is projected: to this many times the examples there are now."""
SHARED = 0.5
"""Share of a mean's error variance that all versions have in common, for they answered the same golden items: it moves the whole
curve and no version tells it."""
UNFITTED = 0.01
"""What no law of the family says, one standard deviation for each e-fold of examples beyond the last version."""
DRAWN_POINTS = 17

# The grid, and the priors on it. b is normal around 0.2, so that a curve that falls is possible too.
CEILINGS = np.linspace(0, 1, 81)
CEILING_SD, ABOVE_BEST = 0.4, 0.2
EXPONENTS = np.geomspace(0.05, 4, 36)
EXPONENT, EXPONENT_LOG_SD = 0.5, 1.2
LATER_STARTS = ((0.0, 0.4), (0.5, 0.2), (2.0, 0.2), (8.0, 0.2))
"""k in units of the most examples so far, and its probability."""
GAP, GAP_SD = 0.2, 0.5


@dataclass(frozen=True)
class Projection:
    """What is expected at `examples`, if the next data are like the data so far."""

    examples: int
    mean: float
    """The median of what is expected, 0 to 1."""
    low: float
    """Lower end of the 90% interval, 0 to 1."""
    high: float
    ceiling: float
    """The quality at which the curve levels off: the median of what is thought of it, 0 to 1."""
    curve: tuple[tuple[float, float, float, float], ...]
    """Points to draw: examples, mean, low, high."""


@dataclass(frozen=True)
class Ahead:
    """How much more is expected of the last version's successor, if the next data are like the data so far."""

    more: int
    """Examples beyond those of the last version."""
    mean: float
    """The median of what is expected, on the scale from 0 to 1."""
    low: float
    """Lower end of the 90% interval."""
    high: float


def project(
    examples: Sequence[int], means: Sequence[float], errors: Sequence[float], *, at: int | None = None
) -> Projection | str:
    """Project a metric, or say why that cannot be done.

    Args:
        examples: curated examples each version has learned from, all its turns together.
        means: its mean on one metric, 0 to 1.
        errors: the standard error of each mean.
        at: how many examples to project to; None for four times those of the last version.
    """
    posterior = _posterior(examples, means, errors)
    if isinstance(posterior, str):
        return posterior
    target = round(posterior.last * AHEAD) if at is None else at
    drawn = np.geomspace(posterior.first, max(target, posterior.last), DRAWN_POINTS)
    curve = tuple((float(where), *posterior.interval(where)) for where in drawn)
    return Projection(target, *posterior.interval(target), posterior.ceiling(), curve)


def project_gain(examples: Sequence[int], means: Sequence[float], errors: Sequence[float], *, more: int) -> Ahead | str:
    """Project how much a metric gains by more examples than the last version has learned from, or say why that cannot be done.

    The gain is surer than the level: what all versions have in common, for they answered the same items, is in neither end of it.

    Args:
        examples: curated examples each version has learned from, all its turns together.
        means: its mean on one metric, 0 to 1.
        errors: the standard error of each mean.
        more: examples beyond those of the last version, above 0.
    """
    posterior = _posterior(examples, means, errors)
    return posterior if isinstance(posterior, str) else Ahead(more, *posterior.gain(posterior.last + more))


def _posterior(examples: Sequence[int], means: Sequence[float], errors: Sequence[float]) -> "_Posterior | str":
    """What the versions leave of the family; or why they are too few, or too alike, to say."""
    points = sorted({x: (y, e) for x, y, e in zip(examples, means, errors, strict=True) if x > 0}.items())
    if len(points) < MIN_POINTS:
        return f"{len(points)} versions with different numbers of examples are too few to project from, {MIN_POINTS} are needed"
    x = np.array([point[0] for point in points], dtype=float)
    if x[-1] < 2 * x[0]:
        return (
            f"the versions learned from {x[0]:,.0f} to {x[-1]:,.0f} examples, which is too alike to project from; "
            "the last must have learned from twice as many as the first"
        )
    y = np.array([point[1][0] for point in points])
    return _Posterior(x, y, np.maximum([point[1][1] for point in points], LEAST_ERROR))


class _Posterior:
    """What the versions leave of the family: weights over the grid of laws, and b given each of them."""

    def __init__(self, x: np.ndarray, y: np.ndarray, error: np.ndarray) -> None:
        self.first, self.last = x[0], x[-1]
        self.shared = SHARED * float(np.mean(error**2))
        weight = 1 / ((1 - SHARED) * error**2)
        gap_precision = 1 / GAP_SD**2
        # Axes: k, a, c. A law that starts later has its exponent grow with k, so that the same grid of c means slopes as steep.
        self.k = np.array([k for k, _ in LATER_STARTS])[:, None, None] * self.last
        self.a, self.c = CEILINGS[None, :, None], EXPONENTS[None, None, :] * (1 + self.k / self.last)
        falls = [self._fall(where) for where in x]
        residuals = [self.a - value for value in y]
        self.precision = gap_precision + sum(w * fall**2 for w, fall in zip(weight, falls, strict=True))
        pull = gap_precision * GAP + sum(w * fall * r for w, fall, r in zip(weight, falls, residuals, strict=True))
        self.b = pull / self.precision
        squares = sum(w * r**2 for w, r in zip(weight, residuals, strict=True))
        log = -0.5 * (squares - self.b**2 * self.precision) - 0.5 * np.log(self.precision)
        log = log - 0.5 * ((self.a - min(1.0, float(y.max()) + ABOVE_BEST)) / CEILING_SD) ** 2
        log = log - 0.5 * (np.log(EXPONENTS / EXPONENT)[None, None, :] / EXPONENT_LOG_SD) ** 2
        log = log + np.log([share for _, share in LATER_STARTS])[:, None, None]
        weights = np.exp(log - log.max())
        self.weights = weights / weights.sum()

    def interval(self, where: float) -> tuple[float, float, float]:
        """The median, and the ends of the 90% interval."""
        fall = self._fall(where)
        beyond = max(0.0, float(np.log(where / self.last)))
        variance = fall**2 / self.precision + self.shared + (UNFITTED * beyond) ** 2
        return self._quantiles(self.a - self.b * fall, variance, 0, 1)

    def gain(self, where: float) -> tuple[float, float, float]:
        """The median of what is gained from the last version on, and the ends of the 90% interval."""
        fallen = self._fall(self.last) - self._fall(where)
        beyond = max(0.0, float(np.log(where / self.last)))
        return self._quantiles(self.b * fallen, fallen**2 / self.precision + (UNFITTED * beyond) ** 2, -1, 1)

    def _quantiles(self, means: np.ndarray, variance: np.ndarray, least: float, most: float) -> tuple[float, float, float]:
        """The median and the ends of the 90% interval of the mixture of normals over the grid."""
        likely = self.weights > self.weights.max() * 1e-4
        weights = self.weights[likely] / self.weights[likely].sum()
        centres, errors = (np.broadcast_to(one, likely.shape)[likely] for one in (means, np.sqrt(variance)))

        def quantile(share: float) -> float:
            def excess(value: float) -> float:
                return float(weights @ special.ndtr((value - centres) / errors)) - share

            # Far outside of what any law says, for the brackets only.
            return float(np.clip(optimize.root_scalar(excess, bracket=(-10, 11), xtol=1e-6).root, least, most))

        return quantile(0.5), quantile((1 - LEVEL) / 2), quantile((1 + LEVEL) / 2)

    def ceiling(self) -> float:
        """The median of a."""
        return float(CEILINGS[np.searchsorted(np.cumsum(self.weights.sum(axis=(0, 2))), 0.5)])

    def _fall(self, where: float) -> np.ndarray:
        """What b is multiplied with: 1 at the first version, towards 0 beyond."""
        return ((where + self.k) / (self.first + self.k)) ** -self.c
