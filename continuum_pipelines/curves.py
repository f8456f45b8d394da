"""When a learning curve is drawn anew: what it was drawn of stands in its data version."""

from typing import TYPE_CHECKING

import dagster as dg

from continuum_pipelines.explaining import Reason

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.tasks import TaskState

DATA_VERSION = "dagster/data_version"
"""The one tag of materializations, beside those of partitions, by which Dagster's storage finds the newest of each partition."""
CURVE = dg.AssetKey("learning_curve")


def drawn_of(instance: dg.DagsterInstance, tasks: list[str] | None = None) -> dict[str, str]:
    """What the newest learning curves were drawn of, by task, in one query.

    Args:
        instance: Dagster's memory.
        tasks: whose; all when left out.
    """
    newest = instance.event_log_storage.get_latest_tags_by_partition(
        CURVE, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION], asset_partitions=tasks
    )
    return {task: tags[DATA_VERSION] for task, tags in newest.items() if DATA_VERSION in tags}


class CurvesOfAll:
    """Which tasks' curves are behind, read for all of them at once.

    Args:
        store: where models and golden datasets are.
        instance: Dagster's memory.
    """

    def __init__(self, store: "Store", instance: dg.DagsterInstance) -> None:
        self._learned, self._drawn = store.overview.learned(), drawn_of(instance)

    def why(self, state: "TaskState") -> str | Reason:
        """Why a task's curve should be drawn again, or the reason why not."""
        found = self._learned[state.name]
        if not found.checkpoints or found.golden is None:
            golden = "a golden dataset" if found.golden else "no golden dataset"
            return Reason(f"it has {found.checkpoints} models and {golden}", "without a model or a golden dataset")
        if self._drawn.get(state.name) == found.fingerprint:
            return Reason(
                f"its curve is of its {found.checkpoints} models and the newest golden dataset", "with a curve up to date"
            )
        return f"its models or its golden dataset are others than those of its curve ({found.checkpoints} models)"
