"""What going through Dagster costs: a whole turn of a task by its seven assets, and the same stages called one after the other.

Both turn the same made-up task on the tiny model, each in a process and a home of its own, in turns. The training runs in a child
process in both. After the turn the task is turned again: nothing is trained then, so that what Dagster adds is all there is to
see.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.orchestration.loading import ROOT, environment

TASK, ASSETS = "support", 7
TURNS, TURNS_QUICK = 7, 1
INTERACTIONS, INTERACTIONS_QUICK = 240, 60
STEPS, STEPS_QUICK = 200, 20
MOST_RATIO = 1.5
RIGHT = "It takes two days."


@dataclass(frozen=True)
class Took:
    """What one process took; processor times with its children's."""

    loaded_s: float
    turn: str
    turn_wall_s: float
    turn_s: float
    again: str
    again_wall_s: float
    again_s: float
    whole_wall_s: float
    whole_s: float


def measure(setting: Setting) -> Result:
    """Turn a task both ways, in turns."""
    home = prepared(setting)
    ways = ("direct", "dagster")
    took: dict[str, list[Took]] = {way: [] for way in ways}
    for number in range(TURNS_QUICK if setting.quick else TURNS):
        for way in ways if number % 2 else reversed(ways):
            setting.say(f"overhead: turn {number}, {way}")
            took[way].append(turned(way, home, setting.folder / f"{way}-{number}"))
    outcomes = {(one.turn, one.again) for way in ways for one in took[way]}
    if len(outcomes) != 1:
        raise RuntimeError(f"the two ways came to different ends, {sorted(outcomes)}: their costs cannot be compared")
    step_ms, call_ms = trivial_ms(setting.folder, STEPS_QUICK if setting.quick else STEPS)
    direct, dagster = (typical(took[way]) for way in ways)
    ((first, again),) = outcomes
    shown = table(f"A turn ({first}), then one with nothing new ({again}); median of {len(took['direct'])}", "", *ways, "ratio")
    for what, name in (
        ("a turn, wall s", "turn_wall_s"),
        ("a turn, processor s", "turn_s"),
        ("the whole process, processor s", "whole_s"),
        ("loading what turns, processor s", "loaded_s"),
        ("nothing new, wall s", "again_wall_s"),
        ("nothing new, processor s", "again_s"),
    ):
        one, other = direct[name], dagster[name]
        shown.add_row(what, f"{one:.3g}", f"{other:.3g}", f"{other / one:.2f}")
    added = {
        name: 1000 * (dagster[name] - direct[name]) / ASSETS for name in ("turn_wall_s", "turn_s", "again_wall_s", "again_s")
    }
    notes = [
        f"added by Dagster a step of the turn: {added['turn_wall_s']:.0f} ms wall, {added['turn_s']:.0f} ms of processor",
        f"added a step where nothing is new: {added['again_wall_s']:.0f} ms wall, {added['again_s']:.0f} ms of processor",
        f"a step that does nothing: {step_ms:.1f} ms of processor; called without Dagster: {call_ms:.4f} ms",
    ]
    entries = [
        Entry.of_ratio("a turn through Dagster, wall time", dagster["turn_wall_s"], direct["turn_wall_s"], MOST_RATIO),
        Entry.of_ratio("a turn through Dagster, processor time", dagster["turn_s"], direct["turn_s"], MOST_RATIO),
        Entry.of_ratio("a turn as a process, processor time", dagster["whole_s"], direct["whole_s"], MOST_RATIO),
    ]
    return Result(entries, shown, notes)


def prepared(setting: Setting) -> Path:
    """A home with a task whose traffic people have answered for, and the tiny model; without a judge, who would cost the same."""
    from continuum.fine_tuning import FineTuneConfig
    from continuum.policy import TaskPolicy
    from continuum.records import Feedback
    from continuum.store.database import open_store
    from tests.builders import an_interaction
    from tests.tiny_model import build_tiny_base

    setting.say("overhead: the tiny model")
    home = setting.folder / "home"
    home.mkdir()
    base = build_tiny_base(setting.folder / "base")
    training = FineTuneConfig(
        learning_rate=1e-2, epochs=1 if setting.quick else 4, batch_size=8, max_length=64, lora_rank=8, lora_alpha=16
    )
    store = open_store(f"sqlite:///{home / 'continuum.db'}")
    store.tasks.register(TaskPolicy(task=TASK, base_model=str(base), training=training, auto_deploy_if_better=True))
    count = INTERACTIONS_QUICK if setting.quick else INTERACTIONS
    rows = [an_interaction(f"order {n}: how long does it take?", "I do not know.", conversation_id=f"c{n}") for n in range(count)]
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=1, correction=RIGHT) for row in rows)
    store.close()
    return home


def turned(way: str, prepared_home: Path, folder: Path) -> Took:
    """Turn in a process of its own, on a copy of the home."""
    folder.mkdir()
    told = environment(folder)
    shutil.copytree(prepared_home, folder, dirs_exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", folder / "dagster")
    command = [sys.executable, "-m", "benchmarks.orchestration.turning", way, TASK]
    begun, before = time.perf_counter(), os.times()
    done = subprocess.run(command, cwd=ROOT, env={**told, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - begun, os.times()
    if done.returncode:
        raise RuntimeError(f"a turn by {way} ended with {done.returncode}: {done.stderr[-2000:]}")
    shutil.rmtree(folder)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(**json.loads(done.stdout.splitlines()[-1]), whole_wall_s=wall, whole_s=used)


def typical(took: list[Took]) -> dict[str, float]:
    """The median of each time."""
    names = [name for name in Took.__annotations__ if name.endswith("_s")]
    return {name: statistics.median(getattr(one, name) for one in took) for name in names}


def trivial_ms(folder: Path, count: int) -> tuple[float, float]:
    """Processor milliseconds of a step that does nothing, in process on SQLite, and of the same function called."""
    import dagster as dg

    def nothing() -> None: ...

    def asset(number: int) -> dg.AssetsDefinition:
        return dg.asset(name=f"asset_{number}", deps=[f"asset_{number - 1}"] if number else [])(nothing)

    assets = [asset(number) for number in range(count)]
    home = folder / "trivial"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    job = dg.Definitions(
        assets=assets, jobs=[dg.define_asset_job("all", selection=dg.AssetSelection.all())], executor=dg.in_process_executor
    ).resolve_job_def("all")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        begun = time.process_time()
        if not job.execute_in_process(run_config=quiet, instance=instance).success:
            raise RuntimeError("steps that do nothing failed")
        took = time.process_time() - begun
    begun = time.process_time()
    for _ in assets:
        nothing()
    return 1000 * took / count, 1000 * (time.process_time() - begun) / count
