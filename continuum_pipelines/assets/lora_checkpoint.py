"""The fourth asset: the tuned model."""

from typing import TYPE_CHECKING

import dagster as dg

from continuum.dataset import Dataset
from continuum.errors import NotEnoughData
from continuum.provenance.line import already_trained, mark_learned
from continuum.provenance.terms import TermsNotAccepted
from continuum.records import Checkpoint
from continuum.training.trainer import Trainer
from continuum_pipelines.checks import TRAINING_CHECKS
from continuum_pipelines.claims import training_claim
from continuum_pipelines.handover import idle_status, materialized, waiting
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.places import PlacedLauncher
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.resources.training import TrainingResource
from continuum_pipelines.steps import step
from continuum_pipelines.tables import link
from continuum_pipelines.trainings import checks_of, metadata_of, name_of_parent

if TYPE_CHECKING:
    from continuum.store.database import Store


@dg.asset(
    partitions_def=tasks,
    deps=["curated_dataset"],
    automation_condition=bootstrap,
    check_specs=TRAINING_CHECKS,
    kinds={"pytorch", "mlflow"},
)
@step
async def lora_checkpoint(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource, training: TrainingResource
) -> dg.MaterializeResult:
    """A LoRA adapter that goes on from the task's last one and is held near what that one knew.

    **Reads** the newest dataset and the adapter at the head of the task's line. One model is trained at a time, in a process of
    its own, and a task with nothing to train waits for none; nothing is trained twice by one recipe on one dataset, nor while
    another driver turns the task.

    **Leaves** an adapter with its manifest, a run in MLflow, the loss by step, and what every version of the line still knows of
    what it learned: in the picture *known* a row is a version and a column what it was asked of, darker is better, and a column
    that fades on its way down was forgotten.

    **When it is red**: *constitution_kept* names questions that are answered against a constraint since; *forgetting_budget* says
    how much was lost of what earlier datasets taught. A run whose worker was killed goes on from its last state by itself; one
    that diverged wants a lower learning rate.
    """
    opened, task = store.build(), context.partition_key
    policy = opened.tasks.get(task).policy

    def idle(status: str, /, *, made_nothing: bool = True, **missing: str) -> dg.MaterializeResult:
        return materialized(status, missing, idle=made_nothing, checks=checks_of(opened, _newest(opened, task), status))

    dataset = opened.datasets.latest(task)
    status = idle_status(context, "curated_dataset")
    if status or dataset is None:
        return idle(status or "waiting for a dataset")
    with training_claim(context, opened) as held:
        if held:
            return idle(f"left to another driver: {held}")
        if known := already_trained(opened, dataset, policy):
            mark_learned(opened, dataset)
            # A run that died before the guard spoke goes on to the guard.
            judged = bool(opened.verdicts.latest(known.id))
            return idle(f"up to date: {known.name} has learned {dataset.name}", made_nothing=judged)
        runs = tracker.build()
        trainer = Trainer.for_task(policy, store=opened, tracker=runs, launcher=PlacedLauncher(context, training.build(context)))
        try:
            result = await trainer.train(Dataset.read(dataset.uri), on_progress=log_progress(context))
        except NotEnoughData as shortage:
            return idle(waiting(shortage), what_is_missing=str(shortage))
        except TermsNotAccepted as unanswered:
            return idle("waiting for provider_terms_accepted", what_is_missing=str(unanswered))
        mark_learned(opened, dataset)
    model = result.model
    status = f"{model.name}: loss {result.initial_loss:.3f} to {result.final_loss:.3f}"
    return materialized(
        status,
        {
            "checkpoint": model.id,
            "adapter": dg.MetadataValue.path(model.uri),
            "dagster/uri": model.uri,
            "dataset": f"{dataset.name} ({dataset.uri})",
            "parent": name_of_parent(opened, model),
            "generation": model.generation,
            "base_model": model.base_model,
            "mlflow_run": link(runs.run_url(model.mlflow_run_id) if model.mlflow_run_id else None) or model.mlflow_run_id,
            "mlflow_version": model.mlflow_version,
            **metadata_of(opened, result),
        },
        checks=checks_of(opened, model, status),
        version=model.id,
    )


def _newest(store: "Store", task: str) -> Checkpoint | None:
    return next(reversed(store.checkpoints.of(task)), None)
