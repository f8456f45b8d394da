"""The trainer: a dataset in, a checkpoint out, with the line of adapters behind it found and continued.

Light to import; torch starts when `train` is called.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.config import load_settings
from continuum.constitution.constraints import constraint_for
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError, MissingExtra, NotEnoughData, StoreError
from continuum.ids import new_id
from continuum.policy import FineTuneConfig, TaskPolicy
from continuum.progress import Progress, silent
from continuum.provenance.artifacts import verify_artifact
from continuum.provenance.line import head_of_line
from continuum.records import Checkpoint
from continuum.store import default_store
from continuum.tracking.tracker import Tracker, open_tracker

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.training.loop import FitReport, Job

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
    """For each step: step, loss, learning_rate, and ewc_penalty where one was applied."""


class Trainer:
    """Incremental fine-tuning of one LoRA adapter per task, held near what it has learned.

    Args:
        base_model: a local path or a hub id; None for the task's, or the environment's.
        config: the fine-tuning run.
        store: where checkpoints are kept; None for the process's own.
        tracker: where the run is logged; None for MLflow at the process's tracking URI.
        parent: the checkpoint to continue, itself or by id or name; None for a new line; by default the task's champion, else
            the newest checkpoint that has a verdict and is not blocked.

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
    ) -> None:
        self.base_model = base_model
        self.config = config
        self.store = store
        self.tracker = tracker
        self.parent = parent
        self.constraints = tuple(constraint_for(text) for text in config.constitutional_constraints)

    @classmethod
    def for_task(cls, policy: TaskPolicy, *, store: "Store | None" = None, tracker: Tracker | None = None) -> "Trainer":
        """The trainer that a task's policy asks for."""
        return cls(policy.base_model, policy.training, store=store, tracker=tracker)

    async def train(self, dataset: Dataset, on_progress: Progress = silent) -> TrainingResult:
        """Fine-tune on the dataset's training rows and store the checkpoint.

        Args:
            dataset: what `DataCurator.build` made; its validation rows are measured, never trained on.
            on_progress: called after each step, from another thread.

        Raises:
            ConfigurationError: there is no base model, the parent does not fit, or the dataset holds golden items.
            NotEnoughData: the dataset has no training rows.
            TrainingDiverged: the loss stopped being a number.
            StoreError: the parent's artifact is not what was written.
            MissingExtra: the training extra is not installed.
        """
        return await asyncio.to_thread(self._train, dataset, on_progress)

    def _train(self, dataset: Dataset, on_progress: Progress) -> TrainingResult:
        store = self.store or default_store()
        policy = store.tasks.get(dataset.task).policy if dataset.task in store.tasks.names() else TaskPolicy(task=dataset.task)
        golden = store.datasets.member_ids(dataset.task, "golden")
        _refuse_golden(dataset, golden)
        if not dataset.split("train"):
            raise NotEnoughData(f"the dataset {dataset.name!r} has 0 training rows, at least 1 is needed; curate more examples")
        base_model = self._base_model(policy)
        parent = self._parent(store, dataset.task, base_model)
        _mention_terms(store, dataset, policy)
        checkpoint_id = new_id()
        job = self._job(dataset, base_model, parent, checkpoint_id, golden)
        report = _fit(job, on_progress)
        checkpoint = Checkpoint(
            id=checkpoint_id,
            task=dataset.task,
            version=store.checkpoints.next_version(dataset.task),
            base_model=base_model,
            uri=str(job.folder),
            dataset_id=dataset.fingerprint,
            parent_id=parent.id if parent else None,
            generation=parent.generation + 1 if parent else 1,
            manifest=report.manifest,
            metrics=_metrics(report),
            config=self.config.model_dump(mode="json"),
        )
        checkpoint = self._recorded(store, checkpoint, report)
        return TrainingResult(
            epochs_completed=int(self.config.epochs) if self.config.epochs == int(self.config.epochs) else self.config.epochs,
            initial_loss=report.initial_loss,
            final_loss=report.final_loss,
            model=checkpoint,
            metrics=checkpoint.metrics,
            mlflow_run_id=checkpoint.mlflow_run_id,
            history=report.history,
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

    def _job(self, dataset: Dataset, base_model: str, parent: Checkpoint | None, checkpoint_id: str, golden: set[str]) -> "Job":
        try:
            from continuum.training.loop import Job  # torch, transformers, peft and trl start here
        except ImportError as error:
            raise MissingExtra.of(error, "Training") from error
        if parent is not None:
            verify_artifact(parent.uri, parent.manifest)
        return Job(
            base_model=base_model,
            config=self.config,
            train=tuple(dataset.split("train")),
            validation=tuple(dataset.split("validation")),
            constraints=self.constraints,
            parent=Path(parent.uri) if parent else None,
            forbidden=frozenset(golden),
            folder=load_settings().checkpoints_dir / dataset.task / checkpoint_id,
            origin={
                "task": dataset.task,
                "base_model": base_model,
                "dataset": dataset.fingerprint,
                "parent": parent.id if parent else None,
                "parent_manifest": parent.manifest if parent else None,
            },
        )

    def _recorded(self, store: "Store", checkpoint: Checkpoint, report: "FitReport") -> Checkpoint:
        """Log and store the checkpoint; another training of the task may have taken its version meanwhile."""
        try:
            logged = (self.tracker or open_tracker(load_settings())).log_training(checkpoint, report.history)
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


def _fit(job: "Job", on_progress: Progress) -> "FitReport":
    from continuum.training.loop import fit

    return fit(job, on_progress)


def _refuse_golden(dataset: Dataset, golden: set[str]) -> None:
    for example in dataset:
        if example.interaction_id in golden:
            raise ConfigurationError(
                f"the dataset {dataset.name!r} holds {example.interaction_id!r}, which is in the golden set of {dataset.task!r}; "
                "what is trained on cannot measure; build the dataset again"
            )


def _mention_terms(store: "Store", dataset: Dataset, policy: TaskPolicy) -> None:
    if policy.provider_terms_accepted:
        return
    models = sorted(model for model in store.interactions.counts_by(dataset.task, "model") if model)
    if models:
        logger.warning(
            "training on answers of %s; the terms of some providers forbid that. Read them, then set provider_terms_accepted "
            "in the policy of task %r",
            ", ".join(models),
            dataset.task,
        )


def _metrics(report: "FitReport") -> dict[str, float]:
    values: dict[str, Any] = {
        "initial_loss": report.initial_loss,
        "final_loss": report.final_loss,
        "initial_validation_loss": report.initial_validation_loss,
        "final_validation_loss": report.final_validation_loss,
        "steps": report.steps,
        "replayed_examples": report.replayed,
        "probe_examples": report.probes,
        "ewc_penalty": report.ewc_penalty,
        "fisher_trace": report.fisher_trace,
        "seconds": report.seconds,
    }
    return {name: float(value) for name, value in values.items() if value is not None}
