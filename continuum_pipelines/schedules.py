"""What runs by the clock."""

import dagster as dg

from continuum_pipelines.jobs import annotation
from continuum_pipelines.resources.store import StoreResource


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
