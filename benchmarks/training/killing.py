"""Does a training that is killed go on to the same weights, wherever the kill falls?

A second turn is trained once without a disturbance, then over and over, each time with a SIGKILL at another moment: at a random
word of the worker on how far it is, and every other time while it writes a state. Run again it goes on. Every full run is of the
real worker, `python -m continuum.training.worker`; the quick one forks this process, which has the libraries loaded already.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.training.corpus import FIRST, SECOND, lessons
from continuum.demo.base_text import base_texts
from continuum.demo.world import World
from continuum.fine_tuning import FineTuneConfig
from continuum.provenance.artifacts import sha256_of
from continuum.training.base import build_base
from continuum.training.job import Inputs, Job, write_job
from continuum.training.replay import ReplayBuffer

ADAPTER = "adapter_model.safetensors"
STATES_EVERY = 3
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    kills: int
    texts: int
    base_steps: int
    epochs: int
    forked: bool


FULL = Plan(kills=10, texts=800, base_steps=20, epochs=6, forked=False)
QUICK = Plan(kills=2, texts=200, base_steps=1, epochs=1, forked=True)


@dataclass(frozen=True)
class Killed:
    """What became of one run."""

    at: str
    half_written: bool
    """Whether a state was left unfinished."""
    resumed: bool
    same: bool


def measure(setting: Setting, plan: Plan | None = None) -> Result:
    """Train undisturbed, then kill and go on."""
    plan = plan or (QUICK if setting.quick else FULL)
    start = forked if plan.forked else spawned
    write = prepared(setting, plan, start)
    rng = random.Random(setting.seed)

    setting.say("undisturbed")
    whole = setting.folder / "whole"
    write(whole)
    words = run(start, whole)
    expected = sha256_of(artifact_of(whole) / ADAPTER)
    found: list[Killed] = []
    for n in range(plan.kills):
        setting.say(f"kill {n + 1} of {plan.kills}")
        folder = setting.folder / f"killed-{n}"
        write(folder)
        found.append(killed(start, folder, rng, words, expected, while_writing=bool(n % 2)))
    return told(found, plan, words)


def told(found: list[Killed], plan: Plan, words: int) -> Result:
    """The table and the claim."""
    how = "forked" if plan.forked else "the real worker"
    shown = table(f"A training killed once a run by SIGKILL ({how}; {words} words on how far it is)", "killed", "", "", "")
    shown.columns[1].header, shown.columns[2].header, shown.columns[3].header = "state half-written", "went on", "same weights"
    for one in found:
        shown.add_row(one.at, *("yes" if flag else "no" for flag in (one.half_written, one.resumed, one.same)))
    same = sum(one.resumed and one.same for one in found)
    half = sum(one.half_written for one in found)
    claim = f"killed runs that go on to the same adapter, byte for byte, of {len(found)}"
    return Result(
        [Entry.of_value(claim, same, "==", len(found))],
        shown,
        [f"{half} of {len(found)} kills left a half-written state behind; states every {STATES_EVERY} steps"],
    )


def prepared(setting: Setting, plan: Plan, start: "Start") -> Callable[[Path], None]:
    """Train a first turn; returns what writes the job of the second."""
    rng = random.Random(setting.seed)
    base = setting.folder / "base"
    build_base(base_texts(World(), rng, plan.texts), base, hidden=64, length=96, steps=plan.base_steps, seed=setting.seed)
    config = FineTuneConfig(epochs=plan.epochs, learning_rate=5e-3, checkpoint_every=STATES_EVERY, lora_rank=8, seed=setting.seed)
    first = setting.folder / "first"
    job = Job(task="shop", base_model=str(base), config=config, dataset="first", artifact=str(artifact_of(first)))
    write_job(first, job, Inputs(train=tuple(lessons(FIRST[:8], rng, 4))))
    run(start, first)
    second = Inputs(train=tuple(lessons(SECOND[:8], rng, 6)), replay=ReplayBuffer.load(artifact_of(first)).rows)

    def write(folder: Path) -> None:
        update = {"dataset": "second", "parent": str(artifact_of(first)), "artifact": str(artifact_of(folder))}
        write_job(folder, job.model_copy(update=update), second)

    return write


def artifact_of(folder: Path) -> Path:
    """Where a job's artifact goes."""
    return folder.with_name(folder.name + "-artifact")


# --- workers ------------------------------------------------------------------------------------------------------


class Worker:
    """A worker that was started, and what it has said of itself."""

    def __init__(self, pid: int, said: Path, wait: Callable[[], int]) -> None:
        self.pid, self.said, self.wait = pid, said, wait

    @property
    def words(self) -> int:
        """How many lines it has written."""
        return self.said.read_bytes().count(b"\n") if self.said.is_file() else 0

    def kill(self) -> None:
        """Without a warning."""
        os.kill(self.pid, signal.SIGKILL)


Start = Callable[[Path], Worker]


def spawned(folder: Path) -> Worker:
    """A worker in a process of its own."""
    said = folder / "said.jsonl"
    with said.open("wb") as out, (folder / "worker.err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "continuum.training.worker", str(folder)], stdout=out, stderr=errors, cwd=Path.cwd()
        )
    return Worker(process.pid, said, process.wait)


def forked(folder: Path) -> Worker:
    """A copy of this process that works on the folder."""
    from continuum.training.loop import run_job
    from continuum.training.reporting import StdoutEvents

    said = folder / "said.jsonl"
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            run_job(folder, StdoutEvents(descriptor))
            code = 0
        finally:
            os._exit(code)
    os.close(descriptor)
    return Worker(pid, said, lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def run(start: Start, folder: Path) -> int:
    """Train to the end; returns how much the worker said.

    Raises:
        RuntimeError: it failed.
    """
    worker = start(folder)
    code = worker.wait()
    if code or not (folder / "report.json").is_file():
        raise RuntimeError(f"the worker on {folder} ended with {code}")
    return worker.words


def killed(start: Start, folder: Path, rng: random.Random, words: int, expected: str, *, while_writing: bool) -> Killed:
    """Kill one run, and see what becomes of it."""
    moment = rng.randrange(1, words)
    worker = start(folder)
    deadline = time.monotonic() + PATIENCE_S
    at = f"at word {moment} of {words}"
    while worker.words < moment and time.monotonic() < deadline:
        time.sleep(0.0005)
    if while_writing:
        while time.monotonic() < deadline and not unfinished(folder) and worker.words < words:
            pass
        at += ", writing a state" if unfinished(folder) else ", after the last state"
    else:
        time.sleep(rng.uniform(0, 0.01))
    worker.kill()
    code = worker.wait()
    half = unfinished(folder)
    if code == 0:
        at += " (it was done already)"
    resumed = True
    try:
        run(start, folder)
    except RuntimeError:
        resumed = False
    artifact = artifact_of(folder) / ADAPTER
    same = artifact.is_file() and sha256_of(artifact) == expected
    return Killed(at, half, resumed, same)


def unfinished(folder: Path) -> bool:
    """Whether a state is being written, or was when the worker died."""
    return any((folder / "states").glob("*/*.part"))
