"""The trainer: a dataset in, a checkpoint out, with the line of adapters behind it found and continued.

Light to import: torch starts in the worker, which is a process of its own.
"""

import logging
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.artifacts.copies import local
from continuum.artifacts.places import is_remote
from continuum.artifacts.publishing import publish
from continuum.config import load_settings
from continuum.constitution.constraints import Constraint, constraint_for
from continuum.constitution.filtering import Violation
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError, StoreError, TrainingInterrupted
from continuum.fine_tuning import FineTuneConfig
from continuum.ids import new_id
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.provenance.artifacts import verify_artifact
from continuum.provenance.line import head_of_line
from continuum.provenance.revisions import base_revision
from continuum.provenance.terms import require_terms
from continuum.records import Checkpoint
from continuum.store import default_store
from continuum.tracking.tracker import Tracker, open_tracker
from continuum.training.forgetting_report import ForgettingReport, forgetting_report
from continuum.training.job import FitReport, Job, input_hashes, read_job, read_report, write_job
from continuum.training.launch import Launcher, open_launcher, stoppable
from continuum.training.preparing import Prepared, prepare

if TYPE_CHECKING:
    from continuum.store.database import Store

logger = logging.getLogger(__name__)

CHAMPION = "champion"
"""The parent is found in the store: the champion, or the newest checkpoint that the guard has not blocked."""


@dataclass(frozen=True)
class TrainingResult:
    """How a fine-tuning went. Losses are mean nats per answer token on the training rows, measured alike before and after."""

    epochs_completed: float
    initial_loss: float
    final_loss: float
    model: Checkpoint
    metrics: dict[str, float]
    mlflow_run_id: str | None
    history: tuple[dict[str, float], ...] = field(default=(), repr=False)
    """For each step: step, loss, learning_rate, and ewc_penalty and l2_distance where something is held."""
    forgetting: ForgettingReport | None = field(default=None, repr=False)
    """What was kept and what was lost of everything learned before, general skills and constraints included."""
    violations: tuple[Violation, ...] = field(default=(), repr=False)
    """Training rows that break a constraint, and were left out unless the configuration keeps them."""
    report: FitReport | None = field(default=None, repr=False)
    """All that the worker measured."""


