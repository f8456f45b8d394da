"""The threshold sensor as one writes it first: five questions for each task, to the store and to Dagster."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from continuum.store.database import Store
from continuum_pipelines.claims import HOLDER, PARTITION_TAG, root_of
from continuum_pipelines.sensors import active_runs, decide


def tick(instance: dg.DagsterInstance, store: Store) -> list[object]:
    """Decide for each task by itself, as `enough_new_data` decides for all."""
    now, decided = datetime.now(UTC), []
    store.tasks.saw_driver("dagster")
    active = active_runs(instance)
    for task in sorted(set(instance.get_dynamic_partitions("task")) & set(store.tasks.names())):
        state = store.tasks.get(task)
        holder = state.claimed_by or ""
        if holder.startswith(HOLDER) and holder.removeprefix(HOLDER) not in {root_of(run) for run in active}:
            instance.get_run_by_id(holder.removeprefix(HOLDER))
        wanted = dg.AssetRecordsFilter(dg.AssetKey("raw_interactions"), asset_partitions=[task])
        awaits = not instance.fetch_materializations(wanted, limit=1).records
        decided.append(
            decide(
                store.tasks.get(task),
                new=store.interactions.count(task, after=state.trained_through),
                running=any(run.tags.get(PARTITION_TAG) == task for run in active),
                awaits_bootstrap=lambda awaits=awaits: awaits,
                now=now + timedelta(0),
            )
        )
    return decided
