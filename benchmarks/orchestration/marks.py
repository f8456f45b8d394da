"""Rows arrive while turns run and the daemon is killed: is each high-water mark trained once, and is nothing lost?

All is real: the daemon on a home with the project's dagster.yaml, the sensor `enough_new_data`, whole turns that train and guard
the tiny model, a writer that never pauses. Only clocks are set forward: the sensor looks each second.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import dagster as dg
import yaml
from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.deployment.trials import surroundings
from benchmarks.orchestration.lines import RIGHT, TRAINING, asked
from benchmarks.orchestration.stack import ROOT, Stack, eventually
from continuum.policy import CurationPolicy, GuardPolicy, TaskPolicy
from continuum.records import Checkpoint, Feedback
from continuum.store.database import Store, open_store
from continuum_pipelines.claims import will_be_repeated

TASK = "support"
KILLS, KILLS_QUICK = 10, 2
THRESHOLD = 40
A_SECOND = 5
"""Rows that arrive."""
AWAY_S = 0.5
PATIENCE_S = 600.0


@dataclass
class Marks:
    """What became of the task."""

    kills: list[str] = field(default_factory=list)
    """What the daemon was killed in the middle of."""
    ranges: list[tuple[int, int, int | None]] = field(default_factory=list)
    """Of each training: after which row and through which its dataset reaches, and through which that of its parent."""
    rows: int = 0
    left: int = 0
    """Rows that came after the last mark."""
    stuck: int = 0
    statuses: Counter = field(default_factory=Counter)
    claimed_by: str | None = None

    @property
    def repeated(self) -> int:
        """Trainings of a mark that was trained before."""
        return sum(times - 1 for times in Counter(through for _, through, _ in self.ranges).values())

    @property
    def gaps(self) -> int:
        """Ranges that do not begin where the range of the model that is continued ends, and marks that go back."""
        apart = sum(after != (parent or 0) for after, _, parent in self.ranges)
        return apart + sum(later[1] <= earlier[1] for earlier, later in pairwise(self.ranges))

    @property
    def lost(self) -> int:
        """Rows before the last mark that no training's range holds, and whole batches behind it that none was started for."""
        held = {row for after, through, _ in self.ranges for row in range(after + 1, through + 1)}
        last = max((through for _, through, _ in self.ranges), default=0)
        return len(set(range(1, last + 1)) - held) + (self.left if self.left >= THRESHOLD else 0)


class Writer(threading.Thread):
    """The application: it captures and is told what would have been right, all the time."""

    def __init__(self, store: Store) -> None:
        super().__init__(daemon=True)
        self._store, self._leave, self.rows = store, threading.Event(), 0

    def run(self) -> None:
        """Write until told to stop."""
        while not self._leave.wait(1 / A_SECOND):
            row = asked(TASK, self.rows)
            self._store.interactions.add([row])
            self._store.feedback.add([Feedback(interaction_id=row.id, score=1, correction=RIGHT)])
            self.rows += 1

    def end(self) -> None:
        """Stop."""
        self._leave.set()
        self.join()


@contextmanager
def home_of(folder: Path) -> Iterator[tuple[Stack, Store]]:
    """A home on one machine, and its daemon."""
    home = folder / "home"
    (home / "dagster").mkdir(parents=True)
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    settings["run_monitoring"] |= {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1, "start_timeout_seconds": 30}
    (home / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(settings))
    environment = {"CONTINUUM_HOME": str(home), "CONTINUUM_TRAINER": "inline"}
    with ExitStack() as stack:
        stack.enter_context(surroundings({**environment, "DAGSTER_HOME": str(home / "dagster")}))
        store = open_store(f"sqlite:///{home / 'continuum.db'}")
        stack.callback(store.close)
        location = "benchmarks.orchestration.watched"
        yield stack.enter_context(Stack(home / "dagster", environment, location=location, webserver=False)), store


