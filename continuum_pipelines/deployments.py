"""Deployments under Dagster: a glance each half minute, and a run that leads them where there is something to do.

The run does what `continuum watch` does, and both may be at work at once.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterRunStatus as Run

from continuum.config import load_settings
from continuum.deployment.controller import Tick, to_lead
from continuum.deployment.driving import Round, Seen, drive_once, due
from continuum.deployment.notifying import channels_of, is_something_to_tell, write_down
from continuum_pipelines.automations import sensor
from continuum_pipelines.canaries import figures_of
from continuum_pipelines.checks import deployment_result
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step

if TYPE_CHECKING:
    from continuum.store.database import Store

JOB = "deployment_watch"
IN_FLIGHT = [status for status in Run if status not in (Run.SUCCESS, Run.FAILURE, Run.CANCELED)]
GIVEN_UP = timedelta(minutes=30)
"""A run that takes longer is waited for no more: it may be dead, and another beside it does no harm."""


@dg.op
@step
async def lead_deployments_on(context: dg.OpExecutionContext, store: StoreResource) -> None:
    """Look at every deployment that is not done, do what the evidence allows, and tell people.

    A look judges only so many answers; while it leaves some and gets on with them, another follows.
    """
    opened, left = store.build(), None
    while True:
        found = await drive_once(opened, actor="dagster")
        _log(context, opened, found)
        waiting = sum(tick.evidence.get("judge", {}).get("waiting", 0) for tick in found.ticks)
        if not waiting or (left is not None and waiting >= left):
            break
        left = waiting
    failed = [line_of(tick) for tick in found.ticks if tick.did == "failed"]
    if failed:
        raise dg.Failure("; ".join(failed))


def _log(context: dg.OpExecutionContext, store: "Store", found: Round) -> None:
    for tick in found.ticks:
        context.log.info(line_of(tick))
    context.log.info(f"notifications: {found.told.new} new, {found.told.delivered} delivered, {found.told.failed} refused")
    for task in sorted({tick.record.task for tick in found.ticks}):
        # The check is the asset's; what happens to a deployment between two turns shows there too.
        # Dagster takes an evaluation too; its annotation says less.
        context.log_event(evaluation_of(store, task))  # pyright: ignore[reportArgumentType]


@dg.job(name=JOB, executor_def=dg.in_process_executor, description="Lead every deployment one look further, and tell people.")
def deployment_watch() -> None:
    """All deployments in one run."""
    lead_deployments_on()


# By name: Dagster would make a sensor that holds the job itself anew, by a way that warns.
@sensor(job_name=JOB)
def lead_deployments(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
    """Starts a run where a deployment can be led on or looked at anew, or people have something to be told."""
    opened, now = store.build(), datetime.now(UTC)
    seen = cursor_read(context.cursor)
    found = due(opened, seen, now)
    channels = channels_of(load_settings())
    write_down(opened, channels, now)
    telling = is_something_to_tell(opened, channels, now)
    if not found and not telling:
        looked_at = len(to_lead(opened))
        return dg.SkipReason(
            f"{looked_at} deployments are as they were at the last look, and {len(channels)} channels have nothing to be told"
        )
    if is_under_way(context.instance, now):
        waiting = f"{len(found)} deployments and {'' if telling else 'no '}notifications wait for the next"
        return dg.SkipReason(f"a run is under way; {waiting}")
    models = {record.id: record.model for record in to_lead(opened)}
    named = sorted(f"{models[id_]} ({id_})" if id_ in models else id_ for id_ in found)
    reason = ", ".join([*named, *(["notifications"] if telling else [])])
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"{JOB}:{now.isoformat()}", tags={"continuum/because": reason[:200]})],
        cursor=cursor_of({**{id_: one for id_, one in seen.items() if now - one.at < timedelta(days=30)}, **found}),
    )


def is_under_way(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Whether a run leads the deployments now."""
    runs = instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=IN_FLIGHT, created_after=now - GIVEN_UP), limit=1)
    return bool(runs)


def evaluation_of(store: "Store", task: str) -> dg.AssetCheckEvaluation:
    """What the check of a task's deployments comes to now, to be told in a run that does not make the asset."""
    result = deployment_result(store.deployments.of(task))
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("deployment"),
        check_name=str(result.check_name),
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=dict(result.metadata or {}) | figures_of(store, task),
        partition=task,
    )


def line_of(tick: Tick) -> str:
    """What was done to a deployment, and why."""
    record = tick.record
    return f"{record.task}: {record.model} is {record.state} at {record.traffic:.0%}: {tick.did}, {tick.why}"


def cursor_of(seen: Mapping[str, Seen]) -> str:
    """What was known of the deployments, as the sensor keeps it."""
    return json.dumps({id_: asdict(one) | {"at": one.at.isoformat()} for id_, one in seen.items()})


def cursor_read(cursor: str | None) -> dict[str, Seen]:
    """The same read back; nothing where it cannot be, so that all is looked at once more."""
    try:
        kept: Iterable[tuple[str, dict]] = json.loads(cursor or "{}").items()
        return {id_: Seen(int(o["version"]), int(o["sequence"]), datetime.fromisoformat(o["at"])) for id_, o in kept}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
