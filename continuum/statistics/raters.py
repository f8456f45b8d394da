"""How far each rater can be trusted, and what was true, learned together from verdicts that conflict.

The model of Dawid and Skene (1979) for yes-or-no answers: an item is good or bad; a rater calls a good one good with a
probability of its own, the sensitivity, and a bad one bad with another, the specificity. Expectation maximisation finds both.
As in Raykar et al. (2010) the probabilities have beta priors; here the priors' means are those of the population, which is
learned too, so that a rater of few verdicts is taken for one of the crowd. Items whose truth is known are held at it.

A flood must not decide: a rater has one verdict on an item, and the population and the share of good items are means in which
each rater counts once, however much it said. Exchanging good for bad everywhere fits verdicts equally well; known items
settle which is which, and without any, raters are taken to be right more often than wrong, each counting once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

PRIOR_MEAN = 0.75
"""What is believed of the population before anything is seen."""
POPULATION_RATERS = 2.0
"""How many raters that belief weighs."""
PRIOR_VERDICTS = 4.0
"""How many verdicts the population weighs against a rater's own, on good items and on bad ones."""
START_MEAN = 0.7
SURE = 1e-3
"""No rater is ever taken to be right or wrong more surely than this leaves over."""
MAX_ITERATIONS = 500
TOLERANCE = 1e-7
"""The largest change of a probability at which the fit has settled."""


class Rating(NamedTuple):
    """One rater's verdict on one item."""

    item: str
    rater: str | None
    """None for someone unknown, who is taken for one of the population."""
    good: float
    """From 0, bad, to 1, good; between them the verdict counts in part as each."""


@dataclass(frozen=True)
class RaterFit:
    """What was learned; arrays run along `items` or along `raters`, which are sorted."""

    items: tuple[str, ...]
    probability: Values
    """That the item is good."""
    raters: tuple[str, ...]
    sensitivity: Values
    specificity: Values
    verdicts: NDArray[np.int64]
    """Items the rater gave a verdict on."""
    known: NDArray[np.int64]
    """Those of them whose truth was known."""
    shared: NDArray[np.int64]
    """Those of them that somebody else judged too, or whose truth was known: what reliability is read from."""
    population_sensitivity: float
    population_specificity: float
    prevalence: float
    """Share of good items; each rater counts once."""
    log_likelihood: float
    iterations: int
    converged: bool
    anchor: str
    """What settled which side is good: `known items` or `majority of raters`."""

    @property
    def reliability(self) -> Values:
        """Sensitivity + specificity - 1 (Youden 1950): 1 is always right, 0 says nothing or worse."""
        return np.maximum(0.0, self.sensitivity + self.specificity - 1)

    @property
    def population_reliability(self) -> float:
        """The same for someone of whom nothing is known."""
        return max(0.0, self.population_sensitivity + self.population_specificity - 1)

    def evidence(self) -> dict[str, Any]:
        """What the answer rests on, in plain values."""
        return {
            "items": len(self.items),
            "raters": len(self.raters),
            "verdicts": int(self.verdicts.sum()),
            "shared_verdicts": int(self.shared.sum()),
            "known_verdicts": int(self.known.sum()),
            "prevalence": self.prevalence,
            "population_sensitivity": self.population_sensitivity,
            "population_specificity": self.population_specificity,
            "log_likelihood": self.log_likelihood,
            "iterations": self.iterations,
            "converged": self.converged,
            "anchor": self.anchor,
        }


def fit_raters(ratings: Iterable[Rating], known: Mapping[str, float] | None = None) -> RaterFit:
    """Learn who is right and what is true.

    Args:
        ratings: of several by one rater on one item the last counts; each without a rater counts.
        known: item to its truth, 1 good and 0 bad; items without a verdict are allowed.
    """
    data = _Verdicts.of(ratings, known or {})
    if not len(data.items):
        return _result(data, _Belief.start(data), 0, True, "majority of raters")
    guess = data.equal_say()
    if data.is_known.any():
        # Where most raters are wrong only one of these ends on the right side; the likelihood, known items and all, tells.
        starts = (guess, 1 - guess, data.e_step(data.m_step(np.full(len(data.items), 0.5), known_only=True)))
        fits = [_settle(data, data.clamped(start)) for start in starts]
        best = max(fits, key=lambda fit: data.log_likelihood(fit.belief))
        return _result(data, best.belief, best.iterations, best.converged, "known items")
    fit = _settle(data, guess)
    if data.mean_informedness(fit.belief) < 0:
        fit = _settle(data, 1 - fit.belief.probability)
    return _result(data, fit.belief, fit.iterations, fit.converged, "majority of raters")


