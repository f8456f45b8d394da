"""A champion that was good for a while and is so no longer: how soon it shows, and how often a good one is accused.

The reference is estimated as in the product, from the candidate's conversations of a trial; then so many healthy ones pass
before the mean falls from 0.90 to 0.60. Healthy champions are followed over 20,000 conversations, and one that is accused
goes on as if nothing had been. The hardest healthy champion is one that lost all that is tolerated and no more.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.claims import Entry, Result, Setting, rounded, table
from benchmarks.deployment.canaries import LIMIT
from benchmarks.deployment.crowds import Crowd, Values, graded, passing
from continuum.serving_policy import WatchPolicy
from continuum.statistics.changes import fallen, reference_below

HEALTHY = WatchPolicy().healthy_conversations
FALL, SOON, MOST = 0.30, 100, 1.0
TRIAL, BEFORE = 500, (200, 2000)
"""Conversations of the trial that the reference is from, and healthy ones before the fall."""
FOLLOWED = 5000
"""Conversations after the fall in which an alarm is waited for."""
FALLS, FALLS_QUICK, RUNS, RUNS_QUICK = 1000, 60, 200, 4
RATES = (0.5, 0.2)
"""Shares of the requests judged, at which the delay in requests is told beside that of judging all."""
WINDOW = 100
CROWDS = (passing("pass or fail", 0.90), graded("judge's grades", (0.01, 0.02, 0.06, 0.18, 0.73), grades_lost=2))

Detector = Callable[[Values, float, float], int | None]
"""From scores, the reference's mean and its standard error to how many were seen at the alarm."""


def product(scores: Values, mean: float, se: float) -> int | None:
    """The detector of the watch."""
    return fallen(scores.tolist(), reference=reference_below(mean, se, tolerated=LIMIT), healthy=HEALTHY).at


def rolling(scores: Values, mean: float, se: float) -> int | None:
    """The mean of the last hundred below the limit: an alert on a dashboard."""
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    return _first((sums[WINDOW:] - sums[:-WINDOW]) / WINDOW < mean - LIMIT, WINDOW)


def overall(scores: Values, mean: float, se: float) -> int | None:
    """The mean of all since the promotion below the limit, from twenty on."""
    means = np.cumsum(scores) / np.arange(1, len(scores) + 1)
    return _first(means[19:] < mean - LIMIT, 20)


def repeated_z(scores: Values, mean: float, se: float) -> int | None:
    """A one-sided test of the last hundred against the trial at every look, as if it were the only one."""
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    last = (sums[WINDOW:] - sums[:-WINDOW]) / WINDOW
    return _first(last < mean - 1.645 * math.hypot(se, se * math.sqrt(TRIAL / WINDOW)), WINDOW)


RIVALS: dict[str, Detector] = {"rolling mean of 100": rolling, "mean since promotion": overall, "repeated z of 100": repeated_z}


def _first(flags: np.ndarray, begun: int) -> int | None:
    return int(flags.argmax()) + begun if flags.any() else None


def measure(setting: Setting, detector: Detector = product) -> Result:
    """Delays after a fall, and alarms without one, for ours and for the rivals."""
    falls, runs = (FALLS_QUICK, RUNS_QUICK) if setting.quick else (FALLS, RUNS)
    detectors = {"ours": detector, **RIVALS}
    rows = table(f"{falls} falls from .90 to .60, {runs} healthy runs of {HEALTHY:,}; reference from {TRIAL}", "", *detectors)
    entries: list[Entry] = []
    for crowd in CROWDS:
        for before in BEFORE:
            setting.say(f"after promotion: {crowd.name} falls after {before}")
            found = {name: delays(crowd, before, one, falls, setting.seed) for name, one in detectors.items()}
            what = f"{crowd.name}, falls after {before:,} healthy"
            rows.add_row(f"{what}: alarmed before", *(f"{_early(one):.3f}" for one in found.values()))
            for name, share in (("median", 0.5), ("95th of 100", 0.95)):
                rows.add_row(f"{what}: {name} delay", *(_shown(_quantile(one, share)) for one in found.values()))
            entries += _delayed(what, found)
        for lost in (0.0, LIMIT):
            setting.say(f"after promotion: {crowd.name}, healthy, {lost} lost")
            alarms = {name: accused(crowd, lost, one, runs, setting.seed) for name, one in detectors.items()}
            what = (
                f"{crowd.name}, healthy, {'nothing' if not lost else 'all that is tolerated'} lost: false alarms in {HEALTHY:,}"
            )
            rows.add_row(what, *(f"{one:.3f}" for one in alarms.values()))
            entries.append(Entry.of_value(what, alarms["ours"], "<=", MOST))
            entries += [_beside(what, name, alarms["ours"], one) for name, one in alarms.items() if name != "ours"]
    notes = ["Delays are in judged conversations, all requests judged; alarms are counted on, as if each were overruled."]
    return Result(entries, rows, notes)


