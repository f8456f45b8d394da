"""What a training worker is told and what it answers: plain files in one folder, so that any process can take the work over.

| file | what it is | written by |
|---|---|---|
| job.json | the `Job`, with the sha256 of every input | whoever asks for the training |
| inputs/*.jsonl | the rows: `Inputs` | whoever asks for the training |
| states/ | where a killed run goes on from | the worker |
| report.json | the `FitReport`; with it the training is done | the worker, last |
| error.json | the error that ended the last attempt | the worker |
| lock | who works in the folder holds it (flock) | the worker |
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeVar

from continuum.config import make_private
from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.errors import StoreError
from continuum.fine_tuning import FineTuneConfig
from continuum.provenance.artifacts import sha256_of
from continuum.records import Example, Record

JOB, REPORT, ERROR, INPUTS, STATES, LOCK = "job.json", "report.json", "error.json", "inputs", "states", "lock"

Row = TypeVar("Row", bound=Record)


class ReplayRow(Record):
    """A row that training goes through again, and where it came from."""

    example: Example
    dataset: str
    """Fingerprint of the dataset that it was learned from; empty for general and probe rows."""
    kind: Literal["task", "general", "probe"] = "task"


class Trial(Record):
    """A question that tries a constraint and that no training sees."""

    constraint: str
    prompt: str


class Job(Record):
    """One fine-tuning, in everything but its rows."""

    task: str
    base_model: str
    """A local path or a hub id."""
    base_revision: str = ""
    """sha256 over the base's files, or the commit of the hub's repository."""
    config: FineTuneConfig
    dataset: str
    """Fingerprint of the dataset."""
    artifact: str
    """Folder where the artifact goes; it must not exist."""
    parent: str | None = None
    """Folder of the artifact to continue."""
    parent_id: str | None = None
    parent_manifest: dict[str, str] | None = None
    origin: dict[str, Any] = {}
    """What else the artifact says of where it comes from."""
    inputs: dict[str, str] = {}
    """Input file to sha256; filled in by `write_job`."""

    @property
    def key(self) -> str:
        """The same for the same work, wherever its artifact goes: a run that was killed is found again by it."""
        plain = self.model_dump(mode="json", exclude={"artifact"})
        return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Inputs:
    """The rows of a fine-tuning, ready to be encoded: nothing golden, forgotten or violating is among them."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...] = ()
    replay: tuple[ReplayRow, ...] = ()
    """The parent's buffer, general and probe rows included, without what must not be replayed."""
    probes: tuple[Example, ...] = ()
    """Constraint probes with compliant answers."""
    pairs: tuple[PreferencePair, ...] = ()
    answers: tuple[RatedAnswer, ...] = ()
    earlier: tuple[ReplayRow, ...] = ()
    """Validation rows of earlier datasets: measured, never trained on."""
    trials: tuple[Trial, ...] = ()


KINDS: dict[str, type[Record]] = {
    "train": Example,
    "validation": Example,
    "replay": ReplayRow,
    "probes": Example,
    "pairs": PreferencePair,
    "answers": RatedAnswer,
    "earlier": ReplayRow,
    "trials": Trial,
}


class Losses(Record):
    """How surprised the model was by the answers of one set of rows, before and after: mean nats per answer token, row by row."""

    ids: tuple[str, ...]
    before: tuple[float, ...]
    """At the parent, or at the base where there is none."""
    after: tuple[float, ...]
    groups: tuple[str, ...] = ()
    """The conversation of each row; empty where each is one of its own."""


class TrialAnswer(Record):
    """What the model said to a trial before and after."""

    constraint: str
    prompt: str
    before: str
    after: str


class LambdaTried(Record):
    """One run of the search for lambda."""

    lambda_ewc: float
    lost: float
    """Share of the earlier answers' probability that is lost: 1 - mean(exp(-after)) / mean(exp(-before))."""
    loss: float
    """Mean nats on the validation rows of the new dataset, or on its training rows where it has none."""


class FitReport(Record):
    """How a fine-tuning went; losses are mean nats per answer token, before and after, on the same rows."""

    initial_loss: float
    final_loss: float
    initial_validation_loss: float | None = None
    final_validation_loss: float | None = None
    steps: int
    epochs: float
    """Times that the new rows were gone through; less than asked where training stopped early."""
    replayed: int = 0
    """Rows of earlier turns that could be replayed."""
    probes: int = 0
    general: int = 0
    """General questions with the base's own answers."""
    preferences: int = 0
    """Pairs or rated answers that were trained on."""
    lambda_ewc: float = 0.0
    """The lambda that held; found by search where a budget was given."""
    ewc_penalty: float = 0.0
    """The penalty at the end; 0 when nothing is held."""
    l2_distance: float = 0.0
    """sum (dW - dW*)^2 at the end, over all layers: what a plain L2 anchor would see."""
    fisher_trace: float = 0.0
    """Of the Fisher that the penalty used; 0 when nothing is held."""
    losses: dict[str, Losses] = {}
    """By earlier dataset's fingerprint, and under `validation` and `general`."""
    trials: tuple[TrialAnswer, ...] = ()
    tried: tuple[LambdaTried, ...] = ()
    """The search for lambda, where there was one."""
    history: tuple[dict[str, float], ...] = ()
    """For each step: step, loss, learning_rate, and ewc_penalty and l2_distance when there is an anchor."""
    resumed_at: tuple[int, ...] = ()
    """Steps at which the run went on after it had been interrupted."""
    manifest: dict[str, str] = {}
    seconds: float = 0.0


def write_job(folder: Path, job: Job, inputs: Inputs) -> Job:
    """Write a job and its rows into a folder, the job last; returns the job with the hashes of its inputs."""
    make_private(folder / INPUTS)
    for name in KINDS:
        (folder / INPUTS / f"{name}.jsonl").write_text(_text(inputs, name), encoding="utf-8")
    told = job.model_copy(update={"inputs": input_hashes(inputs)})
    write_json(folder / JOB, told.model_dump(mode="json"))
    return told


def input_hashes(inputs: Inputs) -> dict[str, str]:
    """The sha256 of each input file as `write_job` writes it."""
    return {name: sha256(_text(inputs, name).encode()).hexdigest() for name in KINDS}


def read_job(folder: Path) -> tuple[Job, Inputs]:
    """The job of a folder and its rows.

    Raises:
        StoreError: there is no job, or an input is not what was written.
    """
    try:
        job = Job.model_validate_json((folder / JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / JOB} cannot be read as a training job: {error}") from error
    for name in KINDS:
        path = folder / INPUTS / f"{name}.jsonl"
        if not path.is_file() or sha256_of(path) != job.inputs.get(name):
            raise StoreError(f"{path} is missing or was altered since the job was written; remove {folder} and train again")
    rows = {name: tuple(_rows(folder / INPUTS / f"{name}.jsonl", kind)) for name, kind in KINDS.items()}
    return job, Inputs(**rows)  # pyright: ignore[reportArgumentType]


def read_report(folder: Path) -> FitReport | None:
    """The report of a training that is done; None before it is, and where a power cut left half of one."""
    try:
        return FitReport.model_validate_json((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file that is whole or absent, whenever the process dies."""
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _text(inputs: Inputs, name: str) -> str:
    # ASCII, as json.dumps writes it: captured text may hold half surrogates, which UTF-8 cannot.
    return "".join(json.dumps(row.model_dump()) + "\n" for row in getattr(inputs, name))


def _rows(path: Path, kind: type[Row]) -> list[Row]:
    return [kind.model_validate(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
