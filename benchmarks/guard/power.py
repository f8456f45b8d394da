"""How often a fall is found, and whether the guard says rightly what fall it would have found.

Differences are gaussian with sd 0.2. The smallest detectable fall is what a test finds four times in five, by the product's
formula at the true spread; a candidate that truly fell by it should be blocked with probability 0.80. Each verdict states it at
the spread that it has seen: how near that comes to the formula at the true spread is asked too.
"""

from statistics import fmean

import numpy as np

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.guard.deciding import (
    METRIC,
    OURS,
    Cell,
    Decider,
    Shares,
    beside,
    error,
    of_sets,
    pairs_of,
    product,
    rule_of,
    share,
    shares,
    slack,
)
from benchmarks.guard.populations import GAUSSIAN, SD, several
from benchmarks.guard.rivals import RIVALS
from continuum.guard.decision import decide
from continuum.records import VerdictStatus
from continuum.statistics.power import POWER, detectable_effect

DROP, ITEMS = 0.05, 200
SINGLE, AMONG_THREE, RIGHT_WITHIN = 0.95, 0.90, 0.02
SIZES, SIZES_QUICK = (50, 200, 1000), (200,)
READ, READ_QUICK = 200, 50
"""Verdicts whose stated detectable fall is read."""
THREE = ("helpfulness", "accuracy", "tone")


def measure(setting: Setting, sets: int | None = None, decider: Decider = product) -> Result:
    """A fall of 0.05 on one metric, on one of three, and of the detectable size."""
    sets = of_sets(setting, sets)
    shown = table(
        f"Blocked when it truly fell; {sets:,} golden sets a row, Monte Carlo error {error(SINGLE, sets):.4f}",
        *("", OURS, *RIVALS),
    )
    setting.say("power: one metric")
    one = shares(Cell(GAUSSIAN, ITEMS, -DROP), sets, setting.seed, decider)
    shown.add_row(f"a fall of {DROP}, n={ITEMS}", *(f"{value:.3f}" for value in one.blocked.values()))
    what = f"a fall of {DROP} blocked, sd {SD}, n={ITEMS}"
    entries = [_at_least(setting, what, one.blocked[OURS], SINGLE, sets)]
    entries += beside(what, one.blocked[OURS], one.blocked)
    setting.say("power: one of three metrics")
    of_three = one_of_three(sets, setting.seed, decider)
    shown.add_row(f"a fall of {DROP} on one metric of three, n={ITEMS}", f"{of_three:.3f}", *("",) * len(RIVALS))
    entries.append(_at_least(setting, f"{what}, one of three metrics (Holm)", of_three, AMONG_THREE, sets))
    for items in SIZES_QUICK if setting.quick else SIZES:
        setting.say(f"power: the detectable fall, n={items}")
        fall = detectable_effect(SD, items)
        found = shares(Cell(GAUSSIAN, items, -fall), sets, setting.seed, decider)
        shown.add_row(f"the detectable fall of {fall:.4f}, n={items}", *(f"{value:.3f}" for value in found.blocked.values()))
        entries += of_detectable(setting, items, fall, found, sets)
    return Result(entries, shown)


def of_detectable(setting: Setting, items: int, fall: float, found: Shares, sets: int) -> list[Entry]:
    """That the formula is right, and that verdicts state what it says."""
    off = abs(found.blocked[OURS] - POWER)
    goal = RIGHT_WITHIN + slack(setting, POWER, sets)
    stated = stated_falls(items, READ_QUICK if setting.quick else READ, setting.seed)
    return [
        Entry.of_value(
            f"distance from {POWER} of the share blocked at the detectable fall, n={items}", off, "<=", round(goal, 4)
        ),
        Entry.of_value(
            f"detectable fall that verdicts state on average, distance from the formula's {fall:.4f} as a share, n={items}",
            abs(stated / fall - 1),
            "<=",
            RIGHT_WITHIN,
        ),
    ]


def one_of_three(sets: int, seed: int, decider: Decider) -> float:
    """Of candidates that fell on the first of three correlated metrics, how many are blocked."""
    rng = np.random.default_rng([seed, ITEMS, len(THREE)])
    rule = rule_of(dict.fromkeys(THREE, 0.0))
    said: list[VerdictStatus] = []
    for start in range(0, sets, 500):
        shifts = {metric: -DROP if metric == THREE[0] else 0.0 for metric in THREE}
        scores = several(rng, min(500, sets - start), ITEMS, shifts)
        by_metric = [pairs_of(drawn, GAUSSIAN, metric) for metric, drawn in scores.items()]
        said += [decider(pairs, rule) for pairs in zip(*by_metric, strict=True)]
    return share(said, VerdictStatus.BLOCKED)


def stated_falls(items: int, read: int, seed: int) -> float:
    """The smallest detectable fall that so many checks state, on average."""
    rule = rule_of({METRIC: 0.0})
    stated = []
    for scores in GAUSSIAN.blocks(seed, read, items, 0.0):
        for pair in pairs_of(scores, GAUSSIAN):
            (check,) = decide([pair], rule)
            stated.append(check.mde or 0.0)
    return fmean(stated)


def _at_least(setting: Setting, what: str, found: float, goal: float, sets: int) -> Entry:
    return Entry.of_value(what, found, ">=", round(goal - slack(setting, goal, sets), 4))
