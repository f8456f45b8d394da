"""What can be run by name."""

import dagster as dg

from continuum_pipelines.anchors import rejudged_anchors
from continuum_pipelines.partitions import tasks
from continuum_pipelines.retention import applied_retention

flywheel = dg.define_asset_job(
    "flywheel",
    selection=dg.AssetSelection.all(),
    executor_def=dg.in_process_executor,
    description="One whole turn of a task: from its interactions to the model that serves the next ones.",
)

annotation = dg.define_asset_job(
    "annotation",
    selection=dg.AssetSelection.assets("raw_interactions", "judged_annotations"),
    executor_def=dg.in_process_executor,
    description="Judge what a task has captured since the last time.",
)

curve = dg.define_asset_job(
    "curve",
    selection=dg.AssetSelection.assets("learning_curve"),
    executor_def=dg.in_process_executor,
    description="Draw a task's learning curve anew.",
)


@dg.job(partitions_def=tasks, executor_def=dg.in_process_executor)
def retention() -> None:
    """Delete what is older than a task keeps it, and take what was erased out of its files."""
    applied_retention()


@dg.job(partitions_def=tasks, executor_def=dg.in_process_executor)
def anchors() -> None:
    """Judge a task's frozen anchors again, where they are due, to see whether the judge has changed."""
    rejudged_anchors()
