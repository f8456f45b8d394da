"""Killed runs whose automatic retry was overlooked, with Dagster's own daemon looking at its own memory."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from continuum.ids import new_id
from continuum_pipelines.claims import HOLDER, RETRIED_BY_TAG, WILL_RETRY_TAG, is_over
from continuum_pipelines.retries import GIVEN_UP, OVERDUE, overlooked_retries, remind
from continuum_pipelines.sensors import active_runs

LOCATION = """
import dagster as dg

@dg.op
def works(): ...

@dg.job
def flywheel():
    works()

defs = dg.Definitions(jobs=[flywheel])
"""


def later(by: timedelta) -> datetime:
    return datetime.now(UTC) + by


def killed(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    """A run that was failed just now because its process was gone."""
    run = instance.add_run(dg.DagsterRun(job_name="flywheel", run_id=new_id(), status=Run.STARTED))
    instance.report_run_failed(run, "its process is gone")
    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "true", **tags})
    return now_of(instance, run)


def now_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def failures(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    """How many events say that the run failed."""
    return len(instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE))


def test_a_run_is_left_alone_while_its_retry_may_still_come(instance: dg.DagsterInstance) -> None:
    run = killed(instance)
    assert "has waited" in remind(instance, later(OVERDUE / 2))
    assert failures(instance, run) == 1


def test_a_run_whose_retry_does_not_come_is_failed_again_and_only_once(instance: dg.DagsterInstance) -> None:
    run = killed(instance)
    assert f"run {run.run_id} has waited" in remind(instance, later(OVERDUE * 2))
    assert "told again" in remind(instance, later(OVERDUE * 4))
    assert failures(instance, run) == 2
    assert now_of(instance, run) in active_runs(instance), "its task waits for it"


def test_a_run_that_dagster_was_told_of_twice_in_vain_is_over(instance: dg.DagsterInstance) -> None:
    run = killed(instance)
    remind(instance, later(OVERDUE * 2))
    assert remind(instance, later(OVERDUE * 2 + GIVEN_UP)).endswith("and is not repeated")
    assert is_over(instance, HOLDER + run.run_id)
    assert active_runs(instance) == []
    assert remind(instance, later(OVERDUE * 2 + GIVEN_UP)) == "no killed run waits for its retry"


def test_a_run_that_was_repeated_and_does_not_say_by_which_says_so_from_then_on(instance: dg.DagsterInstance) -> None:
    run = killed(instance)
    ids = {"root_run_id": run.run_id, "parent_run_id": run.run_id}
    tags = {"dagster/root_run_id": run.run_id, "dagster/parent_run_id": run.run_id}
    retry = instance.add_run(
        dg.DagsterRun(job_name="flywheel", run_id=new_id(), status=Run.SUCCESS, tags=tags, **ids)  # type: ignore[arg-type]
    )
    assert not is_over(instance, HOLDER + run.run_id)

    remind(instance, later(OVERDUE * 2))

    assert now_of(instance, run).tags[RETRIED_BY_TAG] == retry.run_id
    assert is_over(instance, HOLDER + run.run_id)
    assert failures(instance, run) == 1


def test_a_run_that_has_its_retry_or_is_to_have_none_is_nobody_s_concern(instance: dg.DagsterInstance) -> None:
    runs = [killed(instance, **{RETRIED_BY_TAG: new_id()}), killed(instance, **{WILL_RETRY_TAG: "false"})]
    with dg.build_sensor_context(instance=instance) as context:
        skipped = overlooked_retries(context)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "no killed run waits for its retry"
    assert [failures(instance, run) for run in runs] == [1, 1]


@pytest.mark.slow
# Dagster's own, at the daemon's first look.
@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
def test_a_retry_comes_where_the_daemon_read_the_failure_before_the_run_was_called_failed(
    home_instance: dg.DagsterInstance, served: Callable[[str], WorkspaceProcessContext]
) -> None:
    instance, workspace, consumer = home_instance, served(LOCATION), EventLogConsumerDaemon()
    consumer._logger = logging.getLogger("test")
    remote = (
        workspace.create_request_context().get_code_location("here").get_repository("__repository__").get_full_job("flywheel")
    )
    run = create_run_for_test(
        instance,
        job_name="flywheel",
        remote_job_origin=remote.get_remote_origin(),
        job_code_origin=remote.get_python_origin(),
        status=Run.STARTED,
        # It has no steps to go on from.
        tags={"dagster/retry_strategy": "ALL_STEPS"},
    )

    def daemon_looks() -> None:
        list(consumer.run_iteration(workspace))

    daemon_looks()
    storage, called_failed = instance.run_storage, instance.run_storage.handle_run_event

    def looked_at_in_between(run_id: str, event: DagsterEvent, *rest: datetime) -> None:
        storage.handle_run_event = called_failed  # type: ignore[method-assign]
        daemon_looks()
        called_failed(run_id, event, *rest)

    # `report_run_failed` stores the event, and then calls the run failed.
    # No door of Dagster lies between the two, so its storage is wrapped.
    storage.handle_run_event = looked_at_in_between  # type: ignore[method-assign]
    instance.report_run_failed(run, "its process is gone")
    daemon_looks()
    assert now_of(instance, run).tags[WILL_RETRY_TAG] == "true"
    assert instance.get_runs_count() == 1, "it is overlooked"

    remind(instance, later(OVERDUE * 2))
    daemon_looks()
    daemon_looks()

    retry = instance.get_run_by_id(now_of(instance, run).tags[RETRIED_BY_TAG])
    assert retry is not None
    assert retry.parent_run_id == run.run_id
    assert instance.get_runs_count() == 2, "it is repeated once"
