"""Simulated canaries, looked at two hundred times each: the watch's own rule decides on every trial.

Once a trial has been allowed a step, the rule is asked only at looks at which the candidate's mean is below by the limit or more:
at no other does it roll back, which its tests hold it to.

A trial has 20 judged conversations of the candidate a look, 4000 in all. At a split of 5/95 with one in five of the stable
model's conversations judged, the stable arm gets 76 a look; it gets 380 with all judged, and 4 when the traffic is halved.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.claims import Entry, Result, Setting, median, rounded, shown, table
from benchmarks.deployment.crowds import CROWDS, JUDGED, NEVER, PASSING, Crowd, Looks, Split, looked, of_files, passing, trials
from benchmarks.deployment.rivals import RIVALS, Said
from continuum.deployment.watch.deciding import decide
from continuum.serving_policy import DeploymentPolicy, WatchPolicy
from continuum.statistics.sequences import Step, Summary

LOOKS, TRIALS, TRIALS_QUICK = 200, 4000, 60
DROPS = (0.0, 0.05, 0.10, 0.20)
WATCH = WatchPolicy()
LIMIT = DeploymentPolicy().rollback_on_quality_drop or 0.05
WRONG, FOUND, WITHIN = 0.05, 0.99, 500
OURS = "ours"
FIVE = Split("5/95, 1 in 5 judged", 20, 76)
ALL_JUDGED = Split("5/95, all judged", 20, 380)
HALVED = Split("50/50, 1 in 5 judged", 20, 4)
REVERSED = Split("95/5, all judged", 20, 1)
ELSEWHERE = (ALL_JUDGED, HALVED, REVERSED)
ELSEWHERE_OF = (JUDGED, PASSING, NEVER)

Decider = Callable[[list[Step]], str]
"""From the evidence to an action; the watch's own by default."""
Acts = tuple[int | None, int | None]
"""The looks of a trial's first promotion and of its rollback."""


def product(steps: list[Step]) -> str:
    """What the watch would do."""
    return decide(steps, limit=LIMIT, alpha=WATCH.alpha, planned=WATCH.max_conversations).action


@dataclass(frozen=True)
class Ends:
    """How trials ended under one rule."""

    rolled_back: float
    """Share of the trials."""
    found: float
    """Share rolled back within so many of the candidate's conversations."""
    promoted: float
    """Share allowed a step of the ramp before any rollback."""
    at: float | None
    """Median of the candidate's conversations at the rollback, over the trials that had one."""
    promoted_at: float | None


def measure(setting: Setting, count: int | None = None, decider: Decider = product) -> Result:
    """All crowds at 5/95, three of them at other splits, and a ramp on which everybody's quality falls."""
    count = count or (TRIALS_QUICK if setting.quick else TRIALS)
    crowds = (of_files(setting.data), *CROWDS) if setting.data else (JUDGED, PASSING) if setting.quick else CROWDS
    cells = [(crowd, FIVE) for crowd in crowds]
    if not setting.quick:
        cells += [(crowd, split) for split in ELSEWHERE for crowd in ELSEWHERE_OF]
    rows = table(
        f"{count:,} canaries a row, {LOOKS} looks each, limit {LIMIT}: share @ median of the candidate's conversations",
        "",
        OURS,
        *RIVALS,
    )
    entries: list[Entry] = []
    for crowd, split in cells:
        for drop in DROPS:
            setting.say(f"canaries: {crowd.name}, {split.name}, drop {drop}")
            ends = ended(crowd, split, drop, count=count, seed=setting.seed, decider=decider)
            for what in ("rolled back", "promoted"):
                rows.add_row(f"{crowd.name}; {split.name}; drop {drop:.2f}, {what}", *(_cell(one, what) for one in ends.values()))
            entries += _claims(setting, crowd, split, drop, ends, count)
    setting.say("canaries: a ramp on a bad day")
    entries += _ramp(setting, count, decider)
    notes = ["TensorZero's rule is given the same conversations; its own allocation would send about half of the traffic."]
    return Result(entries, rows, notes)


