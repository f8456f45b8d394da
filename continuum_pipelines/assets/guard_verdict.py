"""The fifth asset: whether the tuned model may serve."""

import dagster as dg

from continuum.guard.guard import RegressionGuard
from continuum_pipelines.checks import no_regression, regression_result
from continuum_pipelines.handover import idle_status, materialized
from continuum_pipelines.late_feedback import given_again
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.steps import step
from continuum_pipelines.verdicts import metadata_of


@dg.asset(
    partitions_def=tasks, deps=["lora_checkpoint"], automation_condition=bootstrap, check_specs=[no_regression], kinds={"scipy"}
)
@step
async def guard_verdict(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """The guard's word on the newest checkpoint, against what serves now, on questions no training has seen.

    **Reads** the candidate, the champion or production, and the golden dataset; both are asked the
    same questions and judged alike.

    **Leaves** a verdict, approved, blocked or inconclusive, with its evidence and a proof that can be verified. In the picture
    *forest* each line is a 95% interval of candidate less baseline, with a tick at what is allowed.

    **When it is red**: the candidate is blocked, which is a good answer and not a failed run: the previous model stays. *checks*
    says what got worse. An inconclusive verdict says how many golden examples would decide.

    Verdicts that were given on golden items of which people say otherwise since are given again first.
    """
    opened, task = store.build(), context.partition_key
    alone, again = await given_again(context, opened, tracker)
    candidate = next(reversed(opened.checkpoints.of(task)), None)
    idle = alone or idle_status(context, "lora_checkpoint")
    champion = opened.deployments.champion(task)
    if candidate is not None and champion is not None and champion.checkpoint_id == candidate.id:
        idle = idle or f"{candidate.name} serves already"
    if idle or candidate is None:
        status = idle or "waiting for a checkpoint"
        standing = opened.verdicts.latest(candidate.id) if candidate else None
        return materialized(status, again, idle=True, checks=[regression_result(standing, status)])
    runs = tracker.build()
    verdict = await RegressionGuard.for_task(opened.tasks.get(task).policy, store=opened, tracker=runs).evaluate(
        candidate_model=candidate, on_progress=log_progress(context)
    )
    status = f"{verdict.status}: {candidate.name} against {verdict.evidence['baseline']['model']}"
    return materialized(
        status, metadata_of(verdict, candidate, runs) | again, checks=[regression_result(verdict, status)], version=verdict.id
    )
