"""Dagster's own queue of runs, which the watch of deployments does not stand in, and in which no kind of run takes every place.

Named in dagster.yaml. A model that does harm is taken back by the watch: it starts at once, however many trainings are under way
or queued. The other runs are told apart by a tag, whose limits are in dagster.yaml too.
"""

import dagster as dg
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

WATCH = "deployment_watch"
"""The job that is launched at once."""
LINE_TAG = "continuum/line"
"""Which line of the queue a run stands in; runs without it are limited as a whole."""
TURN, TRAINING, JUDGING = "turn", "training", "judging"
TRAINED, JUDGED = dg.AssetKey("lora_checkpoint"), dg.AssetKey("judged_annotations")


class PromptRunCoordinator(QueuedRunCoordinator):
    """Queues runs as Dagster does by default, but for the watch."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Queue a run by its line, or launch it where it is the watch."""
        run = context.dagster_run
        if run.status is not dg.DagsterRunStatus.NOT_STARTED:
            return super().submit_run(context)
        if run.job_name == WATCH:
            self._instance.launch_run(run.run_id, context.workspace)
        else:
            if line := line_of(run):
                self._instance.add_run_tags(run.run_id, {LINE_TAG: line})
            return super().submit_run(context)
        return self._instance.get_run_by_id(run.run_id) or run


def line_of(run: dg.DagsterRun) -> str | None:
    """Which line a run stands in; None for one that waits for no pool in its middle.

    `training` and `judging` wait for nothing but that pool, and do so in the queue; a `turn` may come to wait for both while it
    is under way.
    """
    chosen = run.asset_selection or frozenset()
    if chosen == {TRAINED}:
        return TRAINING
    if run.job_name == "annotation" or (JUDGED in chosen and TRAINED not in chosen):
        return JUDGING
    return TURN if run.job_name == "flywheel" or TRAINED in chosen else None
