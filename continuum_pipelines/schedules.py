"""What runs by the clock."""

import dagster as dg

from continuum.errors import ConfigurationError
from continuum_pipelines.anchors import due
from continuum_pipelines.jobs import anchors, annotation
from continuum_pipelines.resources.store import StoreResource

WHY_TAG = "continuum/why"
"""Why a run was asked for."""


@dg.schedule(job=annotation, cron_schedule="0 3 * * *", execution_timezone="UTC", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly_annotation(context: dg.ScheduleEvaluationContext, store: StoreResource) -> list[dg.RunRequest] | dg.SkipReason:
    """Judges the day's interactions of each task that has a judge and wants to be annotated by itself."""
    opened = store.build()
    with_partition = set(context.instance.get_dynamic_partitions("task"))
    night = context.scheduled_execution_time.date().isoformat()
    requests = [
        dg.RunRequest(run_key=f"annotate:{name}:{night}", partition_key=name)
        for name in opened.tasks.names()
        if name in with_partition and (policy := opened.tasks.get(name).policy).auto_annotate and policy.judge.model
    ]
    return requests or dg.SkipReason("no task has a judge and auto_annotate")


@dg.schedule(job=anchors, cron_schedule="0 4 * * *", execution_timezone="UTC", default_status=dg.DefaultScheduleStatus.RUNNING)
def anchors_when_due(context: dg.ScheduleEvaluationContext, store: StoreResource) -> list[dg.RunRequest] | dg.SkipReason:
    """Has the anchors of a task judged again once a week, and the night after its judge or rubric changed."""
    opened = store.build()
    with_partition = set(context.instance.get_dynamic_partitions("task"))
    night = context.scheduled_execution_time.date().isoformat()
    requests, reasons = [], []
    for name in sorted(set(opened.tasks.names()) & with_partition):
        policy = opened.tasks.get(name).policy
        try:
            reason = due(opened, policy) if policy.auto_annotate and policy.judge.model else None
        except ConfigurationError as error:
            reasons.append(f"{name}: {error}")
            continue
        if reason:
            requests.append(dg.RunRequest(run_key=f"anchors:{name}:{night}", partition_key=name, tags={WHY_TAG: reason[:200]}))
    return requests or dg.SkipReason("; ".join(reasons) or "no task has anchors that are due")
