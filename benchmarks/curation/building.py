"""A large log to a small training set, cold and warm: how long, how much memory, and is it the same one everywhere?

Each build is a process of its own. The cold one embeds every text; the warm one finds its vectors where the cold one left them.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.capture.databases import postgres
from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.curation.crowd import TASK, crowd
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.store.database import open_store

INTERACTIONS, QUICK_INTERACTIONS = 100_000, 400
TARGET, QUICK_TARGET = 1000, 60
PIECE = 5000
LONGEST_S = 3 * 3600


def measure(setting: Setting) -> Result:
    """Cold, warm, from a copy of the database in another home, and on Postgres."""
    count, target, embedder = (QUICK_INTERACTIONS, QUICK_TARGET, "hashed") if setting.quick else (INTERACTIONS, TARGET, "minilm")
    url = f"sqlite:///{setting.folder / 'crowd.db'}"
    fill(setting, url, count)
    setting.say("cold build")
    runs: dict[str, dict[str, Any]] = {"cold": build(url, setting.folder / "home", embedder, target)}
    if not setting.quick:
        setting.say("warm build")
        runs["warm"] = build(url, setting.folder / "home", embedder, target)
    # The vectors are the same files; the database is another one, which remembers nothing of the first builds.
    again = f"sqlite:///{setting.folder / 'again.db'}"
    fill(setting, again, count)
    other = "warm, another database and process"
    runs[other] = build(again, setting.folder / "home", embedder, target)
    with ExitStack() as stack:
        server = None if setting.quick else stack.enter_context(postgres())
        if server is not None:
            fill(setting, server, count)
            runs["warm, Postgres"] = build(server, setting.folder / "home", embedder, target)
    shown = table(
        f"{count:,} interactions to {target:,} examples", "build", "minutes", "CPU s", "of it embedding", "embedded", "MB"
    )
    for name, run in runs.items():
        shown.add_row(
            name,
            f"{run['wall_s'] / 60:.2f}",
            f"{run['cpu_s']:.1f}",
            f"{run['embedding_cpu_s']:.1f}",
            f"{run['embedded']:,}",
            f"{run['memory_mb']:,.0f}",
        )
    cold, warm = runs["cold"], runs.get("warm") or runs[other]
    same = sum(run["fingerprint"] == cold["fingerprint"] for run in runs.values())
    size = "quick, " if setting.quick else ""
    of_cold = Entry.of_ratio(f"{size}CPU of a cold build over a warm one", cold["cpu_s"], warm["cpu_s"], 20, at_most=False)
    entries = [
        of_cold if not setting.quick else replace(of_cold, goal="stated: with so few texts nothing is shown", holds=None),
        Entry.of_value(f"{size}minutes of a warm build", warm["wall_s"] / 60, "<=", 10, peer=cold["wall_s"] / 60),
        Entry.of_value(f"{size}MB of a warm build", warm["memory_mb"], "<=", 1500, peer=cold["memory_mb"]),
        Entry.of_value(f"{size}builds with the fingerprint of the first, of {len(runs)}", same, "==", len(runs)),
        Entry.of_value(f"{size}texts embedded by a warm build", warm["embedded"], "==", 0),
    ]
    notes = [
        f"embedder {embedder}; the peer of a warm build is the cold one; {cold['eligible']:,} were eligible",
        "CPU s of a warm build, by stage: " + ", ".join(f"{name} {spent:g}" for name, spent in warm["stages_cpu_s"].items()),
    ]
    return Result(entries, shown, notes)


def fill(setting: Setting, url: str, count: int) -> None:
    """Put the traffic into a database."""
    store = open_store(url)
    store.tasks.register(TaskPolicy(task=TASK, judge=JudgePolicy(model="judge")))
    done = 0
    for piece in crowd(count, setting.seed, PIECE):
        store.interactions.add(piece.interactions)
        store.feedback.add(piece.feedback)
        store.annotations.add(piece.annotations)
        done += len(piece.interactions)
        setting.say(f"{done:,} of {count:,} interactions stored")
    store.close()


def build(url: str, home: Path, embedder: str, target: int) -> dict[str, Any]:
    """One build in a new process; what it said of itself."""
    environment = {**os.environ, "CONTINUUM_HOME": str(home), "PYTHONHASHSEED": "random"}
    command = [sys.executable, "-m", "benchmarks.curation.builder", url, embedder, str(target)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST_S, check=False)
    if ended.returncode:
        raise RuntimeError(f"a build ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])
