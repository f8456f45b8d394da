"""The fifth asset: whether the tuned model may serve."""

import dagster as dg

from continuum.guard.guard import RegressionGuard
from continuum.guard.report import forest_markdown, to_markdown
from continuum_pipelines.checks import no_regression, regression_result
from continuum_pipelines.handover import idle_status, materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.steps import step
from continuum_pipelines.tables import markdown, rows_table


@dg.asset(
    partitions_def=tasks, deps=["lora_checkpoint"], automation_condition=bootstrap, check_specs=[no_regression], kinds={"scipy"}
)
@step
async def guard_verdict(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """The guard's word on the newest checkpoint, against what serves now, on questions no training has seen.

    A model that is blocked is a good answer, not a failed run: the check shows it, and the previous model stays.
    """
    opened, task = store.build(), context.partition_key
    candidate = next(reversed(opened.checkpoints.of(task)), None)
    idle = idle_status(context, "lora_checkpoint")
    champion = opened.deployments.champion(task)
    if candidate is not None and champion is not None and champion.checkpoint_id == candidate.id:
        idle = idle or f"{candidate.name} serves already"
    if idle or candidate is None:
        status = idle or "waiting for a checkpoint"
        standing = opened.verdicts.latest(candidate.id) if candidate else None
        return materialized(status, idle=True, checks=[regression_result(standing, status)])
    verdict = await RegressionGuard.for_task(opened.tasks.get(task).policy, store=opened, tracker=tracker.build()).evaluate(
        candidate_model=candidate, on_progress=log_progress(context)
    )
    rows = [
        {"metric": name, "low": span.low, "delta": verdict.deltas[name], "high": span.high, "p_regressed": verdict.p_values[name]}
        for name, span in verdict.intervals.items()
    ]
    baseline, golden = verdict.evidence["baseline"]["model"], verdict.evidence["golden"]
    status = f"{verdict.status}: {candidate.name} against {baseline}"
    return materialized(
        status,
        {
            "verdict": verdict.id,
            "candidate": candidate.name,
            "baseline": baseline,
            "golden_dataset": f"{golden['name']}: {golden['items']} items in {golden['groups']} groups",
            "failed_checks": "; ".join(verdict.failed_checks) or "none",
            "max_traffic": verdict.max_traffic,
            "required_examples": verdict.required_examples,
            "deltas": rows_table(rows),
            "intervals": markdown(forest_markdown(verdict)),
            "report": markdown(to_markdown(verdict)),
        },
        checks=[regression_result(verdict, status)],
    )