class Trainer:
    """Incremental fine-tuning of one LoRA adapter per task, held near what it has learned.

    Args:
        base_model: a local path or a hub id; None for the task's, or the environment's.
        config: the fine-tuning run.
        store: where checkpoints are kept; None for the process's own.
        tracker: where the run is logged; None for MLflow at the process's tracking URI.
        parent: the checkpoint to continue, itself or by id or name; None for a new line; by default the task's champion, else
            the newest checkpoint that has a verdict and is not blocked.
        constraints: constraints with probes and a check of your own, beside those that the configuration names.
        launcher: how the worker is started; a child process, or as CONTINUUM_TRAINER says, where none is given.

    Raises:
        ConfigurationError: a constitutional constraint has no probes.
    """

    def __init__(
        self,
        base_model: str | None = None,
        config: FineTuneConfig = FineTuneConfig(),  # noqa: B008 - frozen
        *,
        store: "Store | None" = None,
        tracker: Tracker | None = None,
        parent: Checkpoint | str | None = CHAMPION,
        constraints: Sequence[Constraint] = (),
        launcher: Launcher | None = None,
    ) -> None:
        self.base_model = base_model
        self.config = config
        self.store = store
        self.tracker = tracker
        self.parent = parent
        self.launcher = launcher
        home = load_settings().home
        self.constraints = (*(constraint_for(text, home) for text in config.constitutional_constraints), *constraints)

    @classmethod
    def for_task(
        cls,
        policy: TaskPolicy,
        *,
        store: "Store | None" = None,
        tracker: Tracker | None = None,
        launcher: Launcher | None = None,
    ) -> "Trainer":
        """The trainer that a task's policy asks for."""
        return cls(policy.base_model, policy.training, store=store, tracker=tracker, launcher=launcher)

    async def train(self, dataset: Dataset, on_progress: Progress = silent) -> TrainingResult:
        """Fine-tune on the dataset's training rows and store the checkpoint.

        A training that was killed goes on from its last state when it is asked for again: same dataset, parent and configuration.

        Args:
            dataset: what `DataCurator.build` made; its validation rows are measured, never trained on.
            on_progress: called after each step, from another thread.

        Raises:
            ConfigurationError: there is no base model, the parent does not fit, the dataset holds golden items, or a batch does
                not fit in memory.
            TermsNotAccepted: it would learn from another provider's answers, and the task's policy does not say that it may.
            NotEnoughData: the dataset has no training rows, or none that keeps the constraints.
            TrainingDiverged: the loss stopped being a number, or ran away.
            TrainingInterrupted: the worker was stopped; the same call goes on.
            StoreError: the parent's artifact is not what was written, or the disk is full.
            MissingExtra: the training extra is not installed.
        """
        return await stoppable(lambda stop: self._train(dataset, on_progress, stop))

    def _train(self, dataset: Dataset, on_progress: Progress, stop: threading.Event) -> TrainingResult:
        store = self.store or default_store()
        policy = store.tasks.get(dataset.task).policy if dataset.task in store.tasks.names() else TaskPolicy(task=dataset.task)
        golden = store.datasets.member_ids(dataset.task, "golden")
        _refuse_golden(dataset, golden)
        base_model = self._base_model(policy)
        parent = self._parent(store, dataset.task, base_model)
        require_terms(store, dataset, policy)
        if parent is not None:
            verify_artifact(parent.uri, parent.manifest)
        prepared = prepare(store, dataset, self.config, constraints=self.constraints, parent=parent, golden=golden)
        _mention_what_is_left_out(dataset, prepared)
        ewc = self.config.forgetting_prevention
        if parent is not None and ewc.enabled and ewc.budget is not None and not prepared.inputs.earlier:
            logger.warning(
                "no earlier dataset of %s has validation rows, so the budget cannot be measured: lambda_ewc=%g is taken as it is",
                dataset.task,
                ewc.lambda_ewc,
            )
        job, folder = self._job(dataset, base_model, parent, prepared)
        (self.launcher or open_launcher(load_settings())).launch(folder, on_progress, stop)
        report = read_report(folder)
        if report is None:
            raise TrainingInterrupted(f"the worker left no report in {folder}; call train again to go on from its last state")
        verify_artifact(job.artifact, report.manifest)
        _mention_what_went_wrong(dataset, report)
        name = Path(job.artifact).name
        checkpoint = Checkpoint(
            id=name,
            task=dataset.task,
            version=store.checkpoints.next_version(dataset.task),
            base_model=base_model,
            uri=publish(Path(job.artifact), "checkpoints", dataset.task, name),
            dataset_id=dataset.fingerprint,
            parent_id=parent.id if parent else None,
            generation=parent.generation + 1 if parent else 1,
            manifest=report.manifest,
            metrics=_metrics(report, prepared),
            config=self.config.model_dump(mode="json"),
        )
        forgetting = forgetting_report(store, checkpoint, self.constraints)
        checkpoint = checkpoint.model_copy(update={"metrics": checkpoint.metrics | forgetting.metrics()})
        checkpoint = self._recorded(store, checkpoint, report, forgetting)
        shutil.rmtree(folder, ignore_errors=True)
        if is_remote(checkpoint.uri):
            # What others fetch lies elsewhere, and a copy of it where this machine reads it.
            shutil.rmtree(job.artifact, ignore_errors=True)
        return TrainingResult(
            epochs_completed=_whole(min(report.epochs, self.config.epochs)),
            initial_loss=report.initial_loss,
            final_loss=report.final_loss,
            model=checkpoint,
            metrics=checkpoint.metrics,
            mlflow_run_id=checkpoint.mlflow_run_id,
            history=report.history,
            forgetting=forgetting,
            violations=prepared.violations,
            report=report,
        )

    def _base_model(self, policy: TaskPolicy) -> str:
        base_model = self.base_model or policy.base_model or load_settings().base_model
        if not base_model:
            raise ConfigurationError(
                f"no base model for task {policy.task!r}; give Trainer(base_model=...) a local path or a hub id, set "
                f"CONTINUUM_BASE_MODEL, or build a small one with: continuum base build --task {policy.task}"
            )
        # The adapter remembers its base by this name, and must find it from any folder.
        return str(Path(base_model).resolve()) if Path(base_model).is_dir() else base_model

    def _parent(self, store: "Store", task: str, base_model: str) -> Checkpoint | None:
        if self.parent == CHAMPION:
            parent = head_of_line(store, task)
        elif isinstance(self.parent, str):
            parent = store.checkpoints.get(self.parent)
            if parent is None:
                raise ConfigurationError(f"there is no checkpoint {self.parent!r} to continue")
        else:
            parent = self.parent
        if parent is not None and parent.base_model != base_model:
            raise ConfigurationError(
                f"{parent.name} was trained on {parent.base_model!r} and cannot be continued on {base_model!r}; "
                "use its base model, or start a new line with parent=None"
            )
        return parent

    def _job(self, dataset: Dataset, base_model: str, parent: Checkpoint | None, prepared: Prepared) -> tuple[Job, Path]:
        """The job and its folder: the one of an earlier attempt, where the same work was begun and not finished."""
        settings = load_settings()
        job = Job(
            task=dataset.task,
            base_model=base_model,
            base_revision=base_revision(base_model),
            config=self.config,
            dataset=dataset.fingerprint,
            parent=str(local(parent.uri)) if parent else None,
            parent_id=parent.id if parent else None,
            parent_manifest=parent.manifest if parent else None,
            origin={"rows": prepared.counts},
            artifact=str(settings.checkpoints_dir / dataset.task / new_id()),
        )
        job = job.model_copy(update={"inputs": input_hashes(prepared.inputs)})
        folder = settings.training_dir / dataset.task / job.key[:16]
        try:
            return _begun(folder), folder
        except StoreError:
            shutil.rmtree(folder, ignore_errors=True)
        # Written beside its place: whoever asks for the same training at the same moment finds all of it or nothing.
        fresh = folder.with_name(f"{folder.name}-{new_id()}")
        try:
            write_job(fresh, job, prepared.inputs)
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return _begun(folder), folder

    def _recorded(self, store: "Store", checkpoint: Checkpoint, report: FitReport, forgetting: ForgettingReport) -> Checkpoint:
        """Log and store the checkpoint; another training of the task may have taken its version meanwhile."""
        try:
            logged = (self.tracker or open_tracker(load_settings())).log_training(
                checkpoint, report.history, forgetting.files(report.history)
            )
            checkpoint = checkpoint.model_copy(update={"mlflow_run_id": logged.run_id, "mlflow_version": logged.version})
        except StoreError as error:
            # Hours of training must not be lost to a tracking server that is down.
            logger.warning("%s is stored but not logged: %s", checkpoint.name, error)
        for _ in range(10):
            store.checkpoints.add(checkpoint)
            if store.checkpoints.get(checkpoint.id) is not None:
                return checkpoint
            checkpoint = checkpoint.model_copy(update={"version": store.checkpoints.next_version(checkpoint.task)})
        raise StoreError(
            f"no version number could be had for a checkpoint of {checkpoint.task!r}; its artifact is {checkpoint.uri}"
        )


