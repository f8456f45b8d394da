"""The first asset: what was captured."""

import dagster as dg

from continuum.gathering import gather
from continuum.signals.summary import summarise
from continuum_pipelines.handover import materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step
from continuum_pipelines.tables import counts_table


@dg.asset(partitions_def=tasks, automation_condition=bootstrap, kinds={"sqlalchemy"})
@step
def raw_interactions(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What the application captured of one task.

    The interactions are in the store already, put there by `@capture`, the gateway or an import. This asset brings in what killed
    processes left in the spool, deletes what is older than the task keeps, reads implicit signals from the log, weighs the people
    who gave verdicts, writes Parquet snapshots, and counts: all, those since the last turn, by model and by door.
    """
    opened, task = store.build(), context.partition_key
    gathered = gather(opened, task, on_progress=log_progress(context))
    traffic = summarise(opened, task)
    return materialized(
        f"{traffic.total} interactions, {traffic.new} new since the last turn",
        {
            "interactions": traffic.total,
            "new_interactions": traffic.new,
            "through": opened.interactions.last_sequence(task),
            "auto_train_when": opened.tasks.get(task).policy.auto_train_when,
            "rated_good": traffic.good,
            "rated_bad": traffic.bad,
            "by_model": counts_table("model", traffic.by_model),
            "by_door": counts_table("source", traffic.by_source),
            "by_status": counts_table("status", traffic.by_status),
            "by_variant": counts_table("variant", traffic.by_variant),
            **gathered.model_dump(exclude={"task"}),
            "database": repr(opened),
        },
    )
