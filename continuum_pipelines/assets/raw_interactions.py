"""The first asset: what was captured."""

import dagster as dg

from continuum.gathering import gather
from continuum.signals.summary import summarise
from continuum_pipelines.captures import checks_of, metadata_of
from continuum_pipelines.checks import CAPTURE_CHECKS
from continuum_pipelines.handover import materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step


@dg.asset(partitions_def=tasks, automation_condition=bootstrap, check_specs=CAPTURE_CHECKS, kinds={"parquet"})
@step
def raw_interactions(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What the application captured of one task.

    **Reads** the store, where `@capture`, the gateway or an import put the interactions, and this machine's spool.

    **Leaves** the spool of dead processes stored, what is older than the task keeps deleted, implicit signals read from the log,
    the people who gave verdicts weighed, Parquet snapshots by day, and counts: all, those since the last turn, by model and door.

    **When it is red**: *spool_lag* says that captures do not reach the store, which is nearly always a store that is away; a
    failed run says what could not be read or written. Nothing is lost: captures wait on disk, and the next run takes them up.
    """
    opened, task = store.build(), context.partition_key
    gathered = gather(opened, task, on_progress=log_progress(context))
    traffic, through = summarise(opened, task), opened.interactions.last_sequence(task)
    return materialized(
        f"{traffic.total} interactions, {traffic.new} new since the last turn",
        {
            "interactions": traffic.total,
            "new_interactions": traffic.new,
            "through": through,
            "auto_train_when": opened.tasks.get(task).policy.auto_train_when,
            "rated_good": traffic.good,
            "rated_bad": traffic.bad,
            **metadata_of(opened, task, traffic),
            **gathered.model_dump(exclude={"task"}),
            "database": repr(opened),
        },
        checks=checks_of(opened),
        version=f"through {through}",
    )
