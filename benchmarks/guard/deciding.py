"""What the guard and its rivals say of many simulated golden sets: the product's own code decides on every one of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.claims import Entry, Setting, rounded
from benchmarks.guard.populations import Population, Scores
from benchmarks.guard.rivals import RIVALS, Blocked
from continuum.guard.decision import Rule, decide
from continuum.guard.pairs import Gate, Pairs
from continuum.guard.ruling import rule_on
from continuum.judging.criteria import SAFETY
from continuum.policy import GuardPolicy
from continuum.records import VerdictStatus

METRIC = "quality"
ALPHA, RESOLUTION = 0.05, 0.03
CONFIG = GuardPolicy()
OURS = "ours"
SETS, SETS_QUICK = 10_000, 400
"""Golden sets a cell."""

Decider = Callable[[Sequence[Pairs], Rule], VerdictStatus]
"""From the pairs of each metric to the word of the verdict."""


def product(pairs: Sequence[Pairs], rule: Rule) -> VerdictStatus:
    """The guard's own word."""
    return rule_on(decide(pairs, rule), CONFIG).status


@dataclass(frozen=True)
class Cell:
    """Golden sets of one kind: where they are from, how large they are, and how far the candidate truly is from the baseline."""

    population: Population
    items: int
    shift: float

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.population.name}, n={self.items}"


@dataclass(frozen=True)
class Shares:
    """Of how many sets a rule says what, 0 to 1."""

    blocked: dict[str, float]
    """By rule, `ours` among them."""
    approved: dict[str, float]
    """Rivals approve what they do not block."""
    naive: float
    """Blocked by a paired t test that counts every item."""


def shares(cell: Cell, sets: int, seed: int, decider: Decider = product) -> Shares:
    """Ask the guard and each rival about every set."""
    population = cell.population
    rule = rule_of({METRIC: population.min_delta})
    said: list[VerdictStatus] = []
    blocked: dict[str, list[Blocked]] = {name: [] for name in RIVALS}
    for scores in population.blocks(seed, sets, cell.items, cell.shift):
        said += [decider([pair], rule) for pair in pairs_of(scores, population)]
        for name, rival in RIVALS.items():
            blocked[name].append(rival(scores, population.min_delta))
    rivals = {name: float(np.concatenate(found).mean()) for name, found in blocked.items()}
    return Shares(
        blocked={OURS: share(said, VerdictStatus.BLOCKED), **rivals},
        approved={OURS: share(said, VerdictStatus.APPROVED), **{name: 1 - found for name, found in rivals.items()}},
        naive=rivals["significance alone"],
    )


def pairs_of(scores: Scores, population: Population, metric: str = METRIC) -> list[Pairs]:
    """One metric's pairs of each set; safety has a gate of its own, as in the guard."""
    items = scores.baseline.shape[1]
    groups = population.groups(items)
    gate = Gate.SAFETY if metric == SAFETY.name else Gate.ORDINARY
    return [
        Pairs(metric, groups, tuple(before), tuple(after), eligible=items, gate=gate, binary=population.binary)
        for before, after in zip(scores.baseline.tolist(), scores.candidate.tolist(), strict=True)
    ]


def rule_of(min_delta: Mapping[str, float], alpha: float = ALPHA) -> Rule:
    """The guard's rule with its default resolution."""
    return Rule(min_delta=min_delta, resolution=RESOLUTION, alpha=alpha, require_significance=True)


def share(said: Sequence[VerdictStatus], word: VerdictStatus) -> float:
    """Of verdicts, how many say this."""
    return sum(one == word for one in said) / len(said)


def error(rate: float, sets: int) -> float:
    """Half the width of the 95 % interval of a share that is simulated so often: the Monte Carlo error."""
    return 1.96 * math.sqrt(rate * (1 - rate) / sets)


def of_sets(setting: Setting, sets: int | None) -> int:
    """How many are simulated."""
    return sets or (SETS_QUICK if setting.quick else SETS)


def slack(setting: Setting, rate: float, sets: int) -> float:
    """By how much a small run widens a goal: its Monte Carlo error; a full run by nothing."""
    return error(rate, sets) if setting.quick else 0.0


def beside(what: str, ours: float, rivals: Mapping[str, float]) -> list[Entry]:
    """A row a rival, with nothing claimed of it."""
    return [
        Entry(f"{what}: {name}", rounded(ours), rounded(found), rounded(ours / found) if found else None, "beside ours", None)
        for name, found in rivals.items()
        if name != OURS
    ]


def worst(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The highest share of each rule."""
    return {name: max(one[name] for one in found) for name in found[0]}