def ended(crowd: Crowd, split: Split, drop: float, *, count: int, seed: int, decider: Decider = product) -> dict[str, Ends]:
    """Let the watch and its rivals decide on the same trials."""
    said: dict[str, list[Acts]] = {name: [] for name in (OURS, *RIVALS)}
    for candidate, stable in trials(crowd, split, drop, count=count, looks=LOOKS, seed=seed):
        said[OURS] += [acts(([step] for step in steps), decider) for steps in stepped(candidate, stable)]
        for name, rival in RIVALS.items():
            said[name] += _flagged(rival(candidate, stable, LIMIT, WATCH.alpha))
    return {name: _ends(found, split.candidate) for name, found in said.items()}


def stepped(candidate: Looks, stable: Looks) -> Iterator[list[Step]]:
    """What was known at each look, trial by trial."""
    arms = [(looks.n.tolist(), looks.mean.tolist(), looks.squares.tolist()) for looks in (candidate, stable)]
    for trial in range(len(candidate.mean)):
        seen = [map(Summary, n, mean[trial], squares[trial]) for n, mean, squares in arms]
        yield [Step(*pair) for pair in zip(*seen, strict=True)]


def acts(looks: Iterable[list[Step]], decider: Decider) -> Acts:
    """The looks, from 1, of the first promotion and of the rollback that ends a trial; None where there is none."""
    promoted = None
    for look, steps in enumerate(looks, start=1):
        if promoted is not None and not low(steps):
            continue
        action = decider(steps)
        if action == "rollback":
            return promoted, look
        if action == "promote" and promoted is None:
            promoted = look
    return promoted, None


def low(steps: Sequence[Step]) -> bool:
    """Whether a step of the ramp has the candidate's mean below the stable arm's by the limit or more."""
    return any(step.candidate.mean - step.stable.mean <= -LIMIT + 1e-9 for step in steps)


def _flagged(said: Said) -> list[Acts]:
    """The same of a rival's flags: what comes after its rollback does not count."""
    firsts = [np.where(flags.any(axis=1), flags.argmax(axis=1) + 1, 0).tolist() for flags in (said.promote, said.rollback)]
    return [
        (promoted if promoted and not 0 < rolled_back < promoted else None, rolled_back or None)
        for promoted, rolled_back in zip(*firsts, strict=True)
    ]


def _ends(found: Sequence[Acts], every: int) -> Ends:
    promoted = [every * look for look, _ in found if look]
    rolled_back = [every * look for _, look in found if look]
    return Ends(
        rolled_back=len(rolled_back) / len(found),
        found=sum(n <= WITHIN for n in rolled_back) / len(found),
        promoted=len(promoted) / len(found),
        at=median(rolled_back),
        promoted_at=median(promoted),
    )


def _cell(ends: Ends, what: str) -> str:
    return (
        f"{ends.rolled_back:.4f}@{shown(ends.at)}" if what == "rolled back" else f"{ends.promoted:.4f}@{shown(ends.promoted_at)}"
    )


def _claims(setting: Setting, crowd: Crowd, split: Split, drop: float, ends: Mapping[str, Ends], count: int) -> list[Entry]:
    """What is promised of a cell, with the rivals beside it."""
    of = f"{crowd.name}, {split.name}"
    rolled_back, promoted = ({name: getattr(one, what) for name, one in ends.items()} for what in ("rolled_back", "promoted"))
    if drop == 0:
        claims = _row(f"no drop, rolled back: {of}", rolled_back, "<=", WRONG, setting, count)
        return claims + _beside(f"no drop, allowed a step of the ramp: {of}", promoted)
    if drop == LIMIT:
        return _row(
            f"drop at the limit, promoted: {of}", {name: one.promoted for name, one in ends.items()}, "<=", WRONG, setting, count
        )
    claim = f"drop {drop:.2f}, rolled back within {WITHIN} canary answers: {of}"
    found = {name: one.found for name, one in ends.items()}
    # Elsewhere few of the stable model's conversations are judged, and how soon a loss shows is told, not promised.
    return _row(claim, found, ">=", FOUND, setting, count) if split in (FIVE, ALL_JUDGED) else _beside(claim, found)


