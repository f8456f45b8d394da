"""Twenty candidates, one after another, on one golden set: the chance that luck gets one of them approved.

All twenty are truly at the floor, the threshold minus the resolution, so that every approval is a bad one. Their differences are
independent of each other, which leaves luck the most chances. The k-th is approved at the level that the ledger leaves it; the
positions are those that a real store gives twenty checkpoints. Beside it: the same without a ledger, and the rivals.

And twenty that are truly equal to the baseline: how much better the best of them looks, and how often the twentieth
try is still blocked or approved. Nothing is claimed of that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.claims import Entry, Result, Setting, rounded, table
from benchmarks.guard.deciding import (
    ALPHA,
    METRIC,
    OURS,
    RESOLUTION,
    Cell,
    Decider,
    beside,
    error,
    pairs_of,
    product,
    rule_of,
    slack,
    worst,
)
from benchmarks.guard.populations import BINARY, CATASTROPHE, GAUSSIAN, LIKERT
from benchmarks.guard.rivals import RIVALS
from continuum.guard.baseline import PRODUCTION
from continuum.records import VerdictStatus
from continuum.statistics.spending import approval_level
from continuum.store.database import Store, open_store

TRIES = 20
SETS, SETS_QUICK = 1_000, 40
CELLS = ((GAUSSIAN, 50), (GAUSSIAN, 200), (LIKERT, 200), (BINARY, 200), (CATASTROPHE, 200), (GAUSSIAN, 1000))
CELLS_QUICK = ((LIKERT, 200),)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Series:
    """Of golden sets on which twenty candidates were tried, on how many a rule approved or blocked at least one."""

    approved: dict[str, float]
    blocked: dict[str, float]
    best: float
    """How far above the baseline the best-looking candidate seems to be, on average."""


def measure(setting: Setting, sets: int | None = None, decider: Decider = product) -> Result:
    """Try twenty candidates on many golden sets."""
    sets = sets or (SETS_QUICK if setting.quick else SETS)
    positions = ledger_positions(setting.folder, TRIES)
    shown = table(
        f"Golden sets on which one of {TRIES} candidates is approved; {sets:,} sets a row, "
        f"Monte Carlo error {error(ALPHA, sets):.4f}",
        *("", OURS, "ours without ledger", *RIVALS),
    )
    cells = [Cell(population, items, population.min_delta - RESOLUTION) for population, items in CELLS]
    if setting.quick:
        cells = [Cell(population, items, population.min_delta - RESOLUTION) for population, items in CELLS_QUICK]
    goal = round(ALPHA + slack(setting, ALPHA, sets), 4)
    entries = [
        Entry.of_value(
            f"checkpoints that the ledger of a store gives the next position, of {TRIES}", _in_turn(positions), "==", TRIES
        )
    ]
    every = []
    for cell in cells:
        setting.say(f"reusing: {cell.name}")
        found = series(cell, sets, setting.seed, positions, decider)
        every.append(found.approved)
        shown.add_row(f"all at the floor: {cell.name}", *(f"{value:.3f}" for value in found.approved.values()))
        what = f"one of {TRIES} candidates at the floor approved, {cell.name}, and without a ledger as peer"
        entries.append(Entry.of_value(what, found.approved[OURS], "<=", goal, found.approved["ours without ledger"]))
    highest = worst(every)
    entries += beside(f"one of {TRIES} candidates at the floor approved, the most of {len(cells)} cells", highest[OURS], highest)
    if not setting.quick:
        equal = series(Cell(GAUSSIAN, 200, 0.0), sets, setting.seed, positions, decider)
        shown.add_row("all equal to the baseline: gaussian, n=200", *(f"{value:.3f}" for value in equal.approved.values()))
        entries += _of_equals(equal)
    return Result(
        entries, shown, [f"levels of approval: {', '.join(f'{approval_level(ALPHA, k):.4f}' for k in positions[:5])}, ..."]
    )


def series(cell: Cell, sets: int, seed: int, positions: Sequence[int], decider: Decider) -> Series:
    """Try as many candidates as there are positions on each golden set."""
    population, tries = cell.population, len(positions)
    bare = replace(rule_of({METRIC: population.min_delta}), approval_alpha=ALPHA)
    rules = [replace(bare, approval_alpha=approval_level(ALPHA, position)) for position in positions]
    approved: dict[str, list[bool]] = {OURS: [], "ours without ledger": [], **{name: [] for name in RIVALS}}
    blocked: dict[str, list[bool]] = {OURS: [], **{name: [] for name in RIVALS}}
    best: list[float] = []
    rng = np.random.default_rng([seed, cell.items, round(1e6 * (1 + cell.shift))])
    for _ in range(sets):
        scores = population.draw(rng, tries, cell.items, cell.shift)
        pairs = pairs_of(scores, population)
        said = [decider([pair], rule) for pair, rule in zip(pairs, rules, strict=True)]
        without = (decider([pair], bare) for pair in pairs)
        approved[OURS].append(VerdictStatus.APPROVED in said)
        blocked[OURS].append(VerdictStatus.BLOCKED in said)
        approved["ours without ledger"].append(VerdictStatus.APPROVED in without)
        for name, rival in RIVALS.items():
            refused = rival(scores, population.min_delta)
            approved[name].append(not refused.all())
            blocked[name].append(bool(refused.any()))
        best.append(float(scores.differences.mean(1).max()))
    return Series(
        {name: float(np.mean(words)) for name, words in approved.items()},
        {name: float(np.mean(words)) for name, words in blocked.items()},
        float(np.mean(best)),
    )


def ledger_positions(folder: Path, tries: int) -> list[int]:
    """What a real store gives so many checkpoints that are measured on one golden set; asked twice, it must say the same."""
    store = open_store(f"sqlite:///{folder / 'ledger.db'}")
    try:
        positions = [_position(store, try_number) for try_number in range(tries)]
        again = [_position(store, try_number) for try_number in range(tries)]
    finally:
        store.close()
    return positions if again == positions else []


def _of_equals(found: Series) -> list[Entry]:
    what = f"{TRIES} candidates equal to the baseline, gaussian, n=200"
    figures = {
        "how much better the best of them looks": (found.best, None),
        "one is approved, and without a ledger as peer": (found.approved[OURS], found.approved["ours without ledger"]),
        "one is blocked, and by the point threshold as peer": (found.blocked[OURS], found.blocked["point threshold (MLflow)"]),
    }
    return [
        Entry(f"{what}: {name}", rounded(ours), rounded(peer), None, "stated", None) for name, (ours, peer) in figures.items()
    ]


def _in_turn(positions: Sequence[int]) -> int:
    return sum(position == n for n, position in enumerate(positions, 1))


def _position(store: Store, number: int) -> int:
    items = [f"item {n}" for n in range(200)]
    return store.golden_uses.claim("benchmark", "golden", items, f"checkpoint {number}", PRODUCTION, lambda: NOW).position
