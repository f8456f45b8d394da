"""Backfills through Dagster: the job for one partition, and the sensors for what was left for the daemon."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run

from continuum.annotation.backfill import ask, ask_again, known, planned_turn
from continuum.ids import new_id
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.rubric import Criterion
from continuum.store.backfills import BackfillRow
from continuum.store.database import Store
from continuum.timespan import utc_now
from continuum_pipelines.backfills import BACKFILL_TAG, MOST_RUNS, backfill, requested_backfills, requested_turns
from continuum_pipelines.claims import PARTITION_TAG, WILL_RETRY_TAG
from continuum_pipelines.definitions import defs
from continuum_pipelines.resources.store import StoreResource
from tests.builders import interactions
from tests.stub_endpoint import StubEndpoint, error, scores, stub_endpoint

FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)
RUBRIC = [{"name": "truth", "weight": 1, "description": "Nothing in it is made up", "anchors": {"1": "all made up"}}]


def a_task(store: Store, stub: StubEndpoint | None, name: str = "support", count: int = 4) -> None:
    address = stub.base_url if stub else "http://127.0.0.1:9/v1"
    judge = JudgePolicy(model="stub", base_url=address, admission="off", concurrency=2)
    store.tasks.register(TaskPolicy(task=name, judge=judge))
    store.interactions.add(interactions(count, task=name))


async def ran(instance: dg.DagsterInstance, task: str = "support", **config: Any) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions("task", [task])
    return await asyncio.to_thread(
        backfill.execute_in_process,
        run_config={"ops": {"judge_again": {"config": config}}},
        partition_key=task,
        resources={"store": StoreResource()},
        instance=instance,
        raise_on_error=False,
    )


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata that the run's step left."""
    (event,) = result.get_step_success_events()
    handled = next(one for one in result.all_events if one.is_successful_output)
    assert event.step_key == "judge_again"
    return {name: value.value for name, value in handled.step_output_data.metadata.items()}


async def test_a_partition_is_judged_by_the_rubric_of_the_launchpad_and_the_run_tells_how_scores_moved(
    store: Store, instance: dg.DagsterInstance
) -> None:
    async with stub_endpoint(lambda n, body: scores(truth=2) if "truth" in str(body) else FOURS) as stub:
        a_task(store, stub)
        assert (await ran(instance)).success
        tried = await ran(instance, rubric=RUBRIC)
        assert (tried.success, stub.calls) == (True, 8)
        metadata = shown(tried)
        assert (metadata["wanted"], metadata["judged"], metadata["missing"]) == (4, 4, 0)
        assert (metadata["mean_before"], metadata["mean_after"]) == (4.0, 2.0)
        assert len(metadata["most_moved"].records) == 4

        adopted = await ran(instance, rubric=RUBRIC, adopt=True, since="3650d")
        assert (adopted.success, stub.calls) == (True, 8)
    assert store.tasks.get("support").policy.judge.criteria == (
        Criterion("truth", 1.0, "Nothing in it is made up", {1: "all made up"}),
    )


async def test_what_is_missing_fails_the_run_and_its_repetition_does_only_that(
    store: Store, instance: dg.DagsterInstance
) -> None:
    down = True

    def reply(n: int, body: dict) -> Any:
        return error(400, "overloaded") if down and "number 2" in str(body) else FOURS

    async with stub_endpoint(reply) as stub:
        a_task(store, stub)
        failed = await ran(instance)
        assert not failed.success
        told = failed.get_step_failure_events()[0].step_failure_data
        assert "1 of 4 are missing" in str(told.user_failure_data.description if told.user_failure_data else "")
        (row,) = store.backfills.newest()
        assert (row.state, row.id) == ("incomplete", f"run-{failed.run_id}")

        down, calls = False, stub.calls
        again = await asyncio.to_thread(repeated, instance, failed.run_id)
        assert again.success
        assert stub.calls == calls + 1
    assert [one.state for one in store.backfills.newest()] == ["done"]


def repeated(instance: dg.DagsterInstance, run_id: str) -> dg.JobExecutionResult:
    """As the UI executes a failed run again, from its failure."""
    reexecution = dg.ReexecutionOptions.from_failure(run_id, instance)
    job = dg.reconstructable(the_job)
    tags = {PARTITION_TAG: "support"}
    return dg.execute_job(job, instance, tags=tags, reexecution_options=reexecution, raise_on_error=True)


def the_job() -> dg.JobDefinition:
    return defs.resolve_job_def("backfill")


