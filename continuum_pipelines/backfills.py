"""Backfills in Dagster: a job that judges a task's old traffic anew, and a sensor for those that were left for the daemon.

The job is launched from the launchpad for one task, or as a backfill for many. A run that is executed again goes on with what the
run before it left; what is missing makes a run a failure, so that its partition can be tried again by itself.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import DagsterRunStatus as Run

from continuum.annotation.backfill import NothingToJudge, ask, ask_again, known, opinion_of_row
from continuum.annotation.backfill_work import work
from continuum.annotation.rubric_change import RubricChange, rubric_change
from continuum.errors import ConfigurationError
from continuum.judging.rubric_file import checked_rubric
from continuum_pipelines.automations import sensor
from continuum_pipelines.claims import HOLDER, TRIGGER_TAG, root_of, will_be_repeated
from continuum_pipelines.explaining import Reason, explained
from continuum_pipelines.handover import STATUS, metadata_of
from continuum_pipelines.jobs import flywheel
from continuum_pipelines.partitions import tasks
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step

if TYPE_CHECKING:
    from continuum.store.backfills import BackfillRow
    from continuum.store.database import Store

BACKFILL_TAG = "continuum/backfill"
"""The backfill that a run is for."""
UNFINISHED = ("open", "working")
MOST_RUNS = 5
"""Runs that may end without ending a backfill before it is left to a person."""


class WantedBackfill(dg.Config):
    """What is to be judged; nothing said is all of the task's traffic, by the rubric of its policy."""

    since: str | None = None
    """From when on: 30d, 2026-10-01 or 2026-10-01T14:30+02:00; a date is the task's own."""
    until: str | None = None
    """Before when; now when left out."""
    rubric: list[dict[str, Any]] | None = None
    """Criteria with name, weight, description and anchors; those of the policy when left out."""
    adopt: bool = False
    """Make the rubric the policy's once everything is judged by it."""
    backfill: str | None = None
    """A backfill that was asked for elsewhere; all else is said there."""


@dg.op(pool="judging")
@step
async def judge_again(context: dg.OpExecutionContext, config: WantedBackfill, store: StoreResource) -> None:
    """Judges what lacks a judgement of a task's old traffic, and tells how the scores moved."""
    opened = store.build()
    try:
        row = row_of(opened, config, context.partition_key, context.run)
    except NothingToJudge as nothing:
        context.log.info(f"there is nothing to do: {nothing}")
        return
    if row.state in ("done", "cancelled"):
        context.log.info(f"backfill {row.id} is {row.state}: {row.reason}")
        return
    done = await work(opened, row.id, holder=HOLDER + root_of(context.run), on_progress=log_progress(context))
    change = rubric_change(opened, opinion_of_row(opened, done), done.since, done.until)
    metadata = described(done, change)
    context.log.info(f"backfill {done.id} is {done.state}: {done.reason}")
    if done.state == "incomplete":
        raise dg.Failure(f"{done.reason}; execute the run again for what is missing", metadata=metadata, allow_retries=False)
    context.add_output_metadata(metadata)


@dg.job(
    partitions_def=tasks,
    executor_def=dg.in_process_executor,
    description="Judge a task's old traffic, by the rubric of its policy or by another: what is missing and nothing else.",
)
def backfill() -> None:
    """One task a run."""
    judge_again()


def row_of(store: "Store", config: WantedBackfill, task: str, run: dg.DagsterRun) -> "BackfillRow":
    """The backfill that a run is for: the one it names, or one of its own, which is also that of the runs that repeat it.

    Raises:
        NothingToJudge: the task has no judge, or no traffic in the window.
        ConfigurationError: what is wanted cannot be meant, or the one that is named is another task's.
    """
    if config.backfill is not None:
        row = known(store, config.backfill)
        if row.task != task:
            raise ConfigurationError(f"backfill {row.id} is one of task {row.task!r}; launch the run for that partition")
    else:
        criteria = None if config.rubric is None else checked_rubric(config.rubric, "the run's config")
        wanted = {"since": config.since, "until": config.until, "criteria": criteria, "adopt": config.adopt}
        asked_by = f"{HOLDER}{run.run_id}"
        row = ask(store, task, **wanted, asked_by=asked_by, id=f"run-{root_of(run)}")
    return ask_again(store, row.id, driver=row.driver) if row.state == "incomplete" else row