def _row(claim: str, figures: Mapping[str, float], sign: str, goal: float, setting: Setting, count: int) -> list[Entry]:
    slack = 1.96 * math.sqrt(goal * (1 - goal) / count) if setting.quick else 0.0
    bound = round(goal + slack if sign == "<=" else goal - slack, 4)
    return [Entry.of_value(claim, figures[OURS], sign, bound), *_beside(claim, figures)]


def _beside(claim: str, figures: Mapping[str, float]) -> list[Entry]:
    ours = figures[OURS]
    return [
        Entry(f"{claim}: {name}", rounded(ours), rounded(found), rounded(ours / found) if found else None, "beside ours", None)
        for name, found in figures.items()
        if name != OURS
    ]


# --- a ramp on a day that is not like the others ---------------------------------------------------------------------

RAMP = (Split("5%", 20, 76), Split("25%", 20, 12), Split("50%", 20, 4))
"""Judged conversations a look at each step, one in five of the stable model's judged."""
RAMP_LOOKS = 20
WORSENING, IMPROVING = (0.90, 0.80, 0.70), (0.70, 0.80, 0.90)
"""Share of the stable model's conversations that pass, by step; the candidate's is lower by the drop."""


def ramped(quality: Sequence[float], drop: float, *, count: int, seed: int) -> Iterator[list[list[Step]]]:
    """What is known at each look of a ramp, trial by trial: the steps that are over, and the one that runs."""
    rng = np.random.default_rng([seed, round(100 * quality[0]), round(1000 * drop)])
    by_step = []
    for mean, split in zip(quality, RAMP, strict=True):
        crowd = passing("", mean)
        candidate = looked(crowd.worse(rng, (count, RAMP_LOOKS, split.candidate), drop))
        by_step.append(list(stepped(candidate, looked(crowd.worse(rng, (count, RAMP_LOOKS, split.stable), 0.0)))))
    for trial in zip(*by_step, strict=True):
        yield [[*(step[-1] for step in trial[:now]), look] for now, looks in enumerate(trial) for look in looks]


def pooled(steps: Sequence[Step]) -> Step:
    """All steps of a ramp thrown together, which the watch does not do."""
    return Step(_together([step.candidate for step in steps]), _together([step.stable for step in steps]))


def _together(arms: Sequence[Summary]) -> Summary:
    n = sum(arm.n for arm in arms)
    mean = sum(arm.n * arm.mean for arm in arms) / n
    return Summary(n, mean, sum(arm.squares + arm.n * (arm.mean - mean) ** 2 for arm in arms))


def _ramp(setting: Setting, count: int, decider: Decider) -> list[Entry]:
    """Everybody's quality changes while the ramp goes on: the candidate is neither accused of it nor excused by it."""
    entries: list[Entry] = []
    for claim, quality, drop in (
        ("a ramp while all quality falls .90-.70, no drop, rolled back", WORSENING, 0.0),
        ("a ramp while all quality rises .70-.90, drop at the limit, promoted", IMPROVING, LIMIT),
    ):
        within, together = [], []
        for looks in ramped(quality, drop, count=count, seed=setting.seed):
            within.append(acts(looks, decider))
            together.append(acts(([pooled(steps)] for steps in looks), decider))
        shares = [
            ends.promoted if drop else ends.rolled_back
            for ends in (_ends(within, RAMP[0].candidate), _ends(together, RAMP[0].candidate))
        ]
        entries += _row(claim, {OURS: shares[0], "the same rule on pooled means": shares[1]}, "<=", WRONG, setting, count)
    return entries