async def test_a_task_without_traffic_or_judge_has_nothing_to_do_and_fails_no_backfill(
    store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(store, None, "empty", 0)
    store.tasks.register(TaskPolicy(task="unjudged"))
    store.interactions.add(interactions(2, task="unjudged"))
    assert (await ran(instance, "empty")).success
    assert (await ran(instance, "unjudged")).success
    assert store.backfills.newest() == []


@pytest.mark.parametrize(
    "config", [{"since": "soon"}, {"adopt": True}, {"rubric": [{"name": "x"}]}, {"backfill": "nothing"}, {"until": "2999-01-01"}]
)
async def test_a_config_that_cannot_be_meant_fails_the_run_and_begins_nothing(
    store: Store, instance: dg.DagsterInstance, config: dict[str, Any]
) -> None:
    a_task(store, None)
    assert not (await ran(instance, **config)).success
    assert store.backfills.newest() == []


async def test_a_backfill_of_another_task_is_not_worked_on(store: Store, instance: dg.DagsterInstance) -> None:
    a_task(store, None)
    a_task(store, None, "other")
    row = ask(store, "other", asked_by="me", driver="dagster")
    assert not (await ran(instance, backfill=row.id)).success
    assert known(store, row.id).state == "open"


# --- the sensors -----------------------------------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster with its memory in this process, which repeats killed runs as the project's own does."""
    with dg.DagsterInstance.ephemeral(settings={"run_retries": {"enabled": True}}) as opened:
        yield opened


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Callable[..., dg.SensorResult | dg.SkipReason]:
    def look(sensor: dg.SensorDefinition = requested_backfills) -> dg.SensorResult | dg.SkipReason:
        with dg.build_sensor_context(instance=instance, resources={"store": StoreResource()}) as context:
            return sensor(context)  # pyright: ignore[reportReturnType]

    return look


def told(result: dg.SensorResult | dg.SkipReason) -> str:
    skipped = result if isinstance(result, dg.SkipReason) else result.skip_reason
    return str(skipped.skip_message) if skipped else ""


def requested(result: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []


def a_run(instance: dg.DagsterInstance, row: BackfillRow, status: Run, **tags: str) -> dg.DagsterRun:
    decided = {WILL_RETRY_TAG: "false"} if status is Run.FAILURE else {}
    run = dg.DagsterRun(job_name="backfill", run_id=new_id(), status=status, tags={BACKFILL_TAG: row.id, **decided, **tags})
    return instance.add_run(run)


def left(store: Store, name: str = "support") -> BackfillRow:
    a_task(store, None, name)
    return ask(store, name, asked_by="me", driver="dagster")


def test_what_is_left_for_the_daemon_gets_one_run_and_its_partition(
    store: Store, instance: dg.DagsterInstance, tick: Callable
) -> None:
    assert "no backfill is left" in told(tick())
    row = left(store)

    result = tick()

    (request,) = requested(result)
    assert (request.run_key, request.partition_key) == (f"backfill:{row.id}:0", "support")
    assert request.tags[BACKFILL_TAG] == row.id
    assert result.dynamic_partitions_requests[0].partition_keys == ["support"]
    a_run(instance, row, Run.STARTED)
    assert requested(tick()) == []
    assert "1 left for the daemon: support: 0 of 4 judged, a run is under way" in told(tick())


def test_what_somebody_works_on_is_left_to_them_and_what_a_killed_run_left_gets_another(
    store: Store, instance: dg.DagsterInstance, tick: Callable
) -> None:
    row = left(store)
    run = a_run(instance, row, Run.FAILURE)
    store.backfills.claim(row.id, "somebody", lasts=timedelta(minutes=5))
    assert "somebody is working on it" in told(tick())

    killed = left(store, "killed")
    a_run(instance, killed, Run.FAILURE, **{WILL_RETRY_TAG: "true"})
    store.backfills.claim(killed.id, "gone", lasts=timedelta(minutes=1), now=lambda: utc_now() - timedelta(hours=1))
    assert requested(tick()) == []
    for one in instance.get_runs(dg.RunsFilter(tags={BACKFILL_TAG: killed.id})):
        instance.delete_run(one.run_id)
    a_run(instance, killed, Run.FAILURE)
    assert [request.run_key for request in requested(tick())] == [f"backfill:{killed.id}:1"]
    assert run.run_id


def test_a_run_that_failed_a_moment_ago_is_waited_for_until_dagster_has_said_whether_it_is_repeated(
    store: Store, instance: dg.DagsterInstance, tick: Callable
) -> None:
    row = left(store)
    run = dg.DagsterRun(job_name="backfill", run_id=new_id(), status=Run.FAILURE, tags={BACKFILL_TAG: row.id})
    instance.add_run(run)
    assert requested(tick()) == []

    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    assert [request.run_key for request in requested(tick())] == [f"backfill:{row.id}:1"]


def test_a_run_that_was_canceled_before_it_began_cancels_its_backfill(
    store: Store, instance: dg.DagsterInstance, tick: Callable
) -> None:
    row = left(store)
    a_run(instance, row, Run.CANCELED)
    assert "was canceled" in told(tick())
    assert known(store, row.id).state == "cancelled"

    ask_again(store, row.id, driver="dagster")
    assert [request.run_key for request in requested(tick())] == [f"backfill:{row.id}:1"]


def test_runs_that_never_begin_are_not_repeated_without_end(store: Store, instance: dg.DagsterInstance, tick: Callable) -> None:
    row = left(store)
    for _ in range(MOST_RUNS):
        assert len(requested(tick())) == 1
        a_run(instance, row, Run.FAILURE)
    assert f"{MOST_RUNS} runs ended without ending it" in told(tick())
    assert known(store, row.id).state == "incomplete"

    ask_again(store, row.id, driver="dagster")
    assert [request.run_key for request in requested(tick())] == [f"backfill:{row.id}:{MOST_RUNS}"]


async def test_a_run_of_the_sensor_judges_and_ends_what_was_left(
    store: Store, instance: dg.DagsterInstance, tick: Callable
) -> None:
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        a_task(store, stub)
        row = ask(store, "support", asked_by="me", driver="dagster")
        (request,) = requested(await asyncio.to_thread(tick))
        done = await ran(instance, **request.run_config["ops"]["judge_again"]["config"])
    assert done.success
    assert (known(store, row.id).state, stub.calls) == ("done", 4)
    assert "no backfill is left" in told(await asyncio.to_thread(tick))


def test_a_whole_turn_that_was_left_is_a_run_of_the_flywheel_and_ends_as_it_does(
    store: Store, instance: dg.DagsterInstance, tick: Callable
) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    store.interactions.add(interactions(3))
    row = planned_turn(store, "support", asked_by="me", driver="dagster")
    store.backfills.add(row)

    assert "no backfill is left" in told(tick())
    (request,) = requested(tick(requested_turns))
    (again,) = requested(tick(requested_turns))
    assert request.run_key == again.run_key == f"backfill:{row.id}:0"
    instance.add_dynamic_partitions("task", ["support"])
    flywheel = defs.resolve_job_def("flywheel")
    done = flywheel.execute_in_process(instance=instance, partition_key="support", tags=request.tags)

    assert done.success
    assert "waiting" in told(tick(requested_turns))
    assert (known(store, row.id).state, done.run_id in str(known(store, row.id).reason)) == ("incomplete", True)
    assert "no whole turn is left" in told(tick(requested_turns))

    ask_again(store, row.id, driver="dagster")
    assert [one.run_key for one in requested(tick(requested_turns))] == [f"backfill:{row.id}:1"]


def test_a_turn_whose_run_failed_says_so(store: Store, instance: dg.DagsterInstance, tick: Callable) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    store.interactions.add(interactions(3))
    row = planned_turn(store, "support", asked_by="me", driver="dagster")
    store.backfills.add(row)
    tick(requested_turns)
    run = a_run(instance, row, Run.FAILURE)
    assert f"run {run.run_id} failed" in told(tick(requested_turns))
    assert known(store, row.id).state == "incomplete"


def test_three_hundred_backfills_take_one_look_at_the_store_and_one_at_the_runs(
    store: Store, home_instance: dg.DagsterInstance
) -> None:
    from sqlalchemy import event

    store.interactions.add(one for n in range(300) for one in interactions(1, task=f"task-{n}"))
    for n in range(300):
        store.tasks.ensure(f"task-{n}")
        store.backfills.add(BackfillRow(task=f"task-{n}", driver="dagster", asked_by="me", wanted=1))
    home_instance.add_dynamic_partitions("task", store.tasks.names())
    resource = StoreResource()
    asked: list[str] = []
    event.listen(resource.build().engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    with dg.build_sensor_context(instance=home_instance, resources={"store": resource}) as context:
        result = requested_backfills(context)
    assert isinstance(result, dg.SensorResult)
    assert len(result.run_requests or []) == 300
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1
