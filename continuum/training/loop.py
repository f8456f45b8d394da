"""One fine-tuning, from a job's folder to its artifact, in phases that each go on from what is on the disk.

| phase | what it leaves in the folder |
|---|---|
| ask the base general questions | general.json, asked of the base once in a line |
| measure before | before.json |
| what must be held (`training/fisher.py`) | ewc.safetensors |
| learn from examples, at the lambda that is chosen | states/ |
| learn from preferences | preferences/ |
| measure after, and write the artifact | the artifact, then report.json |

Killed at any moment, the same call goes on and ends with the same bytes on the same kind of CPU with the same number of threads.
What holds the model is in every batch (replayed examples, probes, general answers) and in the penalty; with all of it switched off
this is a plain LoRA.
"""

import fcntl
import gc
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from transformers import set_seed

from continuum.errors import ConfigurationError, StoreError
from continuum.training.job import REPORT, FitReport, Job, read_job, read_report, write_json
from continuum.training.memory import is_out_of_memory
from continuum.training.processes import Processes
from continuum.training.reporting import Events
from continuum.training.run import Run
from continuum.training.states import is_full, no_room
from continuum.training.watching import Stopping, never

LOCK = "lock"

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
    processes = Processes.join()
    with ONE_AT_A_TIME, sole_worker(folder, processes):
        report = read_report(folder)
        if report is not None:
            return report
        started = time.perf_counter()
        job, inputs = read_job(folder)
        events.progress(0, 1, "loading the base model")
        set_seed(job.config.seed)
        run = Run(folder, job, inputs, events, stopping, processes)
        with no_surprise(run, folder):
            report = run.to_end().model_copy(update={"seconds": time.perf_counter() - started})
            processes.once(lambda: write_json(folder / REPORT, report.model_dump(mode="json")))
        return report
