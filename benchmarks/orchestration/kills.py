"""kill -9 of a run's process, of the daemon and of Postgres, in the middle of each of the seven assets.

A line of assets is led to its end for each rotation of the three victims, so that each asset meets each of them; another line is
led there undisturbed. What both have in the end is counted and must be the same.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from dagster import DagsterRunStatus as Run
from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.deployment.postgres import Postgres, postgres
from benchmarks.deployment.trials import surroundings
from benchmarks.orchestration.judge import HoldingJudge, holding_judge
from benchmarks.orchestration.lines import RIGHT, SEVEN, Left, Line
from benchmarks.orchestration.stack import Stack, databases, eventually, make_home
from continuum.store.database import Store, open_store

VICTIMS = ("worker", "daemon", "postgres")
AWAY_S = 0.5


@dataclass(frozen=True)
class Kill:
    """One kill, and what became of the run it came in."""

    asset: str
    victim: str
    statuses: tuple[Run, ...]
    """Of the run and of its retries, the oldest first."""
    needed_another: bool
    """Whether they all failed, and somebody had to launch the asset once more."""
    seconds: float
    """From the kill to the asset."""
    trainers: int = 0
    """Workers of trainings that were at work when their run's process was killed; they ended too, or this was not come to."""


@dataclass
class Found:
    """What became of all lines."""

    kills: list[Kill] = field(default_factory=list)
    disturbed: dict[str, Left] = field(default_factory=dict)
    twin: Left | None = None
    stuck: int = 0
    """Runs that were still under way at the end."""
    slots: int = 0
    """Places in pools that were still taken at the end."""
    orphans: int = 0
    """Workers of trainings that lived on after their run."""
    daemon_restarts: int = 0


@dataclass(frozen=True)
class Site:
    """A stack, its store and its judge."""

    stack: Stack
    store: Store
    judge: HoldingJudge
    database: Postgres
    url: str
    """Of the store."""
    home: Path

    def line(self, task: str, base: Path) -> Line:
        """A new task that the stack turns."""
        made = Line(task, self.stack, self.store, self.judge, self.home, self.url)
        made.register(base)
        return made


@contextmanager
def site(folder: Path, *, webserver: bool = True) -> Iterator[Site]:
    """A stack on a Postgres of its own."""
    home = folder / "home"
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        of_store, of_dagster = stack.enter_context(databases(database.url, "store", "dagster"))
        judge = stack.enter_context(holding_judge(RIGHT))
        make_home(home / "dagster")
        environment = {
            "CONTINUUM_HOME": str(home),
            "CONTINUUM_DATABASE_URL": of_store,
            "DAGSTER_POSTGRES_URL": of_dagster,
            "CONTINUUM_JUDGE_API_KEY": "sk-not-a-secret",
            "CONTINUUM_TRAINER": "process",
        }
        stack.enter_context(surroundings({**environment, "DAGSTER_HOME": str(home / "dagster")}))
        store = open_store(of_store)
        stack.callback(store.close)
        dagster = stack.enter_context(Stack(home / "dagster", environment, webserver=webserver))
        yield Site(dagster, store, judge, database, of_store, home)


def kill(at: Site, victim: str, run: str) -> None:
    """Kill -9, and have it come back as it does in life."""
    if victim == "worker":
        worker = eventually(lambda: at.stack.worker_of(run), f"run {run} names its process")
        os.kill(worker.pid, signal.SIGKILL)
    elif victim == "daemon":
        at.stack.kill_daemon()
        time.sleep(AWAY_S)
        at.stack.start_daemon()
    else:
        at.database.kill()
        time.sleep(AWAY_S)
        at.database.start()
        eventually(lambda: psycopg2.connect(at.url.replace("+psycopg2", "")).close() is None, "Postgres answers")
        at.stack.look()


