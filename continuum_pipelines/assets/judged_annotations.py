"""The second asset: what is thought of the interactions."""

import dagster as dg

from continuum.annotation.annotator import Annotator
from continuum_pipelines.handover import materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.plots import bar_plot
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.tables import counts_table, markdown


@dg.asset(partitions_def=tasks, deps=["raw_interactions"], automation_condition=bootstrap, kinds={"openai"})
async def judged_annotations(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The judge's opinion of each interaction, by the task's rubric and within its budget.

    What people said stays beside it and is never averaged in; a task without a judge learns from people's verdicts alone.
    """
    opened, task = store.build(), context.partition_key
    policy, verdicts = opened.tasks.get(task).policy, opened.feedback.count(task)
    if not policy.judge.model:
        return materialized(f"human verdicts only ({verdicts})", {"human_verdicts": verdicts})
    if not policy.auto_annotate:
        status = f"auto_annotate is off: {verdicts} human verdicts; annotate with: continuum annotate {task}"
        return materialized(status, {"human_verdicts": verdicts, "annotations": opened.annotations.count(task)})
    stats = await Annotator.for_task(policy, store=opened).annotate_backlog(task=task, on_progress=log_progress(context))
    return materialized(
        f"{stats.total} judged for ${stats.cost_usd:.2f}" + (", the budget is spent" if stats.budget_exhausted else ""),
        {
            "judged": stats.total,
            "annotations": opened.annotations.count(task),
            "human_verdicts": verdicts,
            "cost_usd": stats.cost_usd,
            "judge": policy.judge.model,
            "unparseable": stats.unparseable,
            "suspected_injection": stats.suspected_injection,
            "score_histogram": counts_table("score", stats.score_histogram),
            "scores": markdown(bar_plot(stats.score_histogram, "how many interactions got which score")),
        },
    )
