"""The split of a ramp over 100,000 users, by the gateway's own routes.

Nobody whom the ramp has given the candidate may lose it by a later step, two deployments must not try their candidates on the
same people, and processes that know nothing of each other must agree. Beside it stand a draw for each request, and buckets
that are hashed without a key. Records that get lost on their way must show in the arms' counts, and honest ones must not.
"""

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from benchmarks.claims import Entry, Result, Setting, rounded, table
from continuum.deployment.routing import PRODUCTION, Arm, Route
from continuum.statistics.sample_ratio import Counted, sample_ratio

USERS, STEPS = 100_000, (0.05, 0.25, 0.50, 1.00)
WITHIN_POINTS = 0.5
PROCESSES = 4
SHARED_WITHIN = 0.01
"""By how much the share of the first cohort that two deployments have in common may be off what independence gives."""
LEVEL, RAMPS, RAMPS_QUICK, LOOKS = 0.01, 2000, 100, 50
LOST = 0.20
FOUND = 0.95

Assigned = Callable[[str, Sequence[str], float], set[str]]
"""From a deployment, the users and the traffic share to those who get the candidate."""


def product(deployment: str, users: Sequence[str], traffic: float) -> set[str]:
    """By the gateway's route."""
    candidate = Arm("candidate", "http://127.0.0.1:1/v1", "canary")
    route = Route(deployment, traffic, candidate, (Arm(PRODUCTION, None, "stable"),))
    return {user for user in users if route.choose(user).arms[0] is candidate}


def drawn(deployment: str, users: Sequence[str], traffic: float) -> set[str]:
    """A draw for each request, which keeps nobody where they were."""
    rng = random.Random(f"{deployment} {traffic}")
    return {user for user in users if rng.random() < traffic}


def bucketed(deployment: str, users: Sequence[str], traffic: float) -> set[str]:
    """A hundred buckets of a hash without the deployment's key: the same people are always the first."""
    return {user for user in users if int.from_bytes(blake2b(user.encode(), digest_size=8).digest(), "big") % 100 < 100 * traffic}


RIVALS: dict[str, Assigned] = {"draw a request": drawn, "hash without key": bucketed}


def measure(setting: Setting, assigned: Assigned = product) -> Result:
    """Shares, nesting, independence, agreement; and the alarm on the ratio of the arms."""
    users = [f"user:{number}" for number in range(USERS)]
    splits = {"ours": assigned, **RIVALS}
    rows = table(f"{USERS:,} users over a ramp of {', '.join(f'{step:.0%}' for step in STEPS)}", "", *splits)
    entries: list[Entry] = []
    found: dict[str, dict[str, float]] = {}
    for name, split in splits.items():
        setting.say(f"splitting: {name}")
        found[name] = of_ramp(split, users)
    for what, sign, goal in (
        ("points off the share, at most", "<=", WITHIN_POINTS),
        ("users taken back from the candidate by a later step", "==", 0),
        ("first cohorts of two deployments in common, distance from independence", "<=", SHARED_WITHIN),
    ):
        rows.add_row(what, *(f"{figures[what]:.4g}" for figures in found.values()))
        entries.append(Entry.of_value(what, found["ours"][what], sign, goal))
        entries += [
            Entry(f"{what}: {name}", rounded(found["ours"][what]), rounded(found[name][what]), None, "beside ours", None)
            for name in RIVALS
        ]
    setting.say("splitting: processes")
    entries.append(Entry.of_value(f"different cohorts among {PROCESSES} processes", different_cohorts(PROCESSES) - 1, "==", 0))
    ramps = RAMPS_QUICK if setting.quick else RAMPS
    for what, lost, sign, goal in (
        (f"honest ramps that the sample ratio accuses at any of {3 * LOOKS} looks, level {LEVEL}", 0.0, "<=", LEVEL),
        (f"ramps that lose {LOST:.0%} of the candidate's records, accused by the end", LOST, ">=", FOUND),
    ):
        setting.say(f"splitting: {what}")
        share = accused(ramps, lost, setting.seed)
        slack = 1.96 * (goal * (1 - goal) / ramps) ** 0.5 if setting.quick else 0.0
        entries.append(Entry.of_value(what, share, sign, round(goal + slack if sign == "<=" else goal - slack, 4)))
        rows.add_row(what, f"{share:.4f}", *("",) * len(RIVALS))
    return Result(entries, rows)


def of_ramp(split: Assigned, users: Sequence[str]) -> dict[str, float]:
    """What becomes of users as a ramp goes on."""
    cohorts = [split("deployment-1", users, step) for step in STEPS]
    other = split("deployment-2", users, STEPS[0])
    off = max(abs(len(cohort) / len(users) - step) for cohort, step in zip(cohorts, STEPS, strict=True))
    shared = len(cohorts[0] & other) / max(1, len(cohorts[0]))
    return {
        "points off the share, at most": 100 * off,
        "users taken back from the candidate by a later step": float(
            sum(len(before - after) for before, after in pairwise(cohorts))
        ),
        "first cohorts of two deployments in common, distance from independence": abs(shared - STEPS[0]),
    }


def different_cohorts(processes: int) -> int:
    """How many different answers as many fresh processes give, each with a hash seed of its own."""
    program = (
        "from continuum.deployment.routing import position;"
        "print([number for number in range(10_000) if position('deployment-1', f'user:{number}') < 0.25])"
    )
    command = [sys.executable, "-c", program]
    return len({
        subprocess.run(command, capture_output=True, check=True, env={"PYTHONHASHSEED": str(seed)}).stdout
        for seed in range(1, processes + 1)
    })  # fmt: skip


def accused(ramps: int, lost: float, seed: int) -> float:
    """Share of ramps whose counts raise the alarm at some look; each step brings 5000 new units."""
    rng = np.random.default_rng([seed, round(100 * lost)])
    alarms = 0
    for _ in range(ramps):
        over: list[Counted] = []
        alarmed = False
        for share in STEPS[:-1]:
            arrived = rng.binomial(100, share, LOOKS)
            counts = np.cumsum(rng.binomial(arrived, 1 - lost)), np.cumsum(100 - arrived)
            looks = [Counted(share, int(ours), int(theirs)) for ours, theirs in zip(*counts, strict=True)]
            alarmed = alarmed or any(sample_ratio([*over, look]).p <= LEVEL for look in looks)
            over.append(looks[-1])
        alarms += alarmed
    return alarms / ramps
