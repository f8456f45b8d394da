"""The third asset: what is worth learning."""

from typing import TYPE_CHECKING

import dagster as dg

from continuum.curation.curator import DataCurator
from continuum.dataset import Dataset
from continuum.errors import NotEnoughData
from continuum_pipelines.checks import DATASET_CHECKS
from continuum_pipelines.claims import stand_down
from continuum_pipelines.datasets import checks_of, metadata_of
from continuum_pipelines.handover import materialized, waiting
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.plots import bar_plot
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step
from continuum_pipelines.tables import counts_table, histogram, markdown

if TYPE_CHECKING:
    from continuum.store.database import Store


@dg.asset(
    partitions_def=tasks,
    deps=["judged_annotations"],
    automation_condition=bootstrap,
    check_specs=DATASET_CHECKS,
    kinds={"polars", "parquet"},
)
@step
async def curated_dataset(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The training examples of one task: good, different from each other, none of them on the golden side.

    A task with too little data waits: nothing fails, and the assets after this one wait with it. Two checks say that nothing
    golden is in it, and that the task's own models did not write too much of it.
    """
    opened, task = store.build(), context.partition_key
    policy, previous = opened.tasks.get(task).policy, opened.datasets.latest(task)
    if wait := stand_down(context, opened):
        return materialized(wait, idle=True, checks=checks_of(_newest(opened, task)))
    try:
        dataset = await DataCurator.for_task(policy, store=opened).build(
            task=task, time_window=policy.curation.time_window, on_progress=log_progress(context)
        )
    except NotEnoughData as shortage:
        what = {"what_is_missing": str(shortage)}
        return materialized(waiting(shortage), what, idle=True, checks=checks_of(_newest(opened, task)))
    scores = histogram(example.score for example in dataset)
    record = opened.datasets.get(dataset.fingerprint)
    return materialized(
        f"{dataset.name}: {len(dataset)} examples of {dataset.source_interactions} interactions",
        {
            "examples": len(dataset),
            "source_interactions": dataset.source_interactions,
            "average_score": dataset.avg_score,
            "lowest_score": dataset.min_score,
            "intent_coverage": dataset.intent_coverage,
            "fingerprint": dataset.fingerprint,
            "dataset": dg.MetadataValue.path(record.uri) if record else None,
            "parent": previous.name if previous and previous.id != dataset.fingerprint else None,
            "score_histogram": counts_table("score", scores),
            "scores": markdown(bar_plot(scores, "how many examples have which score")),
            **metadata_of(dataset),
        },
        checks=checks_of(dataset),
    )


def _newest(store: "Store", task: str) -> Dataset | None:
    """The version there is, of which only the manifest is asked."""
    record = store.datasets.latest(task)
    return Dataset((), record.manifest) if record else None