class _Belief(NamedTuple):
    """All that the model holds at one step; the last entry of the raters' arrays is the population's."""

    probability: Values
    sensitivity: Values
    specificity: Values
    prevalence: float

    @classmethod
    def start(cls, data: "_Verdicts") -> "_Belief":
        size = len(data.raters) + 1
        return cls(np.full(len(data.items), 0.5), np.full(size, PRIOR_MEAN), np.full(size, PRIOR_MEAN), 0.5)


class _Settled(NamedTuple):
    belief: _Belief
    iterations: int
    converged: bool


@dataclass(frozen=True)
class _Verdicts:
    """Verdicts as columns, in one order whatever the order they came in."""

    items: tuple[str, ...]
    raters: tuple[str, ...]
    item: NDArray[np.int64]
    rater: NDArray[np.int64]
    """Unknown raters share the number after the last."""
    good: Values
    is_known: NDArray[np.bool_]
    truth: Values
    """0.5 where it is not known."""

    @classmethod
    def of(cls, ratings: Iterable[Rating], known: Mapping[str, float]) -> "_Verdicts":
        named: dict[tuple[str, str], float] = {}
        unknown: list[tuple[str, float]] = []
        for item, rater, good in ratings:
            if rater is None:
                unknown.append((item, good))
            else:
                named[item, rater] = good
        items = tuple(sorted({item for item, _ in named} | {item for item, _ in unknown} | set(known)))
        raters = tuple(sorted({rater for _, rater in named}))
        place = {name: number for number, name in enumerate(items)}
        number = {name: place for place, name in enumerate(raters)}
        rows = sorted((place[item], number[rater], good) for (item, rater), good in named.items())
        rows += sorted((place[item], len(raters), good) for item, good in unknown)
        item, rater, good = (np.array(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
        return cls(
            items,
            raters,
            np.asarray(item, dtype=np.int64),
            np.asarray(rater, dtype=np.int64),
            np.clip(np.asarray(good, dtype=np.float64), 0, 1),
            np.array([name in known for name in items], dtype=bool),
            np.clip(np.array([known.get(name, 0.5) for name in items], dtype=np.float64), 0, 1),
        )

    @property
    def size(self) -> int:
        """Raters and, at the end, the unknown."""
        return len(self.raters) + 1

    def by_rater(self, weights: Values | None = None) -> Values:
        """Sums over each rater's verdicts."""
        return np.bincount(self.rater, weights=weights, minlength=self.size).astype(np.float64)

    def by_item(self, weights: Values) -> Values:
        """Sums over each item's verdicts."""
        return np.bincount(self.item, weights=weights, minlength=len(self.items)).astype(np.float64)

    def equal_say(self) -> Values:
        """A first guess: the share of good verdicts on an item, in which all of a rater's verdicts together weigh one."""
        say = 1 / self.by_rater()[self.rater]
        weight = self.by_item(say)
        share = self.by_item(say * self.good) / np.where(weight > 0, weight, 1)
        guess = np.where(weight > 0, START_MEAN * share + (1 - START_MEAN) * (1 - share), 0.5)
        return guess

    def clamped(self, probability: Values) -> Values:
        """The same with the known items at their truth."""
        return np.where(self.is_known, self.truth, probability)

    def m_step(self, probability: Values, *, known_only: bool = False, before: _Belief | None = None) -> _Belief:
        """What the raters must be like if the items are as believed."""
        before = before or _Belief.start(self)
        counted = self.is_known[self.item].astype(np.float64) if known_only else np.ones(len(self.item))
        is_good = self.clamped(probability)[self.item] * counted
        is_bad = counted - is_good
        sensitivity, population_sensitivity = self._rates(is_good, self.good, before.sensitivity[-1])
        specificity, population_specificity = self._rates(is_bad, 1 - self.good, before.specificity[-1])
        sensitivity[-1], specificity[-1] = population_sensitivity, population_specificity
        return _Belief(
            probability, np.clip(sensitivity, SURE, 1 - SURE), np.clip(specificity, SURE, 1 - SURE), self._share_good(probability)
        )

    def _rates(self, weight: Values, right: Values, population: float) -> tuple[Values, float]:
        """Each rater's share of right verdicts, drawn to the population's, and the population's anew."""
        asked, hits = self.by_rater(weight), self.by_rater(weight * right)
        rates = (PRIOR_VERDICTS * population + hits) / (PRIOR_VERDICTS + asked)
        # A rater counts for the population as far as it was seen, and never for more than one.
        seen = asked / (PRIOR_VERDICTS + asked)
        own = hits / np.where(asked > 0, asked, 1)
        return rates, float((POPULATION_RATERS * PRIOR_MEAN + (seen * own).sum()) / (POPULATION_RATERS + seen.sum()))

    def _share_good(self, probability: Values) -> float:
        verdicts = self.by_rater()
        judged = verdicts > 0
        means = self.by_rater(probability[self.item])[judged] / verdicts[judged]
        return float((1 + means.sum()) / (2 + len(means)))

    def e_step(self, belief: _Belief) -> Values:
        """How likely each item is to be good if the raters are as believed."""
        good, bad = self._log_joint(belief)
        return self.clamped(1 / (1 + np.exp(np.clip(bad - good, -700, 700))))

    def log_likelihood(self, belief: _Belief) -> float:
        """Of the verdicts and of the known items."""
        good, bad = self._log_joint(belief)
        known = self.truth * good + (1 - self.truth) * bad
        return float(np.where(self.is_known, known, np.logaddexp(good, bad)).sum())

    def _log_joint(self, belief: _Belief) -> tuple[Values, Values]:
        sensitivity, specificity = belief.sensitivity[self.rater], belief.specificity[self.rater]
        if_good = self.good * np.log(sensitivity) + (1 - self.good) * np.log1p(-sensitivity)
        if_bad = self.good * np.log1p(-specificity) + (1 - self.good) * np.log(specificity)
        prevalence = min(1 - SURE, max(SURE, belief.prevalence))
        return np.log(prevalence) + self.by_item(if_good), np.log1p(-prevalence) + self.by_item(if_bad)

    def mean_informedness(self, belief: _Belief) -> float:
        """Sensitivity + specificity - 1 on average; each rater counts once."""
        informed = (belief.sensitivity + belief.specificity - 1)[self.by_rater() > 0]
        return float(informed.mean()) if informed.size else 0.0

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Each rater's verdicts, those on known items, and those that can be held against something."""
        known = self.is_known[self.item]
        shared = known | (np.bincount(self.item, minlength=len(self.items)) > 1)[self.item]
        sums = (self.by_rater(), self.by_rater(known.astype(float)), self.by_rater(shared.astype(float)))
        all_, on_known, on_shared = (column[:-1].astype(np.int64) for column in sums)
        return all_, on_known, on_shared


def _settle(data: _Verdicts, probability: Values) -> _Settled:
    belief = data.m_step(probability)
    for iteration in range(1, MAX_ITERATIONS + 1):
        found = data.e_step(belief)
        belief = data.m_step(found, before=belief)
        change = float(np.abs(found - probability).max(initial=0))
        probability = found
        if change < TOLERANCE:
            return _Settled(belief, iteration, True)
    return _Settled(belief, MAX_ITERATIONS, False)


def _result(data: _Verdicts, belief: _Belief, iterations: int, converged: bool, anchor: str) -> RaterFit:
    verdicts, known, shared = data.counts()
    return RaterFit(
        items=data.items,
        probability=belief.probability,
        raters=data.raters,
        sensitivity=belief.sensitivity[:-1],
        specificity=belief.specificity[:-1],
        verdicts=verdicts,
        known=known,
        shared=shared,
        population_sensitivity=float(belief.sensitivity[-1]),
        population_specificity=float(belief.specificity[-1]),
        prevalence=belief.prevalence,
        log_likelihood=data.log_likelihood(belief),
        iterations=iterations,
        converged=converged,
        anchor=anchor,
    )