def lead(at: Site, line: Line, victims: Mapping[str, str], found: Found | None = None) -> list[Kill]:
    """Lead a line through all assets, with a kill in the middle of each that has a victim."""
    kills = []
    for asset in SEVEN:
        if asset not in victims:
            line.materialize(asset)
            continue
        with line.middle_of(asset) as run:
            trainers = set(line.trainers()) if victims[asset] == "worker" else set()
            begun = time.monotonic()
            kill(at, victims[asset], run)
            eventually(lambda: not trainers & set(line.trainers()), "the trainer ends with its run")  # noqa: B023
        last = line.ended(run)
        statuses = tuple(attempt.status for attempt in line.attempts(run))
        again = last.status is not Run.SUCCESS
        if again:
            last = line.materialize(asset)
        kills.append(Kill(asset, victims[asset], statuses, again, time.monotonic() - begun, len(trainers)))
        if last.status is not Run.SUCCESS:
            raise RuntimeError(f"{asset} of {line.task} could not be made again: {line.stack.said(last.run_id)[-3:]}")
    if found is not None:
        found.kills += kills
        found.disturbed[line.task] = line.left()
    return kills


def rotations(count: int) -> list[dict[str, str]]:
    """Which victim each asset meets, for so many lines; after three of them each has met each."""
    return [{asset: VICTIMS[(n + turn) % len(VICTIMS)] for n, asset in enumerate(SEVEN)} for turn in range(count)]


def look_back(at: Site, lines: Sequence[Line], found: Found) -> None:
    """What is still there that should not be."""
    instance = at.stack.instance
    found.stuck = len([run for run in instance.get_runs() if not run.is_finished])
    pools = instance.event_log_storage.get_concurrency_keys()
    found.slots = sum(instance.event_log_storage.get_concurrency_info(pool).active_slot_count for pool in pools)
    found.orphans = len(lines[0].trainers()) if lines else 0
    found.daemon_restarts = at.stack.restarts


def measure(setting: Setting) -> Result:
    """A line for each rotation, and one undisturbed."""
    from tests.tiny_model import build_tiny_base  # torch starts here

    found, base = Found(), build_tiny_base(setting.folder / "base")
    wanted = rotations(3)
    if setting.quick:
        wanted = [{"judged_annotations": "worker", "curated_dataset": "daemon", "raw_interactions": "postgres"}]
    with site(setting.folder) as at:
        lines = [at.line(f"line{number}", base) for number, _ in enumerate(wanted)]
        twin = at.line("twin", base)
        lead(at, twin, {})
        found.twin = twin.left()
        for line, victims in zip(lines, wanted, strict=True):
            for done in lead(at, line, victims, found):
                setting.say(f"kills: {done.victim} in {done.asset}: {[str(status.value) for status in done.statuses]}")
        look_back(at, lines, found)
    return Result(entries_of(found), shown(found), notes_of(found))


def entries_of(found: Found) -> list[Entry]:
    """The claims."""
    many = f"kill -9 in the middle of an asset, {len(found.kills)} times"
    other = sum(left != found.twin for left in found.disturbed.values())
    return [
        Entry.of_value(f"{many}: lines that have other than their undisturbed twin has", float(other), "==", 0),
        Entry.of_value(f"{many}: runs still under way at the end", float(found.stuck), "==", 0),
        Entry.of_value(f"{many}: places in pools still taken", float(found.slots), "==", 0),
        Entry.of_value(f"{many}: workers of trainings that outlived their run", float(found.orphans), "==", 0),
        Entry.of_value(
            f"{many}: assets that somebody had to launch again", float(sum(k.needed_another for k in found.kills)), "==", 0
        ),
    ]


def shown(found: Found) -> Table:
    """Each kill."""
    made = table("kill -9 in the middle of each asset", "asset", "killed", "the run and its retries", "asset there after, s")
    for one in found.kills:
        statuses = ", ".join(str(status.value).lower() for status in one.statuses)
        made.add_row(one.asset, one.victim, statuses, f"{one.seconds:.1f}")
    return made


def notes_of(found: Found) -> list[str]:
    """What else is to be known."""
    differing = [f"{task} has {left}, its twin {found.twin}" for task, left in found.disturbed.items() if left != found.twin]
    return [f"the daemon ended by itself and was started again {found.daemon_restarts} times", *differing]
