"""How a training is started: in this process, in one of its own, or in several under `accelerate launch`.

A process of its own keeps two gigabytes of torch and its crashes out of the caller's. The job's folder is all that passes between
them; a folder whose worker ended early is launched again and goes on from the state it left.
"""

import asyncio
import contextvars
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from os import environ, killpg
from pathlib import Path
from typing import Any, Protocol, TypeVar

from continuum.config import Settings
from continuum.errors import (
    ConfigurationError,
    ContinuumError,
    MissingExtra,
    NotEnoughData,
    StoreError,
    TrainingDiverged,
    TrainingInterrupted,
)
from continuum.fine_tuning import FineTuneConfig
from continuum.progress import Progress
from continuum.training.job import ERROR, JOB, REPORT, write_json
from continuum.training.lifeline import GRACE_S, lifeline
from continuum.training.reporting import ProgressEvents

LOG = "worker.log"
"""What the workers of a job's folder printed, one attempt after the other."""
TAIL = 2000
"""Characters of the log that an error quotes."""
LOOK_EVERY_S = 0.2
WORKER = "continuum.training.worker"
NEEDED = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "safetensors")
ERRORS = (ConfigurationError, MissingExtra, StoreError, NotEnoughData, TrainingDiverged, TrainingInterrupted)
"""What a worker may raise by name in the process that started it."""

T = TypeVar("T")


class Launcher(Protocol):
    """Starts a worker on a job's folder and waits until it is done."""

    def launch(self, folder: Path, on_progress: Progress, stop: threading.Event | None = None) -> None:
        """Train; when it returns, the folder holds the report.

        Args:
            folder: what `write_job` wrote.
            on_progress: called as the training goes on, in this thread; an error that it raises stops the training.
            stop: set from another thread to end the training; a worker then saves its state first.

        Raises:
            TrainingInterrupted: the worker ended, was killed or was stopped before it was done.
            ContinuumError: what else the training raised: the same class as in the worker.
        """
        ...


class InlineLauncher:
    """Trains in this process, which then has torch in it; for tests, notebooks and debuggers."""

    def launch(self, folder: Path, on_progress: Progress, stop: threading.Event | None = None) -> None:
        """Train here; see `Launcher.launch`."""
        try:
            from continuum.training.loop import run_job  # torch, transformers, peft and trl start here
        except ImportError as error:
            raise MissingExtra.of(error, "Training") from error

        run_job(folder, ProgressEvents(on_progress), (stop or threading.Event()).is_set)


class ProcessLauncher:
    """Trains in a child process, or in `config.processes` of them under `accelerate launch`; none outlives this process.

    Args:
        environment: added to this process's own environment in the child's.
        accelerate_config: file for `accelerate launch --config_file`; None for one process a device (DDP).
        grace_s: seconds that a worker which was asked to end may take to save its state.
    """

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, accelerate_config: str | None = None, grace_s: float = GRACE_S + 5
    ) -> None:
        self.environment = dict(environment or {})
        self.accelerate_config = accelerate_config
        self.grace_s = grace_s

    def launch(self, folder: Path, on_progress: Progress, stop: threading.Event | None = None) -> None:
        """Train in a child process; see `Launcher.launch`."""
        command = self.command(folder)
        (folder / ERROR).unlink(missing_ok=True)
        where = _Where()
        with (folder / LOG).open("ab") as log:
            start = log.tell()
            code = self._run(command, log, where, on_progress, stop or threading.Event())
        if code == 0 and (folder / REPORT).is_file():
            return
        error, said = recorded_error(folder), _read_from(folder / LOG, start)
        # Where one of several was killed, what the others say of it is no help.
        if error is not None and not (isinstance(error, TrainingInterrupted) and LOST.search(said)):
            raise error
        raise TrainingInterrupted(_ending(code, where, folder / LOG, said, stopped=bool(stop and stop.is_set())))

    def command(self, folder: Path) -> list[str]:
        """The command of a job's worker.

        Raises:
            MissingExtra: the training extra is not installed.
        """
        for name in NEEDED:
            if find_spec(name) is None:
                raise MissingExtra.of(ImportError(name=name), "Training")
        config = FineTuneConfig.model_validate(json.loads((folder / JOB).read_text(encoding="utf-8"))["config"])
        return worker_command(str(folder), processes=config.processes, accelerate_config=self.accelerate_config)

    def _run(self, command: Sequence[str], log: Any, where: "_Where", on_progress: Progress, stop: threading.Event) -> int:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**environ, **self.environment, **lifeline()},
            # A Ctrl-C reaches this process alone, which then ends the worker in its own way.
            start_new_session=True,
        )
        with process:
            guard = threading.Thread(
                target=_guard, args=(process, stop, self.grace_s), name="continuum-worker-guard", daemon=True
            )
            guard.start()
            try:
                for line in process.stdout or ():
                    if not where.heard(line, on_progress):
                        log.write(line)
                        log.flush()
                return process.wait()
            except BaseException:
                if process.stdout is not None:
                    # Nobody reads any more: the worker must not wait for it.
                    process.stdout.close()
                _end(process, self.grace_s)
                raise
            finally:
                guard.join()


