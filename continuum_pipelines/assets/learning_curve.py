"""The seventh asset: how far the task has come."""

import dagster as dg

from continuum.analytics.curve import LearningCurve
from continuum_pipelines.curves import drawn_of
from continuum_pipelines.handover import idle_status, materialized
from continuum_pipelines.measured import metadata_of, page_of, status_of
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.steps import step


@dg.asset(partitions_def=tasks, deps=["deployment"], automation_condition=bootstrap, kinds={"scipy"})
@step
async def learning_curve(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """What each of the task's models gained over the last, whether that is real, what it cost, and where it is heading.

    **Reads** the production model, every checkpoint of the task and its newest golden dataset; answers and judgements that were
    asked for before are not asked for again. Cost, latency, forgetting and what people say are read from traffic, verdicts and
    labels.

    **Leaves** the mean of each metric for each model with its 95% interval, *in_short* whether the newest version is better and
    than what, what each turn gained and cost, promoted gains without the winner's curse, and a page with all of it, which is also
    `learning_curve.html` of the newest version's run in MLflow. Scores run from 0 to 1.

    **When it is red**: a model could not be loaded, or a judge not be asked; what was asked is kept, so run it again. A curve
    that falls says what the last turns cost: see *known* in the checkpoint.
    """
    opened, task = store.build(), context.partition_key
    if idle := idle_status(context, "deployment") or (None if opened.checkpoints.of(task) else "waiting for a checkpoint"):
        # The curve is what it was: what it was drawn of stays known.
        return materialized(idle, idle=True, version=drawn_of(context.instance, [task]).get(task))
    learned = opened.overview.learned()[task]
    curve = await LearningCurve.compute(
        task, store=opened, limit=opened.tasks.get(task).policy.splits.max_golden, on_progress=log_progress(context)
    )
    page, runs = curve.report(page_of(task)), tracker.build()
    run = curve.log(runs, store=opened)
    return materialized(status_of(curve), metadata_of(curve, page, run, runs), version=learned.fingerprint)