def measure(setting: Setting) -> Result:
    """Rows, turns and kills."""
    from tests.tiny_model import build_tiny_base  # torch starts here

    kills = KILLS_QUICK if setting.quick else KILLS
    base, rng = build_tiny_base(setting.folder / "base"), random.Random(setting.seed)
    with home_of(setting.folder) as (stack, store):
        store.tasks.register(policy(base))
        stack.instance.add_dynamic_partitions("task", [TASK])
        # As after the bootstrap, which the threshold waits for.
        stack.instance.report_runless_asset_event(dg.AssetMaterialization("raw_interactions", partition=TASK))
        writer = Writer(store)
        writer.start()
        found = Marks()
        for number in range(kills):
            # Each kill comes in a turn, at a moment of its own.
            eventually(lambda: runs_under_way(stack), "a turn begins", within_s=PATIENCE_S)
            time.sleep(rng.uniform(0, 8))
            found.kills.append(in_the_middle_of(stack))
            stack.kill_daemon()
            time.sleep(AWAY_S)
            stack.start_daemon()
            setting.say(f"marks: killed {number + 1} of {kills}, {len(store.checkpoints.of(TASK))} trained")
            trained = len(store.checkpoints.of(TASK))
            eventually(lambda: len(store.checkpoints.of(TASK)) > trained, "another mark is trained", within_s=PATIENCE_S)  # noqa: B023
        writer.end()
        eventually(lambda: not runs_under_way(stack) and behind(store) < THRESHOLD, "all is learned", within_s=PATIENCE_S)
        look_back(stack, store, writer.rows, found)
    return Result(entries_of(found), shown(found), notes_of(found))


def policy(base: Path) -> TaskPolicy:
    """A task that trains at its threshold, by what people said."""
    return TaskPolicy(
        task=TASK,
        base_model=str(base),
        training=TRAINING.model_copy(update={"epochs": 4.0}),
        curation=CurationPolicy(min_examples=5),
        guard=GuardPolicy(capability=False, alignment="off"),
        auto_train_when=THRESHOLD,
        provider_terms_accepted=True,
    )


def runs_under_way(stack: Stack) -> list[dg.DagsterRun]:
    """The runs that have not ended, and those that will be repeated."""
    return [run for run in stack.instance.get_runs() if not run.is_finished or will_be_repeated(run)]


def in_the_middle_of(stack: Stack) -> str:
    """What the newest run is at."""
    newest = next(iter(stack.instance.get_runs(limit=1)))
    steps = stack.instance.get_run_step_stats(newest.run_id)
    return next((one.step_key for one in steps if one.end_time is None), str(newest.status.value).lower())


def behind(store: Store) -> int:
    """Rows that came after the mark."""
    return store.interactions.count(TASK, after=store.tasks.get(TASK).trained_through)


def look_back(stack: Stack, store: Store, rows: int, found: Marks) -> None:
    """What was trained, and what is left."""

    def through(model: Checkpoint | None) -> int | None:
        dataset = store.datasets.get(model.dataset_id) if model else None
        return int(dataset.manifest["through"]) if dataset else None

    for model in store.checkpoints.of(TASK):
        dataset = store.datasets.get(model.dataset_id)
        assert dataset is not None
        parent = through(store.checkpoints.get(model.parent_id)) if model.parent_id else None
        found.ranges.append((int(dataset.manifest["after"]), int(dataset.manifest["through"]), parent))
    found.rows, found.left = rows, behind(store)
    found.stuck = len(runs_under_way(stack))
    found.statuses = Counter(run.status.value for run in stack.instance.get_runs())
    found.claimed_by = store.tasks.get(TASK).claimed_by


def entries_of(found: Marks) -> list[Entry]:
    """The claims."""
    said = f"{len(found.ranges)} trainings of {found.rows} rows, the daemon killed {len(found.kills)} times"
    return [
        Entry.of_value(f"{said}: trainings of a mark that was trained before", float(found.repeated), "==", 0),
        Entry.of_value(f"{said}: ranges that do not begin where their parent's end", float(found.gaps), "==", 0),
        Entry.of_value(f"{said}: rows lost", float(found.lost), "==", 0),
        Entry.of_value(f"{said}: runs stuck", float(found.stuck), "==", 0),
    ]


def shown(found: Marks) -> Table:
    """Each training's range."""
    made = table("marks", "training", "after row", "through row", "its parent's mark")
    for number, (after, through, parent) in enumerate(found.ranges, 1):
        made.add_row(f"v{number}", str(after), str(through), "-" if parent is None else str(parent))
    return made


def notes_of(found: Marks) -> list[str]:
    """What else is to be known."""
    holder = found.claimed_by or "nobody"
    return [
        f"killed in the middle of: {', '.join(found.kills)}",
        f"runs: {dict(found.statuses)}; {found.left} rows wait for the next mark; the claim is with {holder}",
    ]
