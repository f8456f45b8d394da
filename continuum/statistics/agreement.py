"""How far raters agree beyond chance: Cohen's kappa for two, Krippendorff's alpha for any number with gaps.

Kappa by Cohen (1960), quadratically weighted by Cohen (1968); alpha by Krippendorff (2011), "Computing Krippendorff's
Alpha-Reliability". Both are 1 where all agree, 0 where no more than chance would, below 0 where less. Beside them stands what
a rater would reach who always says the commonest thing: a share of agreement means nothing without it.

Ratings that are all one and the same show no agreement beyond chance, since there is nothing they could disagree on: they get 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Places = NDArray[np.intp]
Level = Literal["nominal", "ordinal", "interval"]
"""What a difference between two ratings means: only that they differ, how many ratings lie between them, or how far apart
their numbers are."""

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Agreement:
    """How far ratings agree, with what it rests on."""

    statistic: str
    """In words, like `Cohen's kappa, quadratic weights`."""
    value: float
    low: float
    """Lower end of the percentile interval over items, or over groups of them."""
    high: float
    items: int
    """Items that two raters or more have rated."""
    observed: float
    """Share of pairs of ratings of one item that are equal."""
    constant: float
    """What `observed` would be against a rater who always says the commonest rating; kappa and alpha of such a one are 0."""
    confidence: float = CONFIDENCE
    resamples: int = RESAMPLES
    seed: int = 0


def cohen_kappa(
    a: Sequence[float] | Sequence[str], b: Sequence[float] | Sequence[str], weights: Literal["quadratic"] | None = None
) -> float:
    """Cohen's kappa of two raters of the same items.

    Args:
        a: the first rater's ratings.
        b: the second's, item by item.
        weights: None counts what is not equal as different; `quadratic` by the square of the distance, for numbers.

    Raises:
        ValueError: there are no items, or the lengths differ.
    """
    pair = _pair(a, b)
    return _kappa_of(pair, weights)(np.ones(len(pair[0])))


def krippendorff_alpha(ratings: Sequence[Sequence[float | None]], level: Level = "interval") -> float:
    """Krippendorff's alpha.

    Args:
        ratings: for each unit what each rater said of it, None where one said nothing; units may have different numbers of
            raters. A unit with fewer than two ratings counts for nothing.
        level: what a difference means.

    Raises:
        ValueError: no unit has two ratings.
    """
    pool = _pool(ratings)
    return _alpha_of(pool, level)(np.ones(pool.units))


def two_raters(
    a: Sequence[float] | Sequence[str],
    b: Sequence[float] | Sequence[str],
    weights: Literal["quadratic"] | None = None,
    *,
    groups: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """Kappa of two raters, the first of whom is taken for the truth, with its interval.

    Args:
        a: the ratings that count as true; the constant rater says their commonest.
        b: the other rater's, item by item.
        weights: as for `cohen_kappa`.
        groups: the group of each item; items of one group are drawn together, as they are not independent.
        confidence: how surely the interval is to hold the value.
        resamples: drawings of the bootstrap.
        seed: of the drawings.

    Raises:
        ValueError: there are no items, or the lengths differ.
    """
    pair = _pair(a, b)
    low, high = _interval(_kappa_of(pair, weights), len(pair[0]), groups, confidence, resamples, seed)
    kind = "Cohen's kappa, quadratic weights" if weights else "Cohen's kappa"
    equal, commonest = float(np.mean(pair[0] == pair[1])), float(np.unique(pair[0], return_counts=True)[1].max()) / len(pair[0])
    value = _kappa_of(pair, weights)(np.ones(len(pair[0])))
    return Agreement(kind, value, low, high, len(pair[0]), equal, commonest, confidence, resamples, seed)


def many_raters(
    ratings: Sequence[Sequence[float | None]],
    level: Level = "interval",
    *,
    groups: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """Alpha of any number of raters, with its interval.

    Args:
        ratings: as for `krippendorff_alpha`.
        level: what a difference means.
        groups: the group of each unit; units of one group are drawn together.
        confidence: how surely the interval is to hold the value.
        resamples: drawings of the bootstrap.
        seed: of the drawings.

    Raises:
        ValueError: no unit has two ratings, or the groups are not one for each unit.
    """
    if groups is not None:
        if len(groups) != len(ratings):
            raise ValueError(f"{len(groups)} groups do not fit {len(ratings)} units; give one for each")
        groups = [group for group, unit in zip(groups, ratings, strict=True) if _is_pairable(unit)]
    pool = _pool(ratings)
    alpha = _alpha_of(pool, level)
    low, high = _interval(alpha, pool.units, groups, confidence, resamples, seed)
    size = np.bincount(pool.unit, minlength=pool.units)
    equal = (_equal_pairs(pool) / (size - 1)).sum() / size.sum()
    commonest = np.bincount(pool.value).max() / len(pool.value)
    kind = f"Krippendorff's alpha, {level}"
    value = alpha(np.ones(pool.units))
    return Agreement(kind, value, low, high, pool.units, float(equal), float(commonest), confidence, resamples, seed)


def _pair(a: Sequence[float] | Sequence[str], b: Sequence[float] | Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
    if len(a) != len(b) or not len(a):
        raise ValueError(f"kappa needs the same items rated by both, found {len(a)} and {len(b)} ratings")
    return np.asarray(a), np.asarray(b)


def _kappa_of(pair: tuple[NDArray[Any], NDArray[Any]], weights: Literal["quadratic"] | None) -> Callable[[Values], float]:
    """Kappa as a function of how often each item counts."""
    if weights == "quadratic":
        x, y = pair[0].astype(float), pair[1].astype(float)

        # Summed over all pairs of ratings, the squared distances are variances and the distance of the means.
        def weighted(w: Values) -> float:
            w = w / w.sum()
            mean_x, mean_y = w @ x, w @ y
            expected = w @ (x - mean_x) ** 2 + w @ (y - mean_y) ** 2 + (mean_x - mean_y) ** 2
            return _beyond_chance(float(w @ (x - y) ** 2), float(expected))

        return weighted
    classes, places = np.unique(np.concatenate(pair), return_inverse=True)
    first, second = places[: len(pair[0])], places[len(pair[0]) :]
    differ = (first != second).astype(float)

    def plain(w: Values) -> float:
        w = w / w.sum()
        by_first, by_second = (_counted(side, w, len(classes)) for side in (first, second))
        return _beyond_chance(float(w @ differ), 1 - float(by_first @ by_second))

    return plain


@dataclass(frozen=True)
class _Pool:
    """All ratings of the units that have two or more, in one row."""

    values: Values
    """The distinct ratings, rising."""
    value: Places
    """Which of them each rating is."""
    unit: Places
    """Which unit each rating is of."""
    units: int


def _is_pairable(unit: Sequence[float | None]) -> bool:
    return sum(rating is not None for rating in unit) > 1


def _pool(ratings: Sequence[Sequence[float | None]]) -> _Pool:
    rated = [[rating for rating in unit if rating is not None] for unit in ratings if _is_pairable(unit)]
    if not rated:
        raise ValueError(f"alpha needs a unit with two ratings or more, found none among {len(ratings)}")
    values, value = np.unique(np.concatenate([np.asarray(unit, dtype=float) for unit in rated]), return_inverse=True)
    return _Pool(values, value, np.repeat(np.arange(len(rated)), [len(unit) for unit in rated]), len(rated))


def _alpha_of(pool: _Pool, level: Level) -> Callable[[Values], float]:
    """Alpha as a function of how often each unit counts."""
    size = np.bincount(pool.unit, minlength=pool.units).astype(float)

    def sums(of: Values) -> Values:
        return _counted(pool.unit, of[pool.value], pool.units)

    def alpha(w: Values) -> float:
        counts = _counted(pool.value, w[pool.unit], len(pool.values))
        n = counts.sum()
        if level == "nominal":
            apart, apart_by_chance = size**2 - size - _equal_pairs(pool), n**2 - counts @ counts
        else:
            # Krippendorff's ordinal difference, the ratings that lie between, is the distance of the middle ranks.
            x = np.cumsum(counts) - counts / 2 if level == "ordinal" else pool.values
            x = x - counts @ x / n  # Large numbers that lie close together would cancel.
            apart = 2 * (size * sums(x**2) - sums(x) ** 2)
            apart_by_chance = 2 * (n * (counts @ x**2) - (counts @ x) ** 2)
        return _beyond_chance(float(w @ (apart / (size - 1)) / n), float(apart_by_chance / (n * (n - 1))))

    return alpha


def _equal_pairs(pool: _Pool) -> Values:
    """For each unit the ordered pairs of its ratings that are equal."""
    cells, counts = np.unique(pool.unit * len(pool.values) + pool.value, return_counts=True)
    return _counted(cells // len(pool.values), counts * (counts - 1.0), pool.units)


def _counted(places: Places, weights: Values, length: int) -> Values:
    return np.bincount(places, weights=weights, minlength=length).astype(float)


def _beyond_chance(observed: float, expected: float) -> float:
    # Rounding leaves something of a variance that is zero.
    return 1 - observed / expected if expected > 1e-12 else 0.0


def _interval(
    statistic: Callable[[Values], float],
    items: int,
    groups: Sequence[str] | None,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """The percentile interval of a statistic over groups of items that are drawn with replacement."""
    if groups is not None and len(groups) != items:
        raise ValueError(f"{len(groups)} groups do not fit {items} items; give one for each")
    of_group = np.arange(items) if groups is None else np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    number = int(of_group.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = (rng.multinomial(number, np.full(number, 1 / number)).astype(float) for _ in range(resamples))
    low, high = np.quantile([statistic(counts[of_group]) for counts in drawn], [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
