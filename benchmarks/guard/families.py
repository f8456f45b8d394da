"""Whole verdicts on several metrics at once: how often an equal model is blocked by any of them, and what the verdict says of it.

Differences of sd 0.2 with a correlation of 0.5 between metrics. The fall that is allowed is 0.02 on the first metric and none on
the other two, so that two of them are at their threshold where the test errs most.

| design | metrics | goal |
|---|---|---|
| three ordinary metrics | one gate, Holm | blocked at most 5 % |
| two and a safety gate | two in Holm's gate, safety in its own at the full level | blocked at most 7 % |
| all thresholds at zero | the same two, each metric at its threshold | stated: at most 5 % and 10 % by the gates' sums |

The rate of two metrics and a safety gate at 50 items lies so near its goal (0.0694) that no affordable number of sets could tell
them apart. So the goals stand for the normal law of the tests, integrated numerically, and what is simulated has to agree with
them within its Monte Carlo error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from scipy import stats

from benchmarks.claims import Entry, Result, Setting, rounded, table
from benchmarks.guard.deciding import (
    ALPHA,
    CONFIG,
    OURS,
    Decider,
    beside,
    error,
    of_sets,
    pairs_of,
    product,
    rule_of,
    share,
    worst,
)
from benchmarks.guard.populations import CORRELATION, GAUSSIAN, SD, several
from benchmarks.guard.rivals import RIVALS
from continuum.guard.decision import decide
from continuum.guard.ruling import rule_on
from continuum.judging.criteria import SAFETY
from continuum.records import VerdictStatus

AT_ONCE = 200_000
"""Scores of one metric that are drawn at once."""


@dataclass(frozen=True)
class Design:
    """Metrics that are decided on together."""

    name: str
    min_delta: Mapping[str, float]
    goal: float | None
    """The most verdicts on an equal model that may block; None where it is only stated."""


THREE = {"helpfulness": -0.02, "accuracy": 0.0, "tone": 0.0}
WITH_SAFETY = {"helpfulness": -0.02, "accuracy": 0.0, SAFETY.name: 0.0}
DESIGNS = (
    Design("three ordinary metrics", THREE, 0.05),
    Design("two and a safety gate", WITH_SAFETY, 0.07),
    Design("three ordinary metrics, all at their threshold", dict.fromkeys(THREE, 0.0), None),
    Design("two and a safety gate, all at their threshold", dict.fromkeys(WITH_SAFETY, 0.0), None),
)
ITEMS, ITEMS_QUICK = (50, 200, 1000), (200,)


def measure(setting: Setting, sets: int | None = None, decider: Decider = product) -> Result:
    """An equal model, judged whole."""
    sets = of_sets(setting, sets)
    shown = table(
        f"Verdicts that block an equal model; {sets:,} golden sets a row, Monte Carlo error {error(0.05, sets):.4f}",
        *("", "at most, as stated", OURS, *RIVALS),
    )
    entries: list[Entry] = []
    every: list[Mapping[str, float]] = []
    for design in DESIGNS if not setting.quick else DESIGNS[:2]:
        stated = stated_level(design, setting.seed)
        for items in ITEMS_QUICK if setting.quick else ITEMS:
            setting.say(f"families: {design.name}, n={items}")
            blocked = blocked_by(design, items, sets, setting.seed, decider)
            every.append(blocked)
            _add(shown, f"{design.name}, n={items}", stated, blocked)
            entries += claims(design, items, blocked, stated, sets)
    highest = worst(every)
    return Result([*entries, *beside(f"equal models blocked, the most of {len(every)} cells", highest[OURS], highest)], shown)


def blocked_by(design: Design, items: int, sets: int, seed: int, decider: Decider) -> dict[str, float]:
    """Of verdicts on an equal model, how many block, by rule; a rival blocks when it does on any metric."""
    rng = np.random.default_rng([seed, items, len(design.name)])
    rule = rule_of(design.min_delta)
    said: list[VerdictStatus] = []
    rivals: dict[str, list[float]] = {name: [] for name in RIVALS}
    at_once = max(1, AT_ONCE // items)
    for start in range(0, sets, at_once):
        scores = several(rng, min(at_once, sets - start), items, dict.fromkeys(design.min_delta, 0.0))
        by_metric = [pairs_of(drawn, GAUSSIAN, metric) for metric, drawn in scores.items()]
        said += [decider(pairs, rule) for pairs in zip(*by_metric, strict=True)]
        for name, rival in RIVALS.items():
            words = [rival(drawn, design.min_delta[metric]) for metric, drawn in scores.items()]
            rivals[name] += np.any(words, axis=0).astype(float).tolist()
    return {OURS: share(said, VerdictStatus.BLOCKED), **{name: float(np.mean(found)) for name, found in rivals.items()}}


def stated_level(design: Design, seed: int) -> float | None:
    """The chance of blocking an equal model, at most, that a verdict on these metrics states."""
    scores = several(np.random.default_rng(seed), 1, 200, dict.fromkeys(design.min_delta, 0.0))
    pairs = [pairs_of(drawn, GAUSSIAN, metric)[0] for metric, drawn in scores.items()]
    return rule_on(decide(pairs, rule_of(design.min_delta)), CONFIG).false_block_rate


def integrated(design: Design, items: int) -> float:
    """How often any of the correlated normal tests rejects an equal model.

    A gate rejects something if and only if its smallest p lies below the level that its tests share.
    """
    ordinary = [metric for metric in design.min_delta if metric != SAFETY.name]
    shares = [1 if metric == SAFETY.name else len(ordinary) for metric in design.min_delta]
    shift = np.array([-allowed for allowed in design.min_delta.values()]) * math.sqrt(items) / SD
    bounds = -stats.norm.ppf([ALPHA / share for share in shares]) + shift
    correlations = np.full((len(shares), len(shares)), CORRELATION) + (1 - CORRELATION) * np.eye(len(shares))
    # scipy's types allow a single number only.
    return float(1 - stats.multivariate_normal.cdf(bounds, mean=np.zeros(len(shares)), cov=correlations))  # pyright: ignore[reportArgumentType]


def claims(design: Design, items: int, blocked: Mapping[str, float], stated: float | None, sets: int) -> list[Entry]:
    """That it is rare, and that the verdict states a level that is kept."""
    what = f"equal model blocked, {design.name}, n={items}"
    ours, peer = blocked[OURS], blocked["point threshold (MLflow)"]
    entries = []
    if design.goal is None:
        entries.append(Entry(what, rounded(ours), rounded(peer), rounded(ours / peer) if peer else None, "stated", None))
    else:
        entries.append(Entry.of_value(f"{what}, by integration", integrated(design, items), "<=", design.goal))
        goal = design.goal + error(design.goal, sets)
        entries.append(Entry.of_value(f"{what}, as simulated", ours, "<=", round(goal, 4), peer))
    kept = stated is not None and ours <= stated + error(stated, sets)
    goal = "stated in the verdict, and at least what is found (the peer) less the Monte Carlo error"
    entries.append(
        Entry(f"level that the verdict states, {design.name}, n={items}", rounded(stated), rounded(ours), None, goal, kept)
    )
    return entries


def _add(shown: Table, name: str, stated: float | None, blocked: Mapping[str, float]) -> None:
    shown.add_row(name, "-" if stated is None else f"{stated:.3f}", *(f"{value:.3f}" for value in blocked.values()))
