"""Feedback that comes late, under Dagster: a glance each half minute, and a run for each task that has a verdict to give again.

What late feedback opens for the next training set waits for the threshold, and starts nothing here.
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from continuum.rejudging import Rejudged, attempt_of, catch_up
from continuum.reopening import Looked, look
from continuum_pipelines.automations import sensor
from continuum_pipelines.claims import PARTITION_TAG, TRIGGER_TAG
from continuum_pipelines.explaining import Reason, explained
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.sensors import active_runs

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.reopenings import Open, Reopening

LATE = "late feedback"
"""The trigger of a run that gives reopened verdicts again and nothing else."""

late_verdicts = dg.define_asset_job(
    "late_verdicts",
    selection=dg.AssetSelection.assets("guard_verdict"),
    executor_def=dg.in_process_executor,
    description="Give the verdicts again that were given on golden items of which people now say otherwise.",
)


@sensor(job=late_verdicts)
def late_feedback(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult:
    """Opens what late feedback changes, in all tasks at once, and starts a run where a verdict is to be given again."""
    opened, now = store.build(), datetime.now(UTC)
    found = look(opened)
    waiting: dict[str, list[Reopening]] = defaultdict(list)
    for row in opened.reopenings.open_of():
        waiting[row.task].append(row)
    busy = {run.tags.get(PARTITION_TAG) for run in active_runs(context.instance)} if waiting else set()
    partitions = set(context.instance.get_dynamic_partitions("task")) if waiting else set()
    requests, reasons = list[dg.RunRequest](), list[Reason]()
    for task, rows in sorted(waiting.items()):
        items = f"{task}: of {len(rows)} golden items of {len({row.used_by for row in rows})} verdicts people say otherwise"
        if task not in partitions:
            reasons.append(Reason(f"{items}, and it has no partition yet", "without a partition", nearness=1))
        elif task in busy:
            reasons.append(Reason(f"{items}, a run is under way", "with a run under way", nearness=2))
        else:
            key = f"late:{task}:{attempt_of(rows, now)}"
            requests.append(dg.RunRequest(run_key=key, partition_key=task, tags={TRIGGER_TAG: LATE}))
    told = words_of(found, opened.reopenings.counts())
    told = f"{told}; {explained(reasons, nothing='')}" if reasons else told
    if requests:
        context.log.info(told)
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else dg.SkipReason(told))


def words_of(found: Looked, waiting: "dict[str, Open]") -> str:
    """What one look came to and what is open, in a line with numbers."""
    again = {task: of.interactions for task, of in waiting.items() if of.interactions}
    opened, items = sum(found.opened.values()), sum(found.verdicts.values())
    verdicts = sum(of.verdicts for of in waiting.values())
    return (
        f"people spoke of {found.spoken} interactions of {found.tasks} tasks lately: {opened} were opened for the next training "
        f"set, {items} golden items for a verdict; {sum(again.values())} interactions of {len(again)} tasks wait for their "
        f"threshold, {verdicts} verdicts to be given again"
    )


async def given_again(
    context: dg.AssetExecutionContext, store: "Store", tracker: TrackerResource
) -> tuple[str | None, dict[str, Any]]:
    """Give the reopened verdicts of the run's task again.

    Returns:
        The status of a run that is for nothing else, None for any other; and what the materialization shows of it.
    """
    done = Rejudged()
    if store.reopenings.open_of(context.partition_key):
        done = await catch_up(store, context.partition_key, tracker=tracker.build(), on_progress=log_progress(context))
    for trouble in done.troubles:
        context.log.warning(trouble)
    metadata = {"given_again": done.words(), "given_again_verdicts": ", ".join(one.verdict.id for one in done.given)}
    alone = context.run.tags.get(TRIGGER_TAG) == LATE
    return (done.words() or "no verdict is open any more") if alone else None, metadata
