"""Trainings in MLflow: one experiment and one registered model a task, artifacts as plain files, no pickled models."""

import os

# Before mlflow is imported: it reads these once.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import fcntl
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.time import get_current_time_millis
from sqlalchemy.exc import SADeprecationWarning

from continuum.artifacts.copies import local
from continuum.config import make_private
from continuum.errors import ContinuumError, StoreError
from continuum.records import Checkpoint, Verdict
from continuum.tracking.tracker import CANDIDATE, Files, History, TrackedModel

# It announces every database it makes.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

T = TypeVar("T")
ARTIFACT_PATH = "adapter"
NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of an experiment."""
ABOUT = "Each training of the task {task} is a run, named as the version that it made: under Model training, Runs."
BATCH = 900
"""Metrics of one request; a server takes at most 1000."""
UNNAMEABLE = re.compile(r"[^A-Za-z0-9_.: -]")
"""A slash is left out too, for a name that reads like a path has to be in its shortest form."""
LONGEST_NAME = 200
"""Characters of a metric's name; a server takes at most 250."""


class MlflowTracker:
    """A tracker on an MLflow server or store.

    Args:
        tracking_uri: `http://...` or a database URL such as `sqlite:///mlflow.db`.
        artifacts: folder for the artifacts where there is no server that has its own place for them.

    Raises:
        StoreError: it cannot be reached; each method raises it likewise.
    """

    def __init__(self, tracking_uri: str, *, artifacts: Path) -> None:
        self.tracking_uri = tracking_uri
        self.artifacts = artifacts
        self._remote = tracking_uri.startswith(("http://", "https://"))
        with self._talking():
            if tracking_uri.startswith("sqlite:///"):
                self._client = _of_file(tracking_uri)
            else:
                self._client = MlflowClient(tracking_uri=tracking_uri)

    def log_training(self, checkpoint: Checkpoint, history: History = (), files: Files | None = None) -> TrackedModel:
        """Log parameters, curves step by step, the artifact and the files; register the version as `candidate`."""
        with self._talking():
            run = self._client.create_run(self._experiment(checkpoint.task), run_name=checkpoint.name)
            run_id = run.info.run_id
            try:
                self._log_values(run_id, checkpoint, history)
                self._client.log_artifacts(run_id, str(local(checkpoint.uri)), ARTIFACT_PATH)
                for name, text in (files or {}).items():
                    self._client.log_text(run_id, text, name)
                version = self._register(checkpoint, f"{run.info.artifact_uri}/{ARTIFACT_PATH}", run_id)
            except BaseException:
                self._client.set_terminated(run_id, "FAILED")
                raise
            self._client.set_terminated(run_id)
        self.set_alias(checkpoint.task, CANDIDATE, version)
        return TrackedModel(run_id, version)

    def set_alias(self, task: str, alias: str, version: str) -> None:
        """Move the alias of the task's registered model."""
        with self._talking():
            self._client.set_registered_model_alias(task, alias, version)

    def drop_alias(self, task: str, alias: str) -> None:
        """Take the alias off the task's registered model."""
        with self._talking():
            self._client.delete_registered_model_alias(task, alias)

    def log_verdict(
        self, verdict: Verdict, run_id: str, files: Files | None = None, figures: Mapping[str, float] | None = None
    ) -> None:
        """The verdict as tags of the run and of its version, its deltas and the figures as metrics, the rest as artifacts."""
        now = get_current_time_millis()
        status = verdict.status.value
        tags = {"verdict": status, "approved": str(verdict.approved).lower(), "verdict_id": verdict.id}
        numbers = {f"delta_{name}": value for name, value in verdict.deltas.items()} | dict(figures or {})
        metrics = [Metric(metric_name(name), value, now, 0) for name, value in numbers.items()]
        with self._talking():
            self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
            self._log_metrics(run_id, metrics)
            for name, text in (files or {}).items():
                self._client.log_text(run_id, text, name)
            self._client.log_dict(run_id, verdict.model_dump(mode="json"), "verdict.json")
            for version in self._client.search_model_versions(f"run_id = '{run_id}'"):
                self._client.set_model_version_tag(version.name, version.version, "verdict", status)

    def log_curve(self, run_id: str, files: Files, figures: Mapping[str, float]) -> None:
        """The figures as metrics, which are drawn over time, and the files as artifacts."""
        now = get_current_time_millis()
        with self._talking():
            self._log_metrics(run_id, [Metric(metric_name(name), value, now, 0) for name, value in figures.items()])
            for name, text in files.items():
                self._client.log_text(run_id, text, name)

    def erase_training(self, task: str, run_id: str, version: str | None) -> None:
        """Delete the run's artifacts, its registered version, which takes the aliases along, and the run."""
        with self._talking():
            if version is not None:
                self._unless_gone(lambda: self._client.delete_model_version(task, version))
            found = self._unless_gone(lambda: self._client.get_run(run_id))
            if found is None:
                return
            # A run that is deleted is only hidden, and its files stay: they go first.
            artifacts = get_artifact_repository(found.info.artifact_uri or "", tracking_uri=self.tracking_uri)
            for one in artifacts.list_artifacts() or ():
                artifacts.delete_artifacts(one.path)
            if found.info.lifecycle_stage != "deleted":
                self._client.delete_run(run_id)

    def _unless_gone(self, ask: Callable[[], T]) -> T | None:
        """What MLflow answers; None where it has nothing of that name any more."""
        try:
            return ask()
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def run_url(self, run_id: str) -> str | None:
        """The run's page on the server; None without one."""
        if not self._remote:
            return None
        with self._talking():
            experiment = self._client.get_run(run_id).info.experiment_id
        return f"{self.tracking_uri.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Translate what goes wrong with MLflow, and silence what it sets off in SQLAlchemy 2.1."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SADeprecationWarning)
            try:
                yield
            except ContinuumError:
                raise
            except Exception as error:
                # MLflow lets errors of its database's libraries through.
                raise StoreError(
                    f"MLflow at {_without_password(self.tracking_uri)} failed: {error}; is it up and writable?"
                ) from error

    def _experiment(self, task: str) -> str:
        found = self._client.get_experiment_by_name(task)
        if found is None:
            location = None if self._remote else (self.artifacts / task).absolute().as_uri()
            try:
                return self._client.create_experiment(task, artifact_location=location, tags={NOTE: ABOUT.format(task=task)})
            except MlflowException:
                # Another process made it meanwhile.
                found = self._client.get_experiment_by_name(task)
                if found is None:
                    raise
        return found.experiment_id

    def _log_values(self, run_id: str, checkpoint: Checkpoint, history: History) -> None:
        now = get_current_time_millis()
        origin = {"base_model": checkpoint.base_model, "dataset": checkpoint.dataset_id, "parent": checkpoint.parent_id or ""}
        params = origin | flattened(checkpoint.config)
        metrics = [Metric(name, value, now, 0) for name, value in checkpoint.metrics.items()]
        metrics += [
            Metric(f"step_{name}", value, now, int(point["step"]))
            for point in history
            for name, value in point.items()
            if name != "step"
        ]
        tags = {"checkpoint": checkpoint.id, "generation": str(checkpoint.generation)}
        self._client.log_batch(
            run_id,
            params=[Param(name, value) for name, value in params.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self._log_metrics(run_id, metrics)

    def _log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    def _register(self, checkpoint: Checkpoint, source: str, run_id: str) -> str:
        try:
            self._client.create_registered_model(checkpoint.task)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {"checkpoint": checkpoint.id, "version": str(checkpoint.version)}
        return str(self._client.create_model_version(checkpoint.task, source, run_id, tags=tags).version)


def metric_name(name: str) -> str:
    """A name that MLflow takes: what it does not take becomes `_`, and then a hash keeps two such names apart.

    Slices are named by what users and applications say, so a name may hold anything.
    """
    plain = UNNAMEABLE.sub("_", name)[:LONGEST_NAME]
    return plain if plain == name else f"{plain}-{sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _of_file(tracking_uri: str) -> MlflowClient:
    """A client of a database in a file, whose tables are there.

    MLflow makes them at the first call, and two processes that make them at once leave a database that nobody can open again.
    """
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    make_private(path.parent)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = MlflowClient(tracking_uri=tracking_uri)
        # Runs and models have a store each, and each migrates the database.
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    return client


def _without_password(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return scheme + separator + rest.rpartition("@")[2]


def flattened(values: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level of dotted names, with values as JSON text where they are not words."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat
