"""How often a candidate is approved that is worse than allowed by the whole resolution: the dangerous error.

The truth is at the threshold minus the resolution of 0.03, where approving errs most.
"""

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.guard.deciding import (
    OURS,
    RESOLUTION,
    Cell,
    Decider,
    Shares,
    beside,
    error,
    of_sets,
    product,
    shares,
    slack,
    worst,
)
from benchmarks.guard.populations import POPULATIONS
from benchmarks.guard.rivals import RIVALS

GOAL = 0.06
ITEMS, ITEMS_QUICK = (50, 200, 1000), (200,)


def measure(setting: Setting, sets: int | None = None, decider: Decider = product) -> Result:
    """Simulate every population at every size."""
    sets = of_sets(setting, sets)
    cells = [
        Cell(population, items, population.min_delta - RESOLUTION)
        for population in POPULATIONS
        for items in (ITEMS_QUICK if setting.quick else ITEMS)
    ]
    shown = table(
        f"Approved though it fell {RESOLUTION} further than it may; {sets:,} golden sets a row, "
        f"Monte Carlo error {error(GOAL, sets):.4f}",
        *("", OURS, *RIVALS),
    )
    goal = round(GOAL + slack(setting, GOAL, sets), 4)
    found: list[Shares] = []
    entries: list[Entry] = []
    for cell in cells:
        setting.say(f"approving: {cell.name}")
        one = shares(cell, sets, setting.seed, decider)
        found.append(one)
        shown.add_row(cell.name, *(f"{value:.3f}" for value in one.approved.values()))
        what = f"approved at the threshold minus {RESOLUTION}, {cell.name}"
        entries.append(Entry.of_value(what, one.approved[OURS], "<=", goal, one.approved["point threshold (MLflow)"]))
    highest = worst([one.approved for one in found])
    entries += beside(f"approved at the threshold minus {RESOLUTION}, the most of {len(cells)} cells", highest[OURS], highest)
    return Result(entries, shown)
