"""The second asset: what is thought of the interactions."""

from contextlib import AsyncExitStack
from typing import Any

import dagster as dg

from continuum.annotation.ahead import is_anything_to_ask
from continuum.annotation.annotator import AnnotationStats
from continuum.annotation.money import Money
from continuum.annotation.rounds import annotate
from continuum.annotation.trust import Trust
from continuum_pipelines.checks import JUDGE_CHECKS
from continuum_pipelines.handover import materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.places import place_of_work
from continuum_pipelines.plots import bar_plot
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step
from continuum_pipelines.tables import counts_table, markdown
from continuum_pipelines.trust import checks_of, metadata_of


@dg.asset(
    partitions_def=tasks,
    deps=["raw_interactions"],
    automation_condition=bootstrap,
    check_specs=JUDGE_CHECKS,
    kinds={"openai"},
)
@step
async def judged_annotations(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The judge's opinion of each interaction, by the task's rubric and within its budget.

    **Reads** the interactions that have no annotation by this judge and rubric yet; each is asked about once.

    **Leaves** scores from 1 to 5 with their reasons. What people said stays beside them and is never averaged in; a task without
    a judge learns from people's verdicts alone.

    **When it is red**: *judge_calibrated* wants labels of people (`continuum label`); *judge_drift* and *judge_gamed* say that
    the scores mean something else than they did; *budget_kept* that more was charged than the task may spend. A spent budget or
    an endpoint that is away is no failure: what was scored is kept, and the rest is done the next time.
    """
    opened, task = store.build(), context.partition_key
    policy, verdicts = opened.tasks.get(task).policy, opened.feedback.count(task)
    if not policy.judge.model or not policy.auto_annotate:
        trust, money, annotations = Trust.of(opened, task), Money.of(opened, policy), opened.annotations.count(task)
        status = f"human verdicts only ({verdicts})"
        if policy.judge.model:
            status = f"auto_annotate is off: {verdicts} human verdicts; annotate with: continuum annotate {task}"
        known = {"human_verdicts": verdicts, "annotations": annotations, **metadata_of(trust, money)}
        return materialized(status, known, checks=checks_of(trust, money))
    async with AsyncExitStack() as held:
        if is_anything_to_ask(opened, policy):
            await held.enter_async_context(place_of_work(context, "judging"))
        done = await annotate(opened, policy, on_progress=log_progress(context))
    for trouble in done.troubles:
        context.log.warning(trouble)
    trust, money, stats = Trust.of(opened, task), Money.of(opened, policy), done.stats
    return materialized(
        done.words(),
        {
            "annotations": opened.annotations.count(task),
            "human_verdicts": verdicts,
            "cost_usd": round(done.cost_usd, 6),
            "judge": policy.judge.model,
            **(backlog_metadata(stats) if stats else {}),
            **metadata_of(trust, money),
        },
        checks=checks_of(trust, money),
    )


def backlog_metadata(stats: AnnotationStats) -> dict[str, Any]:
    """How the backlog stands."""
    return {
        "scored": stats.total,
        "judged": stats.judged,
        "unparseable": stats.unparseable,
        "suspected_injection": stats.suspected_injection,
        "not_applicable": stats.not_applicable,
        "floored": stats.floored,
        "scores": markdown(bar_plot(stats.score_histogram, "interactions by score, 1 to 5")),
        "score_histogram": counts_table("score", stats.score_histogram),
    }
