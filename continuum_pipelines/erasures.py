"""Erasures under Dagster: a glance each minute, and a run for each task whose models wait to be trained anew.

What `continuum forget` takes out of service stays out of it, whether or not a daemon runs: a run only trains what may serve
again.
"""

from datetime import UTC, datetime
from hashlib import sha256

import dagster as dg

from continuum_pipelines.automations import sensor
from continuum_pipelines.claims import PARTITION_TAG, TRIGGER_TAG
from continuum_pipelines.explaining import Reason, explained
from continuum_pipelines.partitions import tasks
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.sensors import active_runs
from continuum_pipelines.steps import step


@dg.op(pool="training")
@step
async def rebuilt_line(context: dg.OpExecutionContext, store: StoreResource, tracker: TrackerResource) -> None:
    """Trains a task's quarantined models anew, oldest first, and has the guard look at the newest."""
    from continuum.erasing.rebuilding import rebuild  # SQLAlchemy starts here

    made = await rebuild(context.partition_key, store=store.build(), tracker=tracker.build(), on_progress=log_progress(context))
    for line in made.words():
        context.log.info(line)


@dg.job(partitions_def=tasks, executor_def=dg.in_process_executor)
def rebuilding() -> None:
    """Train anew, without what was erased, the models of a task that had learned from it."""
    rebuilt_line()


# By name: Dagster would make a sensor that holds the job itself anew, by a way that warns.
@sensor(job_name="rebuilding", every_s=60)
def quarantined_models(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
    """Starts a run for each task whose models learned from what was erased; one that failed is tried again an hour later."""
    waiting = store.build().erasures.waiting()
    if not waiting:
        return dg.SkipReason("0 models wait to be trained anew without what was erased")
    busy = {run.tags.get(PARTITION_TAG) for run in active_runs(context.instance)}
    partitions = set(context.instance.get_dynamic_partitions("task"))
    requests, reasons = list[dg.RunRequest](), list[Reason]()
    for task, models in sorted(waiting.items()):
        words = f"{task}: {len(models)} models wait to be trained anew"
        if task not in partitions:
            reasons.append(Reason(f"{words}, and it has no partition yet", "without a partition", nearness=1))
        elif task in busy:
            reasons.append(Reason(f"{words}, a run is under way", "with a run under way", nearness=2))
        else:
            # The same models within the same hour are one attempt.
            which = sha256(" ".join(sorted(one.id for one in models)).encode()).hexdigest()[:16]
            key = f"rebuild:{task}:{which}:{datetime.now(UTC):%Y-%m-%dT%H}"
            requests.append(
                dg.RunRequest(run_key=key, partition_key=task, tags={TRIGGER_TAG: f"{len(models)} models quarantined"})
            )
    told = explained(reasons, nothing="nothing waits") if reasons else ""
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else dg.SkipReason(told))
