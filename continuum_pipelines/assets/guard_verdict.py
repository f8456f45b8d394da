"""The fifth asset: whether the tuned model may serve."""

import dagster as dg

from continuum.guard.guard import RegressionGuard
from continuum_pipelines.checks import no_regression, regression_result
from continuum_pipelines.handover import idle_status, materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.plots import forest_plot
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.tables import markdown, rows_table


@dg.asset(
    partitions_def=tasks, deps=["lora_checkpoint"], automation_condition=bootstrap, check_specs=[no_regression], kinds={"scipy"}
)
async def guard_verdict(
    context: dg.AssetExecutionContext, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """The guard's word on the newest checkpoint, against what serves now, on questions no training has seen.

    A model that is blocked is a good answer, not a failed run: the check shows it, and the previous model stays.
    """
    opened, task = store.build(), context.partition_key
    candidate = next(reversed(opened.checkpoints.of(task)), None)
    idle = idle_status(context, "lora_checkpoint")
    if idle or candidate is None:
        status = idle or "waiting for a checkpoint"
        standing = opened.verdicts.latest(candidate.id) if candidate else None
        return materialized(status, idle=True, checks=[regression_result(standing, status)])
    verdict = await RegressionGuard.for_task(opened.tasks.get(task).policy, store=opened, tracker=tracker.build()).evaluate(
        candidate_model=candidate, on_progress=log_progress(context)
    )
    effects = {name: (span.low, verdict.deltas[name], span.high) for name, span in verdict.intervals.items()}
    rows = [
        {"metric": name, "low": low, "delta": delta, "high": high, "p_regressed": verdict.p_values.get(name)}
        for name, (low, delta, high) in effects.items()
    ]
    status = f"{verdict.status}: {candidate.name} against {verdict.baseline}"
    return materialized(
        status,
        {
            "verdict": verdict.id,
            "candidate": candidate.id,
            "baseline": verdict.baseline,
            "golden_dataset": verdict.golden_id,
            "failed_checks": "; ".join(verdict.failed_checks) or "none",
            "max_traffic": verdict.max_traffic,
            "required_examples": verdict.required_examples,
            "deltas": rows_table(rows),
            "intervals": markdown(forest_plot(effects, "candidate minus baseline, with intervals")),
        },
        checks=[regression_result(verdict, status)],
    )