def _whole(epochs: float) -> float:
    """3 rather than 3.0: what a person asked for; the last batch of a run may go a little beyond it."""
    return int(epochs) if epochs == int(epochs) else epochs


def _refuse_golden(dataset: Dataset, golden: set[str]) -> None:
    for example in dataset:
        if example.interaction_id in golden:
            raise ConfigurationError(
                f"the dataset {dataset.name!r} holds {example.interaction_id!r}, which is in the golden set of {dataset.task!r}; "
                "what is trained on cannot measure; build the dataset again"
            )


def _begun(folder: Path) -> Job:
    """The job of an earlier attempt; refused where its artifact, once written, is no longer there as it was."""
    job, _ = read_job(folder)
    report = read_report(folder)
    if report is not None:
        verify_artifact(job.artifact, report.manifest)
    return job


def _mention_what_is_left_out(dataset: Dataset, prepared: Prepared) -> None:
    if prepared.violations:
        by_constraint = Counter(violation.constraint for violation in prepared.violations)
        logger.warning(
            "%d training rows of %s break a constitutional constraint: %s",
            len(prepared.violations),
            dataset.name,
            ", ".join(f"{text!r} {count}" for text, count in sorted(by_constraint.items())),
        )
    if prepared.unfiltered:
        logger.warning("only a judge can tell whether rows keep %s: none is left out for it", ", ".join(prepared.unfiltered))
    if prepared.unmeasured:
        logger.warning("forgetting of %s is not measured: its files are gone", ", ".join(prepared.unmeasured))


def _mention_what_went_wrong(dataset: Dataset, report: FitReport) -> None:
    if report.final_loss > report.initial_loss:
        logger.warning(
            "the loss on %s rose from %.3f to %.3f: the model is worse than before; lower learning_rate",
            dataset.name,
            report.initial_loss,
            report.final_loss,
        )


def _metrics(report: FitReport, prepared: Prepared) -> dict[str, float]:
    values: dict[str, Any] = {
        "initial_loss": report.initial_loss,
        "final_loss": report.final_loss,
        "initial_validation_loss": report.initial_validation_loss,
        "final_validation_loss": report.final_validation_loss,
        "steps": report.steps,
        "replayed_examples": report.replayed,
        "probe_examples": report.probes,
        "general_examples": report.general,
        "preference_examples": report.preferences,
        "violating_examples": len(prepared.violations),
        "lambda_ewc": report.lambda_ewc,
        "ewc_penalty": report.ewc_penalty,
        "l2_distance": report.l2_distance,
        "fisher_trace": report.fisher_trace,
        "seconds": report.seconds,
    }
    return {name: float(value) for name, value in values.items() if value is not None}
