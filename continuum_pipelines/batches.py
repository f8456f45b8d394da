"""Backlogs at a provider's batch endpoint: a glance each minute, and a run for each batch that has ended.

The glance only asks. What there is to settle may be fifty thousand rows, more than a tick of a sensor has time for.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from continuum.timespan import rounded
from continuum_pipelines.automations import sensor
from continuum_pipelines.explaining import Reason, explained
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step

if TYPE_CHECKING:
    from continuum.annotation.batches import Look

BATCH_TAG = "continuum/batch"
STATE_TAG = "continuum/batch_state"
LONGEST_PAUSE = timedelta(hours=1)


class ChosenBatch(dg.Config):
    """Which batch a run is for."""

    batch: str


@dg.op
@step
async def settle_batch(context: dg.OpExecutionContext, config: ChosenBatch, store: StoreResource) -> None:
    """Settle one batch that its provider has ended, or hand over one that was interrupted on the way."""
    from continuum.annotation.batches import collect_batches  # SQLAlchemy starts here

    for stats in await collect_batches(store.build(), only=[config.batch], on_progress=log_progress(context)):
        told = f"{stats.total} judged for ${stats.cost_usd:.2f}, {stats.returned} back in the backlog"
        context.log.info(
            f"batch {config.batch} of {stats.task} is {stats.state}: {told}, {stats.left_to_live} left to live calls"
        )
        if stats.error and stats.state not in ("closed", "ended"):
            raise dg.Failure(stats.error)


@dg.job(executor_def=dg.in_process_executor, description="Settle a batch that a provider has judged.")
def batch_collection() -> None:
    """One batch a run."""
    settle_batch()


# By name: Dagster would make a sensor that holds the job itself anew, by a way that warns.
@sensor(job_name="batch_collection", every_s=60)
def poll_batches(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
    """Asks the providers how far the open batches are, and starts a run for each that has ended or was interrupted."""
    from continuum.annotation.batches import glance_at_batches  # SQLAlchemy starts here

    opened = store.build()
    if not opened.batches.open():
        return dg.SkipReason("no backlog is at a batch endpoint (0 batches are open)")
    looks, now = asyncio.run(glance_at_batches(opened)), datetime.now(UTC)
    before = runs_of(context.instance, [look.batch for look in looks if look.due])
    requests: list[dg.RunRequest] = []
    reasons: list[Reason] = []
    for look in looks:
        decision = run_for(look, before.get(look.batch, ()), now) if look.due else still_out(look)
        if isinstance(decision, dg.RunRequest):
            requests.append(decision)
        else:
            reasons.append(decision)
    told = explained(reasons, nothing="0 batches are left")
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else dg.SkipReason(told))


def runs_of(instance: dg.DagsterInstance, batches: Collection[str]) -> dict[str, list[dg.RunRecord]]:
    """The runs that there were for each of these batches, newest first, in one read."""
    found: dict[str, list[dg.RunRecord]] = defaultdict(list)
    if batches:
        for record in instance.get_run_records(dg.RunsFilter(tags={BATCH_TAG: sorted(batches)})):
            found[record.dagster_run.tags[BATCH_TAG]].append(record)
    return found


def run_for(look: "Look", records: Sequence[dg.RunRecord], now: datetime) -> dg.RunRequest | Reason:
    """A run for a batch; the reason why not while one is under way, and for a while after one that changed nothing.

    The run key names the batch, its state and how many runs there were for it in that state: the same tick again starts nothing.

    Args:
        look: how the batch is.
        records: the runs that there were for it, newest first.
        now: the moment.
    """
    if not all(record.dagster_run.is_finished for record in records):
        return Reason(f"{look.batch}: {look.state}, a run is under way", "with a run under way", nearness=1)
    before = [record for record in records if record.dagster_run.tags.get(STATE_TAG) == look.state]
    if before and now < (again := before[0].create_timestamp + min(timedelta(minutes=2 ** min(len(before), 10)), LONGEST_PAUSE)):
        words = f"{look.batch}: {look.state}, {len(before)} runs changed nothing, the next is in {rounded(again - now)}"
        return Reason(words, "waiting after a run that changed nothing", nearness=2)
    return dg.RunRequest(
        run_key=f"batch:{look.batch}:{look.state}:{len(before)}",
        run_config=dg.RunConfig(ops={"settle_batch": ChosenBatch(batch=look.batch)}),
        tags={BATCH_TAG: look.batch, STATE_TAG: look.state},
    )


def still_out(look: "Look") -> Reason:
    """A batch that its provider has not ended, or whose provider does not say."""
    if look.trouble:
        return Reason(f"{look.batch}: {look.trouble}", "in trouble", nearness=3)
    return Reason(f"{look.batch}: {look.state}", "not ended yet")
