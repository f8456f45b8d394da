"""What the statistics of a verdict cost: a thousand items, five metrics, processor time of this thread.

The peer is a percentile bootstrap of the mean difference with 1,999 resamples a metric, which is what is used where no
formula is trusted.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.guard.deciding import CONFIG, pairs_of, rule_of
from benchmarks.guard.populations import BINARY, CLUSTERED, GAUSSIAN, LIKERT, Population, Scores
from continuum.guard.decision import decide
from continuum.guard.ruling import rule_on

ITEMS, METRICS, LIMIT_MS = 1000, 5, 100
REPEATS, REPEATS_QUICK = 41, 9
RESAMPLES = 1999
DENSE = (GAUSSIAN,) * METRICS
MIXED = (LIKERT, GAUSSIAN, BINARY, CLUSTERED, LIKERT)
"""As a task has them: three kinds of scores, one of them in groups."""


def measure(setting: Setting) -> Result:
    """The statistics of one verdict, over and over."""
    repeats = REPEATS_QUICK if setting.quick else REPEATS
    shown = table(
        f"Statistics of a verdict on {ITEMS:,} items and {METRICS} metrics; processor ms, median of {repeats}",
        *("", "ours", "bootstrap", "ours, longest"),
    )
    entries = []
    for name, populations in (("gaussian scores", DENSE), ("mixed scores", MIXED)):
        setting.say(f"timing: {name}")
        drawn = [next(one.blocks(setting.seed + n, 1, ITEMS, 0.0)) for n, one in enumerate(populations)]
        ours, peer = verdict_ms(drawn, populations, repeats), bootstrap_ms(drawn, max(3, repeats // 4), setting.seed)
        took, resampling = statistics.median(ours), statistics.median(peer)
        shown.add_row(name, f"{took:.1f}", f"{resampling:.1f}", f"{max(ours):.1f}")
        what = f"statistics of a verdict on {ITEMS:,} items and {METRICS} metrics, {name}, processor ms, and a bootstrap's"
        entries.append(Entry.of_value(what, took, "<=", LIMIT_MS, resampling))
    return Result(entries, shown, [f"the bootstrap: {RESAMPLES:,} resamples a metric, percentiles of the mean difference"])


def verdict_ms(drawn: list[Scores], populations: tuple[Population, ...], repeats: int) -> list[float]:
    """Of deciding and ruling on all metrics, once before the first that counts."""
    pairs = [pairs_of(scores, one, f"metric {n}")[0] for n, (scores, one) in enumerate(zip(drawn, populations, strict=True))]
    rule = rule_of({pair.metric: 0.0 for pair in pairs})
    return clocked(lambda: rule_on(decide(pairs, rule), CONFIG), repeats)


def bootstrap_ms(drawn: list[Scores], repeats: int, seed: int) -> list[float]:
    """Of the intervals of all metrics by resampling."""
    rng = np.random.default_rng(seed)

    def intervals() -> list[object]:
        found: list[object] = []
        for scores in drawn:
            differences = scores.differences[0]
            means = differences[rng.integers(0, ITEMS, (RESAMPLES, ITEMS))].mean(1)
            found.append(np.percentile(means, (2.5, 97.5)))
        return found

    return clocked(intervals, repeats)


def clocked(work: Callable[[], object], repeats: int) -> list[float]:
    """Processor milliseconds of each repetition, after one that warms up."""
    work()
    taken = []
    for _ in range(repeats):
        begun = time.thread_time()
        work()
        taken.append(1000 * (time.thread_time() - begun))
    return taken
