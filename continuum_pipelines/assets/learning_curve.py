"""The seventh asset: how far the task has come."""

import dagster as dg

from continuum.analytics.arms import NEAREST, PRODUCTION
from continuum.analytics.curve import LearningCurve
from continuum_pipelines.curves import drawn_of
from continuum_pipelines.handover import idle_status, materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.plots import means_plot
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step
from continuum_pipelines.tables import markdown, rows_table


@dg.asset(partitions_def=tasks, deps=["deployment"], automation_condition=bootstrap, kinds={"scipy"})
@step
async def learning_curve(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What each of the task's models gained over the last, on the same held-out questions, and what a query costs.

    **Reads** the production model, every checkpoint of the task and its newest golden dataset; answers that were asked for before
    are not asked for again.

    **Leaves** the mean of each metric for each model with its 95% interval, and the cost of a query.

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
    first = curve.metrics[0]
    rows = [
        {"model": point.model, "metric": metric, "mean": found.mean, "low": found.low, "high": found.high, "items": found.items}
        for point in curve.points
        for metric, found in point.means.items()
    ]
    means = {point.model: point.means[first] for point in curve.points if first in point.means}
    return materialized(
        f"{first}: " + ", ".join(f"{model} {found.mean:.2f}" for model, found in means.items()),
        {
            "golden_dataset": curve.golden,
            "items": curve.items,
            "judge": curve.judge,
            "scores": rows_table(rows),
            "curve": markdown(means_plot(means, f"{first} by model", line=means.keys() - {PRODUCTION, NEAREST})),
            "summary": markdown(curve.to_markdown()),
        },
        version=learned.fingerprint,
    )
