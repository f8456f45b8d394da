"""How often a candidate that fell exactly as far as it may is blocked: the false alarm of the guard.

The truth is at the threshold, where a test of level 5 % errs most. In clusters the peer is the same test on single items.
"""

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.guard.deciding import OURS, Cell, Decider, Shares, beside, error, of_sets, product, shares, slack, worst
from benchmarks.guard.populations import BINARY_MARGIN, CLUSTERED, GAUSSIAN, POPULATIONS
from benchmarks.guard.rivals import RIVALS, as_mlflow, point_threshold

LEVEL = 0.05
BINARY_MARGIN_AT_50, IN_CLUSTERS, NAIVE = 0.06, 0.06, 0.15
ITEMS, ITEMS_QUICK = (50, 200, 1000), (200,)
ASKED_OF_MLFLOW, ASKED_OF_MLFLOW_QUICK = 500, 100


def measure(setting: Setting, sets: int | None = None, decider: Decider = product) -> Result:
    """Simulate every population at every size."""
    sets = of_sets(setting, sets)
    cells = [
        Cell(population, items, population.min_delta)
        for population in POPULATIONS
        for items in (ITEMS_QUICK if setting.quick else ITEMS)
    ]
    shown = table(
        f"Blocked though it fell no further than it may; {sets:,} golden sets a row, Monte Carlo error {error(LEVEL, sets):.4f}",
        *("", OURS, *RIVALS),
    )
    found: list[Shares] = []
    entries: list[Entry] = []
    for cell in cells:
        setting.say(f"blocking: {cell.name}")
        one = shares(cell, sets, setting.seed, decider)
        found.append(one)
        shown.add_row(cell.name, *(f"{value:.3f}" for value in one.blocked.values()))
        entries.append(claim(setting, cell, one, sets))
    highest = worst([one.blocked for one in found])
    entries += beside(f"blocked at the threshold, the most of {len(cells)} cells", highest[OURS], highest)
    return Result([*entries, like_mlflow(setting)], shown)


def claim(setting: Setting, cell: Cell, found: Shares, sets: int) -> Entry:
    """At most the level and the simulation's own error; two kinds of cells have goals of their own."""
    what = f"blocked at the threshold, {cell.name}"
    ours = found.blocked[OURS]
    if cell.population is CLUSTERED:
        goal, naive = IN_CLUSTERS + slack(setting, IN_CLUSTERS, sets), NAIVE - slack(setting, NAIVE, sets)
        entry = Entry.of_value(f"{what}, and a test on items as peer", ours, "<=", goal, found.naive)
        return Entry(
            *(entry.claim, entry.ours, entry.peer, entry.ratio),
            goal=f"{entry.goal} where the test on items has >= {naive:.4g}",
            holds=ours <= goal and found.naive >= naive,
        )
    if cell.population is BINARY_MARGIN and cell.items == 50:
        goal = BINARY_MARGIN_AT_50 + slack(setting, BINARY_MARGIN_AT_50, sets)
    else:
        goal = LEVEL + error(LEVEL, sets)
    return Entry.of_value(what, ours, "<=", round(goal, 4), found.blocked["point threshold (MLflow)"])


def like_mlflow(setting: Setting) -> Entry:
    """Whether the point rule of the tables is MLflow's: the library itself is asked about some of the sets."""
    asked = ASKED_OF_MLFLOW_QUICK if setting.quick else ASKED_OF_MLFLOW
    scores = next(GAUSSIAN.blocks(setting.seed, asked, 50, 0.0))
    alike = int((as_mlflow(scores, 0.0) == point_threshold(scores, 0.0)).sum())
    return Entry.of_value(f"sets on which MLflow's own validation says what the point rule says, of {asked}", alike, "==", asked)
