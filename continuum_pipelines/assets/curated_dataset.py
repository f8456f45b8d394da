"""The third asset: what is worth learning."""

import dagster as dg

from continuum.curation.curator import DataCurator
from continuum.dataset_rows import FORMAT
from continuum.errors import NotEnoughData
from continuum_pipelines.checks import DATASET_CHECKS
from continuum_pipelines.claims import stand_down
from continuum_pipelines.datasets import checks_of, checks_of_newest, metadata_of
from continuum_pipelines.handover import materialized, waiting
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step


@dg.asset(
    partitions_def=tasks,
    deps=["judged_annotations"],
    automation_condition=bootstrap,
    check_specs=DATASET_CHECKS,
    kinds={"polars", "parquet"},
    code_version=f"format {FORMAT}",
)
@step
async def curated_dataset(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The training examples of one task: good, different from each other, none of them on the golden side.

    **Reads** the interactions of the task with what people and judges said of them, those that no version has learned yet.

    **Leaves** a version: Parquet files, a manifest and a card, named by a fingerprint of its content. The same inputs give the
    same version. A task with too little data waits, and the assets after this one wait with it.

    **When it is red**: *dataset_sealed* or a failed run says that something golden came in, and nothing is trained on it;
    *dataset_diverse* that the task's own models wrote too much of it; *duplicates* that examples repeat each other. The classes
    with many eligible rows and few selected ones are where more feedback would teach most.
    """
    opened, task = store.build(), context.partition_key
    policy, previous = opened.tasks.get(task).policy, opened.datasets.latest(task)
    if wait := stand_down(context, opened):
        return materialized(wait, idle=True, checks=checks_of_newest(opened, task))
    try:
        dataset = await DataCurator.for_task(policy, store=opened).build(
            task=task, time_window=policy.curation.time_window, on_progress=log_progress(context)
        )
    except NotEnoughData as shortage:
        what = {"what_is_missing": str(shortage)}
        return materialized(waiting(shortage), what, idle=True, checks=checks_of_newest(opened, task))
    return materialized(
        f"{dataset.name}: {len(dataset)} examples of {dataset.source_interactions} interactions",
        metadata_of(dataset, opened.datasets.get(dataset.fingerprint), previous),
        checks=checks_of(dataset),
        version=dataset.fingerprint,
    )
