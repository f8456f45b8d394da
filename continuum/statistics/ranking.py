"""How well one number ranks what another says: AUROC and Spearman's correlation, with intervals over groups.

Items of one group are not independent, so whole groups are drawn again for the interval (Field and Welsh 2007). A drawing
gives each item a weight, and both figures are worked out from weighted middle ranks, for all drawings at once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]

RESAMPLES = 1000
CELLS_AT_ONCE = 4_000_000
"""Weights held in memory at once."""


@dataclass(frozen=True)
class Ranking:
    """One figure and how sure of it one may be."""

    value: float
    low: float | None
    """Of the two-sided 95% interval; None with a single group, of which nothing can be said."""
    high: float | None
    items: int
    groups: int


def auroc(scores: ArrayLike, good: ArrayLike) -> float:
    """The chance that a good item is scored above another one, a tie counting half; NaN where all are of one kind."""
    values, truth = _aligned(scores, good)
    return float(_auroc_of(values, truth, np.ones((1, len(values))))[0])


def spearman(left: ArrayLike, right: ArrayLike) -> float:
    """The correlation of the ranks, with middle ranks for ties; NaN where all of one side are equal."""
    one, other = _aligned(left, right)
    return float(_spearman_of(one, other, np.ones((1, len(one))))[0])


def ranked_auroc(scores: ArrayLike, good: ArrayLike, groups: Sequence[str], *, seed: int, resamples: int = RESAMPLES) -> Ranking:
    """The AUROC with its interval.

    Args:
        scores: what ranks.
        good: whether each item is good.
        groups: the group of each item.
        seed: of the drawings.
        resamples: how many of them.

    Raises:
        ValueError: the lengths differ, or all items are of one kind.
    """
    values, truth = _aligned(scores, good)
    return _with_interval(partial(_auroc_of, values, truth), groups, len(values), seed, resamples)


def ranked_spearman(
    left: ArrayLike, right: ArrayLike, groups: Sequence[str], *, seed: int, resamples: int = RESAMPLES
) -> Ranking:
    """Spearman's correlation with its interval; the arguments are those of `ranked_auroc`.

    Raises:
        ValueError: the lengths differ, or all of one side are equal.
    """
    one, other = _aligned(left, right)
    return _with_interval(partial(_spearman_of, one, other), groups, len(one), seed, resamples)


def _aligned(left: ArrayLike, right: ArrayLike) -> tuple[Values, Values]:
    one, other = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    if one.shape != other.shape or one.ndim != 1 or not len(one):
        raise ValueError(f"ranking needs two equally long lists, found {one.shape} and {other.shape}")
    return one, other


def _with_interval(
    statistic: Callable[[Values], Values], groups: Sequence[str], items: int, seed: int, resamples: int
) -> Ranking:
    if len(groups) != items:
        raise ValueError(f"ranking needs the group of each item, found {len(groups)} for {items}")
    value = float(statistic(np.ones((1, items)))[0])
    if math.isnan(value):
        raise ValueError("nothing can be ranked where all items are equal on one side")
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < 2:
        return Ranking(value, None, None, items, len(names))
    rng = np.random.default_rng(seed)
    drawn: list[Values] = []
    step = max(1, CELLS_AT_ONCE // items)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)
        drawn.append(statistic(counts[:, group].astype(float)))
    # A drawing that holds items of one kind only has no figure.
    low, high = np.nanquantile(np.concatenate(drawn), (0.025, 0.975))
    return Ranking(value, float(low), float(high), items, len(names))


def _auroc_of(scores: Values, good: Values, weights: Values) -> Values:
    truth = good > 0
    positive, negative = weights[:, truth].sum(1), weights[:, ~truth].sum(1)
    below = (weights[:, truth] * _middle_ranks(scores, weights)[:, truth]).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Mann and Whitney: what good items have below them, less what they have among themselves.
        return np.where(positive * negative > 0, (below - positive**2 / 2) / (positive * negative), np.nan)


def _spearman_of(left: Values, right: Values, weights: Values) -> Values:
    one, other = _middle_ranks(left, weights), _middle_ranks(right, weights)
    total = weights.sum(1, keepdims=True)
    one = one - (weights * one).sum(1, keepdims=True) / total
    other = other - (weights * other).sum(1, keepdims=True) / total
    spread = (weights * one**2).sum(1) * (weights * other**2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-9, (weights * one * other).sum(1) / np.sqrt(spread), np.nan)


def _middle_ranks(values: Values, weights: Values) -> Values:
    """How much weight lies below each value, and half of the weight at it."""
    _, inverse = np.unique(values, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
    at = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(at, axis=1) - at / 2)[:, inverse]