def described(row: "BackfillRow", change: RubricChange | None) -> dict[str, Any]:
    """What the UI shows of a backfill."""
    told: dict[str, Any] = {
        "backfill": row.id,
        "wanted": row.wanted,
        "judged": row.judged,
        "missing": row.missing,
        "cost_usd": row.cost_usd,
        "reason": row.reason or "",
    }
    if change is not None:
        told["scores_moved"] = dg.MetadataValue.table(
            [
                dg.TableRecord({"score": score, "before": before, "after": change.histogram_after[score]})
                for score, before in change.histogram_before.items()
            ]
        )
        told["mean_before"], told["mean_after"], told["delta"] = change.mean_before, change.mean_after, change.delta
        if change.rank_correlation is not None:
            told["rank_correlation"] = change.rank_correlation
        told["most_moved"] = (
            dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {"before": one.before, "after": one.after, "interaction": one.interaction_id, "question": one.question}
                    )
                    for one in change.moved
                ]
            )
            if change.moved
            else None
        )
    return {name: value for name, value in told.items() if value is not None and value != ""}


# --- those that were left for the daemon -----------------------------------------------------------------------------


# By name: Dagster would make a sensor that holds the job itself anew, by a way that warns.
@sensor(job_name="backfill")
def requested_backfills(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
    """Starts a run for each backfill that was left for the daemon, and another where the run was killed."""
    return _tick(context, store.build(), "judging", "backfill", _judging)


@sensor(job=flywheel)
def requested_turns(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
    """Starts a turn of each task that was left for the daemon to be led through the whole wheel, and notes what came of it."""
    return _tick(context, store.build(), "turn", "whole turn", _turn)


Look = Callable[["Store", dg.DagsterInstance, "BackfillRow", Sequence[dg.RunRecord], datetime], dg.RunRequest | str]
"""From a backfill that nobody is at, and its runs, newest first, to another run, or how it stands."""


def _tick(
    context: dg.SensorEvaluationContext, store: "Store", kind: str, called: str, look: Look
) -> dg.SensorResult | dg.SkipReason:
    now = datetime.now(UTC)
    rows = [row for row in store.backfills.unfinished("dagster") if row.kind == kind]
    if not rows:
        return dg.SkipReason(f"no {called} is left for the daemon (0 are unfinished)")
    runs: dict[str, list[dg.RunRecord]] = defaultdict(list)
    for record in context.instance.get_run_records(dg.RunsFilter(tags={BACKFILL_TAG: [row.id for row in rows]})):
        runs[record.dagster_run.tags[BACKFILL_TAG]].append(record)
    requests, reasons = list[dg.RunRequest](), list[Reason]()
    for row in sorted(rows, key=lambda row: row.id):
        found = _busy(context.instance, row, runs[row.id], now) or look(store, context.instance, row, runs[row.id], now)
        if isinstance(found, dg.RunRequest):
            requests.append(found)
        else:
            reasons.append(Reason(f"{row.task}: {found}", "left as well"))
    added = sorted({row.task for row in rows} - set(context.instance.get_dynamic_partitions(str(tasks.name))))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(f"{len(rows)} left for the daemon: {explained(reasons, nothing='')}"),
        dynamic_partitions_requests=[tasks.build_add_request(added)] if added else [],
    )


def _busy(instance: dg.DagsterInstance, row: "BackfillRow", runs: Sequence[dg.RunRecord], now: datetime) -> str | None:
    """Who is at a backfill now; None where nobody is."""
    judged = f"{row.judged} of {row.wanted} judged, " if row.kind == "judging" else ""
    if any(_is_active(instance, record.dagster_run) for record in runs):
        return f"{judged}a run is under way"
    if holder := row.worked_on_by(now):
        return f"{judged}{holder} is working on it"
    return None


def _judging(
    store: "Store", instance: dg.DagsterInstance, row: "BackfillRow", runs: Sequence[dg.RunRecord], now: datetime
) -> dg.RunRequest | str:
    """The run key names the backfill and how many runs there were for it: the same tick again starts nothing."""
    from continuum.store.backfills import UNFINISHED  # SQLAlchemy starts here

    newest = runs[0] if runs else None
    if newest is not None and newest.dagster_run.status is Run.CANCELED and not _asked_after(row, newest):
        reason = f"run {newest.dagster_run.run_id} was canceled"
        store.backfills.move(row.id, UNFINISHED, "cancelled", reason=reason, now=lambda: now)
        return reason
    # Who begins to work notes the moment, so that of one that is open only a run which never began is newer.
    tries = row.attempts if row.state == "working" else sum(not _asked_after(row, record) for record in runs)
    if tries >= MOST_RUNS:
        reason = f"{tries} runs ended without ending it, the last of them {newest.dagster_run.run_id if newest else 'deleted'}"
        store.backfills.move(row.id, UNFINISHED, "incomplete", reason=reason, now=lambda: now)
        return reason
    config = dg.RunConfig(ops={judge_again.name: WantedBackfill(backfill=row.id)})
    return dg.RunRequest(
        run_key=f"backfill:{row.id}:{len(runs)}",
        partition_key=row.task,
        run_config=config,
        tags={BACKFILL_TAG: row.id, TRIGGER_TAG: "a backfill"},
    )


def _turn(
    store: "Store", instance: dg.DagsterInstance, row: "BackfillRow", runs: Sequence[dg.RunRecord], now: datetime
) -> dg.RunRequest | str:
    """What became of a turn is its run's to tell, and is written down here."""
    from continuum.store.backfills import UNFINISHED  # SQLAlchemy starts here

    if row.state == "working" and len(runs) >= row.attempts:
        state, reason = _outcome(instance, row.task, runs[0].dagster_run)
        store.backfills.move(row.id, ("working",), state, reason=reason, now=lambda: now)
        return f"{state}: {reason}"
    # Noted before the run is there: a tick that dies in between asks for the same run once more.
    store.backfills.move(row.id, UNFINISHED, "working", attempts=len(runs) + 1, now=lambda: now)
    return dg.RunRequest(
        run_key=f"backfill:{row.id}:{len(runs)}",
        partition_key=row.task,
        tags={BACKFILL_TAG: row.id, TRIGGER_TAG: "a backfill"},
    )


def _is_active(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run is on its way, or failed and may be repeated yet."""
    return not run.is_finished or (instance.run_retries_enabled and will_be_repeated(run))


def _outcome(instance: dg.DagsterInstance, task: str, run: dg.DagsterRun) -> tuple[Any, str]:
    if run.status is Run.CANCELED:
        return "cancelled", f"run {run.run_id} was canceled"
    if run.status is Run.FAILURE:
        return "incomplete", f"run {run.run_id} failed; its log says why"
    wanted = dg.AssetRecordsFilter(dg.AssetKey("deployment"), asset_partitions=[task])
    event = next(iter(instance.fetch_materializations(wanted, limit=1).records), None)
    status = str(metadata_of(event).get(STATUS, "")) if event is not None and event.run_id == run.run_id else "ended"
    return ("incomplete" if status.startswith("waiting") else "done"), f"run {run.run_id}: {status}"


def _asked_after(row: "BackfillRow", record: dg.RunRecord) -> bool:
    """Whether somebody asked for what is missing since a run was made."""
    return record.create_timestamp.replace(tzinfo=record.create_timestamp.tzinfo or UTC) < row.updated_at