def open_launcher(settings: Settings) -> Launcher:
    """The launcher that the settings ask for."""
    if settings.trainer == "inline":
        return InlineLauncher()
    return ProcessLauncher(accelerate_config=settings.accelerate_config)


def worker_command(
    folder: str, *, processes: int = 1, accelerate_config: str | None = None, python: str = sys.executable
) -> list[str]:
    """How a worker is started on a folder; nothing secret is in it.

    Args:
        folder: of the job, as the worker sees it.
        processes: how many train together; with one of them accelerate is not needed.
        accelerate_config: file for `accelerate launch`, as the worker sees it.
        python: the interpreter.
    """
    if processes == 1:
        return [python, "-m", WORKER, folder]
    # Port 0: a free one is taken, so that two trainings of one machine do not meet.
    how = ["--config_file", accelerate_config] if accelerate_config else ["--multi_gpu", "--mixed_precision", "no"]
    several = ["--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0", "--dynamo_backend", "no"]
    return [python, "-m", "accelerate.commands.launch", *how, *several, "-m", WORKER, folder]


async def stoppable(work: Callable[[threading.Event], T]) -> T:
    """Do work in a thread; when the caller is cancelled, the event is set, and the cancellation goes on once the work has ended.

    A loop that is abandoned, as Dagster's is when a run is cancelled, holds nothing up: the thread goes with its process, and a
    worker that it waits for with its lifeline.

    Args:
        work: called with the event, which it hands to `Launcher.launch` as `stop`.
    """
    loop, context, stop = asyncio.get_running_loop(), contextvars.copy_context(), threading.Event()
    ended: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(ended.set_result, context.run(work, stop))
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
            settle = partial(ended.set_exception, error)
        with suppress(RuntimeError):
            # The loop is closed when nobody waits any more.
            loop.call_soon_threadsafe(settle)

    # Not one of an executor's: those are waited for when the interpreter ends.
    threading.Thread(target=run, name="continuum-training", daemon=True).start()
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([ended])
        # Its end was asked for: that it was interrupted is no news to anyone.
        ended.exception()
        raise
    finally:
        stop.set()


def record_error(folder: Path, error: BaseException) -> None:
    """Leave in a job's folder what ended its worker."""
    passing = isinstance(error, ContinuumError) and error.passing
    write_json(folder / ERROR, {"error": type(error).__name__, "message": str(error), "passing": passing})


def recorded_error(folder: Path) -> ContinuumError | None:
    """What ended the folder's last worker, as it raised it; None when it left no word."""
    try:
        said = json.loads((folder / ERROR).read_text(encoding="utf-8"))
        name, message, passing = str(said["error"]), str(said["message"]), said["passing"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = {error.__name__: error for error in ERRORS}
    if name in known:
        return known[name](message).may_pass(passing)
    # A crash of its own would come back with the same input.
    return TrainingInterrupted(f"the training worker failed with {name}: {message}").may_pass(False)


LOST = re.compile(r"Root Cause.*?exitcode\s*: -\d+ \(pid: \d+\) +\((?P<signal>SIG\w+)\)", re.DOTALL)
"""How torch's launcher says that one of several processes was killed; the others then fail for want of it."""
GOES_ON = "the same call goes on from the last state that it left"


class _Where:
    """How far a worker was when it was last heard of."""

    def __init__(self) -> None:
        self.words = "before its first step"

    def heard(self, line: bytes, on_progress: Progress) -> bool:
        """Take a line of the worker; False when it is none of its events."""
        try:
            event = json.loads(line)
            if event["event"] == "progress":
                done, total, note = int(event["done"]), int(event["total"]), str(event["note"])
            elif event["event"] == "step":
                self.words = f"at step {int(event['values']['step'])}"
                return True
            else:
                return False
        except (ValueError, KeyError, TypeError):
            return False
        on_progress(done, total, note)
        return True


def _ending(code: int, where: _Where, log: Path, said: str, *, stopped: bool) -> str:
    if stopped:
        return f"training was stopped {where.words}; {GOES_ON}"
    how, lost, killed = f"ended with exit code {code}", LOST.search(said), ""
    with suppress(ValueError):
        killed = lost["signal"] if lost else signal.Signals(-code).name
    if killed:
        how = f"lost a process, which was killed by {killed}," if lost else f"was killed by {killed}"
    if killed == "SIGKILL":
        how += " (as the system does when memory runs out: a smaller batch_size needs less)"
    quoted = f"Its log {log} ends with: {said[-TAIL:]}" if said else f"{log} is empty"
    return f"the training worker {how} {where.words}; {GOES_ON}. {quoted}"


def _read_from(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace").strip()


def _guard(process: "subprocess.Popen[bytes]", stop: threading.Event, grace_s: float) -> None:
    while process.poll() is None:
        if stop.wait(LOOK_EVERY_S):
            _end(process, grace_s)
    # What it started, if anything is left of it, must not keep its output open.
    _close_input(process)
    _kill_group(process)


def _end(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    # Its lifeline passes this on, once: being asked a second time a worker would not stay to save its state.
    _close_input(process)
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        process.wait()


def _close_input(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        killpg(process.pid, signal.SIGKILL)
