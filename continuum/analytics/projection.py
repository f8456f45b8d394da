"""Where the curve is heading: a power law through the versions so far, with an interval, or the reason there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

MIN_POINTS = 4
LEVEL = 0.90
LEAST_ERROR = 0.005
"""No measured mean counts as surer than this."""
AHEAD = 2.0
"""How far ahead is projected: to this many times the examples there are now."""


@dataclass(frozen=True)
class Projection:
    """What is expected at `examples`, if the next data are like the data so far."""

    examples: int
    mean: float
    low: float
    """Lower end of the 90% interval, 0 to 1."""
    high: float
    ceiling: float
    """The quality that the fitted curve never passes."""
    curve: tuple[tuple[float, float, float, float], ...]
    """Points to draw: examples, mean, low, high."""


def project(examples: Sequence[int], means: Sequence[float], errors: Sequence[float]) -> Projection | str:
    """Fit y = a - exp(b) x^-c by least squares with weak priors and a Laplace interval; or say why not.

    Args:
        examples: curated examples each version has learned from, all its turns together.
        means: its mean on one metric, 0 to 1.
        errors: the standard error of each mean.
    """
    points = sorted({x: (y, e) for x, y, e in zip(examples, means, errors, strict=True) if x > 0}.items())
    if len(points) < MIN_POINTS:
        return f"{len(points)} versions with different numbers of examples are too few to project from, {MIN_POINTS} are needed"
    x = np.array([point[0] for point in points], dtype=float)
    y = np.array([point[1][0] for point in points])
    error = np.maximum([point[1][1] for point in points], LEAST_ERROR)
    scale = x[0]

    # Priors, one standard deviation each: a ceiling near the best so far, a gap of its own size, an exponent of about a half.
    prior = np.array([min(1.0, float(y.max()) + 0.05), np.log(0.1), 0.5])
    spread = np.array([0.25, 2.0, 0.5])

    def residuals(theta: np.ndarray) -> np.ndarray:
        return np.concatenate([(_law(theta, x / scale) - y) / error, (theta - prior) / spread])

    bounds = ([-1.0, -12.0, 0.01], [1.0, 3.0, 3.0])
    fitted = optimize.least_squares(residuals, prior, bounds=bounds)
    covariance = np.linalg.inv(fitted.jac.T @ fitted.jac)
    ahead = np.geomspace(x[0], x[-1] * AHEAD, 25)
    mean, half = _law(fitted.x, ahead / scale), _half_width(fitted.x, covariance, ahead / scale)
    lines = [ahead, *(np.clip(line, 0, 1) for line in (mean, mean - half, mean + half))]
    curve = tuple(zip(*(line.tolist() for line in lines), strict=True))
    _, last, low, high = curve[-1]
    return Projection(round(x[-1] * AHEAD), last, low, high, float(min(1.0, fitted.x[0])), curve)


def _law(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    a, b, c = theta
    return a - np.exp(b) * x**-c


def _half_width(theta: np.ndarray, covariance: np.ndarray, x: np.ndarray) -> np.ndarray:
    _, b, c = theta
    fall = np.exp(b) * x**-c
    gradient = np.stack([np.ones_like(x), -fall, fall * np.log(x)], axis=1)
    return stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(np.einsum("ij,jk,ik->i", gradient, covariance, gradient))