def delays(crowd: Crowd, before: int, detector: Detector, count: int, seed: int) -> list[int | None]:
    """Conversations from the fall to the alarm; negative for an alarm before it, None for none."""
    rng = np.random.default_rng([seed, before, *crowd.name.encode()])
    found = []
    for _ in range(count):
        mean, se = trial_of(crowd, rng)
        scores = np.concatenate([crowd.worse(rng, (before,), 0.0), crowd.worse(rng, (FOLLOWED,), FALL)])
        at = detector(scores, mean, se)
        found.append(None if at is None else at - before)
    return found


def accused(crowd: Crowd, lost: float, detector: Detector, runs: int, seed: int) -> float:
    """False alarms in 20,000 healthy conversations, on the average."""
    rng = np.random.default_rng([seed, round(1000 * lost), *crowd.name.encode()])
    alarms = 0
    for _ in range(runs):
        # At the very edge of what is tolerated the reference is the true mean: half of the estimated ones would be beyond it.
        mean, se = (crowd.mean, _spread(crowd.scores)) if lost else trial_of(crowd, rng)
        scores = crowd.worse(rng, (HEALTHY,), lost)
        while len(scores) and (at := detector(scores, mean, se)) is not None:
            alarms += 1
            scores = scores[at:]
    return alarms / runs


def trial_of(crowd: Crowd, rng: np.random.Generator) -> tuple[float, float]:
    """The mean of a trial's conversations, and its standard error."""
    scores = crowd.worse(rng, (TRIAL,), 0.0)
    return float(scores.mean()), _spread(scores)


def _spread(scores: Values) -> float:
    return float(scores.std(ddof=1)) / math.sqrt(TRIAL)


def _delayed(what: str, found: dict[str, list[int | None]]) -> list[Entry]:
    ours = _quantile(found["ours"], 0.5)
    entries = [Entry.of_value(f"{what}: conversations to the rollback, median", ours or FOLLOWED, "<=", SOON)]
    entries += [
        _beside(f"{what}: median delay", name, ours, _quantile(one, 0.5)) for name, one in found.items() if name != "ours"
    ]
    for rate in RATES:
        requests = None if ours is None else rounded(ours / rate)
        entries.append(
            Entry.of_value(f"{what}: requests to the rollback, median, {rate:.0%} judged as by default", requests, "<=", 100)
            if rate == WatchPolicy().stable_rate
            else Entry(f"{what}: requests to the rollback, median, {rate:.0%} judged", requests, None, None, "stated", None)
        )
    return entries


def _beside(what: str, name: str, ours: float | None, found: float | None) -> Entry:
    ratio = rounded(ours / found) if ours is not None and found and found > 0 else None
    return Entry(f"{what}: {name}", rounded(ours), rounded(found), ratio, "beside ours", None)


def _early(found: Sequence[int | None]) -> float:
    return sum(one is not None and one <= 0 for one in found) / len(found)


def _quantile(found: Sequence[int | None], share: float) -> float | None:
    """Of the delays of those not alarmed before the fall, None where all were; who was never alarmed has the longest."""
    late = sorted(FOLLOWED if one is None else one for one in found if one is None or one > 0)
    return float(late[min(len(late) - 1, math.floor(share * len(late)))]) if late else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
