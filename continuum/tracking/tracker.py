"""Where trainings are logged and models are registered: MLflow, or a folder of plain files.

A tracker remembers; it decides nothing. The store knows which checkpoint serves, and the alias follows.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from continuum.config import Settings
from continuum.errors import MissingExtra
from continuum.ids import new_id
from continuum.records import Checkpoint, Verdict

CANDIDATE = "candidate"
"""The alias of the newest trained version."""
CHAMPION = "champion"
"""The alias of the version that serves all traffic."""

History = Sequence[Mapping[str, float]]
"""What was logged at each step: `step`, and metrics by name."""
Files = Mapping[str, str]
"""File name, such as `forgetting.svg`, to its text; shown beside the run, no part of the artifact."""


@dataclass(frozen=True)
class TrackedModel:
    """A training as the tracker knows it."""

    run_id: str
    version: str
    """The version of the registered model, which is named as the task."""


class Tracker(Protocol):
    """Keeps the history of a task's models."""

    def log_training(self, checkpoint: Checkpoint, history: History = (), files: Files | None = None) -> TrackedModel:
        """Log a training with its curves, its artifact and the files; register the model version as `candidate`."""
        ...

    def set_alias(self, task: str, alias: str, version: str) -> None:
        """Let an alias of the task's registered model name this version."""
        ...

    def drop_alias(self, task: str, alias: str) -> None:
        """Let an alias of the task's registered model name nothing; one that does already is no error."""
        ...

    def log_verdict(
        self, verdict: Verdict, run_id: str, files: Files | None = None, figures: Mapping[str, float] | None = None
    ) -> None:
        """Add the guard's verdict to the run of the training.

        Args:
            verdict: all of it is logged as `verdict.json`.
            run_id: of the training.
            files: its reports, such as `report.html`, to be shown beside the run.
            figures: its numbers by name, to be drawn beside those of other runs.
        """
        ...

    def log_curve(self, run_id: str, files: Files, figures: Mapping[str, float]) -> None:
        """Add a learning curve to the run of the newest version that it compares.

        Args:
            run_id: of the training.
            files: its reports, such as `learning_curve.html`; those of a later curve take their place.
            figures: its numbers by name, to be drawn over time.
        """
        ...

    def erase_training(self, task: str, run_id: str, version: str | None) -> None:
        """Delete what is kept of a training: its artifacts, its files, its registered version and its run.

        What is not there any more is no error, so that it may be repeated.
        """
        ...

    def run_url(self, run_id: str) -> str | None:
        """Where a person looks at the run; None when there is no server to look at."""
        ...


def open_tracker(settings: Settings) -> Tracker:
    """The MLflow tracker of these settings.

    Raises:
        MissingExtra: mlflow is not installed.
    """
    try:
        from continuum.tracking.mlflow_tracker import MlflowTracker  # mlflow starts here
    except ImportError as error:
        raise MissingExtra.of(error, "Tracking") from error
    return MlflowTracker(settings.mlflow_tracking_uri, artifacts=settings.home / "mlartifacts")


def tracker_of(model: Checkpoint, settings: Settings) -> Tracker | None:
    """The tracker that knows a model; None where its training was logged nowhere, or MLflow is not installed here."""
    with suppress(MissingExtra):
        return open_tracker(settings) if model.mlflow_run_id is not None else None
    return None


class FolderTracker:
    """A tracker in a folder: one JSON file a run, one of aliases a task. For tests, and for those without MLflow."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def log_training(self, checkpoint: Checkpoint, history: History = (), files: Files | None = None) -> TrackedModel:
        """Write the run, and the files into a folder of its own; the artifact stays where it is."""
        run_id = new_id()
        self._write_files(run_id, files or {})
        self._write(self._run(run_id), {"checkpoint": checkpoint.model_dump(mode="json"), "history": [dict(h) for h in history]})
        tracked = TrackedModel(run_id, str(checkpoint.version))
        self.set_alias(checkpoint.task, CANDIDATE, tracked.version)
        return tracked

    def set_alias(self, task: str, alias: str, version: str) -> None:
        """Write the task's aliases with this one changed."""
        self._write(self.folder / "models" / f"{task}.json", self.aliases(task) | {alias: version})

    def drop_alias(self, task: str, alias: str) -> None:
        """Write the task's aliases without this one."""
        left = {name: version for name, version in self.aliases(task).items() if name != alias}
        self._write(self.folder / "models" / f"{task}.json", left)

    def log_verdict(
        self, verdict: Verdict, run_id: str, files: Files | None = None, figures: Mapping[str, float] | None = None
    ) -> None:
        """Write the verdict and its figures into the run's file, and the files into the run's folder."""
        self._write_files(run_id, files or {})
        about = {"verdict": verdict.model_dump(mode="json"), "figures": dict(figures or {})}
        self._write(self._run(run_id), self.run(run_id) | about)

    def erase_training(self, task: str, run_id: str, version: str | None) -> None:
        """Delete the run's file and its folder, and the aliases that name its version."""
        left = {alias: named for alias, named in self.aliases(task).items() if named != version}
        self._write(self.folder / "models" / f"{task}.json", left)
        shutil.rmtree(self.folder / "runs" / run_id, ignore_errors=True)
        self._run(run_id).unlink(missing_ok=True)

    def log_curve(self, run_id: str, files: Files, figures: Mapping[str, float]) -> None:
        """Write the figures into the run's file, and the files into the run's folder."""
        self._write_files(run_id, files)
        self._write(self._run(run_id), self.run(run_id) | {"curve": dict(figures)})

    def run_url(self, run_id: str) -> str | None:
        """There is no page to look at."""
        return None

    def run(self, run_id: str) -> dict[str, Any]:
        """What is known of a run; empty for one that is not known."""
        return self._read(self._run(run_id))

    def aliases(self, task: str) -> dict[str, str]:
        """The task's aliases and the versions they name."""
        return self._read(self.folder / "models" / f"{task}.json")

    def _write_files(self, run_id: str, files: Files) -> None:
        for name, text in files.items():
            path = self.folder / "runs" / run_id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _run(self, run_id: str) -> Path:
        return self.folder / "runs" / f"{run_id}.json"

    def _read(self, path: Path) -> dict[str, Any]:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(value, indent=2, sort_keys=True), encoding="utf-8")
        unfinished.replace(path)
