"""The sixth asset: who answers."""

from collections.abc import Sequence

import dagster as dg

from continuum.flywheel import deploy_if_allowed
from continuum.serving_records import DeploymentRecord
from continuum_pipelines.checks import deployment_healthy, deployment_result
from continuum_pipelines.handover import idle_status, materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step
from continuum_pipelines.tables import rows_table


@dg.asset(
    partitions_def=tasks,
    deps=["guard_verdict"],
    automation_condition=bootstrap,
    check_specs=[deployment_healthy],
    kinds={"serving"},
)
@step
async def deployment(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The route of the task's traffic: the candidate as a canary, or the previous model kept, and why.

    It always materializes, for keeping the previous model is an outcome of the turn and not a failure of it.
    """
    opened, task = store.build(), context.partition_key
    candidate = next(reversed(opened.checkpoints.of(task)), None)
    verdict = opened.verdicts.latest(candidate.id) if candidate else None
    idle = idle_status(context, "guard_verdict")
    if idle or candidate is None or verdict is None:
        route = route_table(opened.deployments.serving(task))
        checks = [deployment_result(opened.deployments.of(task))]
        told = {"action": "kept_previous", "route": route}
        return materialized(idle or "waiting for a verdict", told, idle=True, checks=checks)
    decision = await deploy_if_allowed(opened.tasks.get(task).policy, candidate, verdict, store=opened)
    return materialized(
        f"{decision.action}: {decision.reason}",
        {
            "action": decision.action,
            "reason": decision.reason,
            "model": candidate.name,
            "deployment": decision.deployment.id if decision.deployment else None,
            "verdict": verdict.id,
            "route": route_table(opened.deployments.serving(task)),
        },
        checks=[deployment_result(opened.deployments.of(task))],
    )


def route_table(route: Sequence[DeploymentRecord]) -> dg.TableMetadataValue | None:
    """Who may receive the task's traffic now, and how much of it."""
    return rows_table(
        [{"model": row.model, "state": str(row.state), "traffic": row.traffic, "alarm": row.alarm} for row in route]
    )
