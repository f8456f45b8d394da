"""The first asset: what was captured."""

import dagster as dg

from continuum_pipelines.handover import materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.tables import counts_table


@dg.asset(partitions_def=tasks, automation_condition=bootstrap, kinds={"sqlalchemy"})
def raw_interactions(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What the application captured of one task.

    The interactions are in the store already, put there by `@capture`, the gateway or an import. This asset counts them: all,
    those since the last turn, by model and by the door they came in by.
    """
    opened, task = store.build(), context.partition_key
    state = opened.tasks.get(task)
    through = opened.interactions.last_sequence(task)
    total, new = opened.interactions.count(task), opened.interactions.count(task, after=state.trained_through, through=through)
    return materialized(
        f"{total} interactions, {new} new since the last turn",
        {
            "interactions": total,
            "new_interactions": new,
            "through": through,
            "auto_train_when": state.policy.auto_train_when,
            "by_model": counts_table("model", opened.interactions.counts_by(task, "model")),
            "by_door": counts_table("source", opened.interactions.counts_by(task, "source")),
            "by_status": counts_table("status", opened.interactions.counts_by(task, "status")),
            "database": repr(opened),
        },
    )
