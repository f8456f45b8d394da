"""The sixth asset: who answers."""

import dagster as dg

from continuum.flywheel import deploy_if_allowed
from continuum_pipelines.canaries import metadata_of
from continuum_pipelines.checks import deployment_healthy, deployment_result
from continuum_pipelines.handover import idle_status, materialized
from continuum_pipelines.partitions import bootstrap, tasks
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step


@dg.asset(
    partitions_def=tasks,
    deps=["guard_verdict"],
    automation_condition=bootstrap,
    check_specs=[deployment_healthy],
    kinds={"gateway"},
)
@step
async def deployment(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Who answers the task's traffic: the candidate as a canary, or the previous model kept, and why.

    **Reads** the newest verdict, the task's policy, and what the watch has judged of the newest trial.

    **Leaves** the route that the gateway reads. Keeping the previous model is an outcome of the turn and not a failure of it. In
    the picture *quality* the band holds the difference of the arms at all looks together; *split* shows the ramp, with a dot
    where the traffic really was.

    **When it is red**: an alarm says what somebody should look at, or the newest deployment was taken back and what was before
    serves again. `continuum deployments TASK` tells more; `continuum promote`, `pause` and `rollback` act on it.
    """
    opened, task = store.build(), context.partition_key
    candidate = next(reversed(opened.checkpoints.of(task)), None)
    verdict = opened.verdicts.latest(candidate.id) if candidate else None
    idle = idle_status(context, "guard_verdict")
    if idle or candidate is None or verdict is None:
        checks = [deployment_result(opened.deployments.of(task))]
        told = {"action": "kept_previous", **metadata_of(opened, task)}
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
            **metadata_of(opened, task),
        },
        checks=[deployment_result(opened.deployments.of(task))],
    )
