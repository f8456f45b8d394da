"""One fine-tuning, from a job's folder to its artifact: alone in the folder, and with plain words for what can go wrong.

Killed at any moment, the same call goes on and ends with the same bytes on the same kind of CPU with the same number of threads;
`run.py` has the phases and what each leaves on the disk.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from safetensors import SafetensorError
from transformers import set_seed

from continuum.errors import ConfigurationError, ContinuumError, StoreError
from continuum.training.job import LOCK, REPORT, STATES, FitReport, read_job, read_report, write_json
from continuum.training.memory import free_memory, is_out_of_memory, too_large
from continuum.training.processes import Processes
from continuum.training.reporting import Events
from continuum.training.run import PREFERENCES, Run
from continuum.training.states import is_full, no_room
from continuum.training.watching import Stopping, never

# Trainers share process-wide state: the random generators and accelerate's singletons.
ONE_AT_A_TIME = Lock()


def run_job(folder: Path, events: Events, stopping: Stopping = never) -> FitReport:
    """Train what the folder's job says, from wherever an attempt before this one ended, and write the artifact.

    Args:
        folder: what `write_job` wrote.
        events: told how far it is.
        stopping: asked between steps; when it says so, the state is saved and the run ends with `TrainingInterrupted`.

    Raises:
        ConfigurationError: the base or the parent cannot be used, or a batch does not fit in memory.
        StoreError: an input or the parent is not what was written, another worker trains this job, or the disk is full.
        TrainingDiverged: the loss stopped being a number or rose without end; the last sound state is kept.
        TrainingInterrupted: somebody asked to stop.
    """
    started = time.perf_counter()
    processes = Processes.join()
    with ONE_AT_A_TIME, _sole_worker(folder, processes):
        if processes.any(read_report(folder) is not None):
            return _report_of(folder)
        job, inputs = read_job(folder)
        if processes.world != job.config.processes:
            raise ConfigurationError(
                f"the job asks for {job.config.processes} processes and {processes.world} came together; start it with "
                f"accelerate launch --num_processes {job.config.processes}, or set CONTINUUM_TRAINER=process, which does"
            )
        set_seed(job.config.seed)
        run = Run(folder, job, inputs, events, stopping, processes)
        with _plain_words(run):
            report = run.to_end()
            report = report.model_copy(update={"seconds": time.perf_counter() - started})
            processes.once(lambda: write_json(folder / REPORT, report.model_dump(mode="json")))
        if processes.first:
            # What a killed run would have gone on from has had its day.
            for name in (STATES, PREFERENCES):
                shutil.rmtree(folder / name, ignore_errors=True)
        return _report_of(folder)


def _report_of(folder: Path) -> FitReport:
    report = read_report(folder)
    assert report is not None  # noqa: S101 - it was there a moment ago, and nobody else may remove it
    return report


@contextmanager
def _sole_worker(folder: Path, processes: Processes) -> Iterator[None]:
    """Hold the folder against other workers; the system lets go of it whenever and however this process ends.

    Raises:
        StoreError: another worker holds it, or there is no folder.
    """
    if not processes.first:
        yield
        return
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"{folder} cannot be worked in: {error}; write the job there first") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.read(descriptor, 20).decode(errors="replace").strip()
            raise StoreError(
                f"another worker, process {other}, trains {folder} at this moment; wait for it, or end it and run the same again"
            ).may_pass() from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _plain_words(run: Run) -> Iterator[None]:
    """Say of a full disk how much is missing, and of full memory what would fit."""
    try:
        yield
        return
    except ContinuumError:
        raise
    except (OSError, SafetensorError) as error:
        if not is_full(error):
            raise
        raise no_room(run.folder, run.bytes_needed) from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        said = str(error)
    # Outside of the handler nothing holds on to the frames of the failed step, nor to what they had allocated.
    free_memory()
    raise too_large(run.config, run.at_once, run.longest, None) from MemoryError(said)
