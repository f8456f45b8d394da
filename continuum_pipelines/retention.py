"""Letting go in Dagster: whose interactions are too old or erased, and the work of deleting them where nothing is captured."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from continuum.gathering import let_go
from continuum_pipelines.explaining import Reason
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.tasks import TaskState


class RetentionOfAll:
    """Which tasks may have something to let go, read for all of them at once.

    Args:
        store: where the tasks are.
        now: the moment.
    """

    def __init__(self, store: "Store", now: datetime) -> None:
        self._now = now
        self._oldest = store.overview.oldest_interactions()
        self._versions, self._stale = store.overview.dataset_versions(), store.overview.stale_snapshots()

    def why(self, state: "TaskState") -> str | Reason:
        """Why a run should look, or the reason why not."""
        keeps, oldest = state.policy.capture.retention_days, self._oldest.get(state.name)
        if keeps is not None and oldest is not None and oldest < self._now - timedelta(days=keeps):
            return f"its oldest interaction began {(self._now - oldest).days} days ago, and it keeps {keeps:g}"
        if stale := self._stale.get(state.name):
            return f"{stale} of its snapshots hold what was changed or deleted since"
        if versions := self._versions.get(state.name):
            return f"its {versions} dataset versions are looked through for what was erased"
        kept = "keeps everything" if keeps is None else f"keeps {keeps:g} days"
        held = "has no interaction" if oldest is None else f"has none older than {(self._now - oldest).days} days"
        return Reason(f"it {kept}, {held} and 0 dataset versions", "with nothing to let go")


@dg.op
@step
def applied_retention(context: dg.OpExecutionContext, store: StoreResource) -> None:
    """Deletes a task's interactions that are older than it keeps them, and takes what was erased out of its files."""
    gone = let_go(store.build(), context.partition_key)
    told = f"{gone.deleted} interactions were too old, {gone.kept_for_lineage} as old stay because a dataset version holds them"
    erased = f"{gone.golden_items_erased} golden items and {gone.trainings_erased} trainings held what was erased"
    context.log.info(f"{context.partition_key}: {told}; {erased}")
