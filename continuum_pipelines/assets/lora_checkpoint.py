"""The fourth asset: the tuned model."""

import dagster as dg

from continuum.dataset import Dataset
from continuum.errors import NotEnoughData
from continuum.provenance.line import already_trained, mark_learned
from continuum.training.trainer import Trainer
from continuum_pipelines.claims import training_claim
from continuum_pipelines.handover import idle_status, materialized, waiting
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.plots import line_plot
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.tables import link, markdown, rows_table


@dg.asset(
    partitions_def=tasks, deps=["curated_dataset"], automation_condition=bootstrap, pool="training", kinds={"pytorch", "mlflow"}
)
async def lora_checkpoint(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """A LoRA adapter that goes on from the task's last one and is held near what that one knew.

    One model is trained at a time. Nothing is trained twice by one recipe on one dataset, nor while another driver turns it.
    """
    opened, task = store.build(), context.partition_key
    policy = opened.tasks.get(task).policy
    dataset = opened.datasets.latest(task)
    idle = idle_status(context, "curated_dataset")
    if idle or dataset is None:
        return materialized(idle or "waiting for a dataset", idle=True)
    with training_claim(context, opened) as held:
        if held:
            return materialized(f"left to another driver: {held}", idle=True)
        if known := already_trained(opened, dataset, policy):
            mark_learned(opened, dataset)
            # A run that died before the guard spoke goes on to the guard.
            return materialized(
                f"up to date: {known.name} has learned {dataset.name}", idle=bool(opened.verdicts.latest(known.id))
            )
        runs = tracker.build()
        trainer = Trainer.for_task(policy, store=opened, tracker=runs)
        try:
            result = await trainer.train(Dataset.read(dataset.uri), on_progress=log_progress(context))
        except NotEnoughData as shortage:
            return materialized(waiting(shortage), {"what_is_missing": str(shortage)}, idle=True)
        mark_learned(opened, dataset)
    model = result.model
    return materialized(
        f"{model.name}: loss {result.initial_loss:.3f} to {result.final_loss:.3f}",
        {
            "checkpoint": model.id,
            "adapter": dg.MetadataValue.path(model.uri),
            "dataset": dataset.name,
            "parent": model.parent_id,
            "generation": model.generation,
            "base_model": model.base_model,
            "mlflow_run": link(runs.run_url(model.mlflow_run_id) if model.mlflow_run_id else None) or model.mlflow_run_id,
            "mlflow_version": model.mlflow_version,
            "metrics": rows_table([{"metric": name, "value": value} for name, value in sorted(result.metrics.items())]),
            "loss": markdown(line_plot([step["loss"] for step in result.history if "loss" in step], "training loss")),
        },
    )
