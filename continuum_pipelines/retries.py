"""Retries of killed runs that Dagster overlooked, found and brought about.

Dagster's daemon repeats a run when it reads the event of its failure, once. The event is stored a moment before the run is called
failed; a daemon that reads in between, or is killed there, takes the run for one that goes on and never looks at it again. A
backfill that was ended meanwhile has its runs not repeated either, with nothing said. Until a run is repeated or known not to be,
its task counts as busy and its claim as held, so that neither may stay open.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterRunStatus as Run

from continuum_pipelines.automations import sensor
from continuum_pipelines.claims import RETRIED_BY_TAG, WILL_RETRY_TAG

REMINDED_TAG = "continuum/retry_reminder"
"""When Dagster was told of the failure again."""
OVERDUE = timedelta(seconds=20)
"""Dagster looks every five seconds; being told twice does no harm, for it makes no second retry."""
GIVEN_UP = timedelta(minutes=5)
"""So long after it was told again, a run that is not repeated is not going to be."""
MOST = 100


@sensor()
def overlooked_retries(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tells Dagster again of a killed run whose automatic retry it overlooked, and says so where there is to be none."""
    return dg.SkipReason(remind(context.instance, datetime.now(UTC)))


def remind(instance: dg.DagsterInstance, now: datetime) -> str:
    """See that each killed run is repeated, or known not to be; returns what was done.

    Args:
        instance: Dagster's memory.
        now: the moment.
    """
    return "; ".join(_seen_to(instance, record, now) for record in awaiting(instance)) or "no killed run waits for its retry"


def awaiting(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    """The runs that were killed and whose automatic retry is still to come."""
    # The newest only: those before them were seen to when they were new.
    wanted = dg.RunsFilter(statuses=[Run.FAILURE], tags={WILL_RETRY_TAG: "true"})
    return [one for one in instance.get_run_records(wanted, limit=MOST) if RETRIED_BY_TAG not in one.dagster_run.tags]


def _seen_to(instance: dg.DagsterInstance, record: dg.RunRecord, now: datetime) -> str:
    """See to one run that waits for its retry."""
    run = record.dagster_run
    group = instance.get_run_group(run.run_id)
    retry = next((one for one in (group[1] if group else ()) if one.parent_run_id == run.run_id), None)
    if retry is not None:
        # Of two who write a run's tags at once, one is lost.
        instance.add_run_tags(run.run_id, {RETRIED_BY_TAG: retry.run_id})
        return f"run {run.run_id} was repeated by {retry.run_id}, and says so now"
    since = now - datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
    waited = f"run {run.run_id} has waited {since.total_seconds():.0f} s for its retry"
    reminded = run.tags.get(REMINDED_TAG)
    if since < OVERDUE:
        return waited
    if reminded is None:
        instance.add_run_tags(run.run_id, {REMINDED_TAG: now.isoformat()})
        instance.report_run_failed(run, "Its automatic retry did not come: Dagster is told of the failure again.")
        return f"{waited}, and Dagster is told of its failure again"
    if now - datetime.fromisoformat(reminded) < GIVEN_UP:
        return f"{waited}, of which Dagster was told again at {reminded}"
    instance.report_engine_event("It is not repeated: Dagster was told of its failure twice and made no retry.", run)
    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    return f"{waited}, and is not repeated"
