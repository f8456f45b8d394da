"""Whether a judge that is asked about the same things again still says the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from continuum.statistics.agreement import cohen_kappa
from continuum.statistics.paired import group_means, t_interval, t_p


@dataclass(frozen=True)
class Shift:
    """How the mean of the same items moved."""

    items: int
    groups: int
    before: float
    after: float
    shift: float
    low: float
    """Lower end of the two-sided interval of `shift` at the level of the test."""
    high: float
    p: float
    """Two-sided, of Student's paired test on the means of groups."""


@dataclass(frozen=True)
class KappaFall:
    """How the agreement with people moved on the same items; quadratically weighted kappa."""

    items: int
    groups: int
    before: float
    after: float
    fall: float
    p: float
    """One-sided, that agreement did not fall: Student's test on the jackknife's pseudo-values over groups."""


def mean_shift(before: Sequence[float], after: Sequence[float], groups: Sequence[str], *, alpha: float) -> Shift:
    """How scores of the same items moved; items of one group are not independent.

    Raises:
        ValueError: the items are of fewer than two groups.
    """
    differences = group_means([second - first for first, second in zip(before, after, strict=True)], groups)
    if len(differences) < 2:
        raise ValueError(f"a shift needs items of at least two groups, found {len(differences)}")
    low, high = t_interval(differences, 1 - alpha)
    return Shift(
        items=len(before),
        groups=len(differences),
        before=float(group_means(before, groups).mean()),
        after=float(group_means(after, groups).mean()),
        shift=float(differences.mean()),
        low=low,
        high=high,
        p=min(1.0, 2 * min(t_p(differences, 0.0, worse=worse) for worse in (True, False))),
    )


def kappa_fall(people: Sequence[float], before: Sequence[float], after: Sequence[float], groups: Sequence[str]) -> KappaFall:
    """How far a judge's agreement with people fell on the same items.

    Raises:
        ValueError: the items are of fewer than two groups.
    """
    scores = np.array([people, before, after], dtype=float)
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if (n := int(group.max(initial=-1)) + 1) < 2:
        raise ValueError(f"a fall needs items of at least two groups, found {n}")

    def kappas(columns: np.ndarray) -> tuple[float, float]:
        truth, first, second = columns.tolist()
        return cohen_kappa(truth, first, "quadratic"), cohen_kappa(truth, second, "quadratic")

    was, now = kappas(scores)
    without = [kappas(scores[:, group != one]) for one in range(n)]
    pseudo = np.array([n * (was - now) - (n - 1) * (first - second) for first, second in without])
    return KappaFall(len(people), n, was, now, was - now, t_p(pseudo, 0.0, worse=False))
