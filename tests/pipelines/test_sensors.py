from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run
from sqlalchemy import event, update

from continuum.ids import new_id
from continuum.records import DatasetRecord
from continuum.store.database import Store
from continuum.store.tables import tasks
from continuum_pipelines.claims import BASE_TAG, HOLDER, PARTITION_TAG
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.sensors import enough_new_data, new_tasks
from tests.builders import interactions


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Callable[..., dg.SensorResult | dg.SkipReason]:
    """One look of a sensor at the store and at Dagster's memory; the cursor goes from tick to tick."""
    cursors: dict[str, str | None] = {}

    def look(sensor: dg.SensorDefinition = enough_new_data) -> dg.SensorResult | dg.SkipReason:
        with dg.build_sensor_context(
            instance=instance, cursor=cursors.get(sensor.name), resources={"store": StoreResource()}
        ) as context:
            result = sensor(context)
        if isinstance(result, dg.SensorResult) and result.cursor is not None:
            cursors[sensor.name] = result.cursor
        return result

    return look


def a_run(instance: dg.DagsterInstance, status: Run, task: str = "support", **tags: str) -> dg.DagsterRun:
    run = dg.DagsterRun(job_name="flywheel", run_id=new_id(), status=status, tags={PARTITION_TAG: task, **tags})
    return instance.add_run(run)


def materialized(instance: dg.DagsterInstance, task: str = "support") -> None:
    """As after the task's bootstrap."""
    instance.report_runless_asset_event(dg.AssetMaterialization("raw_interactions", partition=task))


def reason(result: dg.SensorResult | dg.SkipReason) -> str:
    skipped = result if isinstance(result, dg.SkipReason) else result.skip_reason
    assert skipped is not None, result
    return str(skipped.skip_message)


def requests(result: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    assert isinstance(result, dg.SensorResult), result
    return list(result.run_requests or [])


def test_a_new_task_gets_its_partition_once(
    store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    store.tasks.ensure("support")
    store.tasks.ensure("billing")

    first = tick(new_tasks)
    (added,) = first.dynamic_partitions_requests

    assert (added.partitions_def_name, list(added.partition_keys)) == ("task", ["billing", "support"])
    assert reason(first) == "2 tasks in the store, 0 of them have their partition; billing, support get theirs now"
    instance.add_dynamic_partitions("task", added.partition_keys)
    second = tick(new_tasks)
    assert not second.dynamic_partitions_requests
    assert reason(second) == "2 tasks in the store, 2 of them have their partition"


def test_a_partition_of_no_task_is_named_and_counted_for_none(
    store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    store.tasks.ensure("support")
    instance.add_dynamic_partitions("task", ["support", "ghost", "\x1b[31mred"])

    told = reason(tick(new_tasks))

    assert told.startswith("1 tasks in the store, 1 of them have their partition; ghost, red are partitions of no task")
    instance.delete_dynamic_partition("task", "ghost")
    assert "ghost" not in reason(tick(new_tasks))


def test_of_many_new_tasks_a_tick_names_a_few(store: Store, tick: Callable[..., dg.SensorResult]) -> None:
    for number in range(9):
        store.tasks.ensure(f"task-{number}")
    assert reason(tick(new_tasks)).endswith("; task-0, task-1, task-2, task-3, task-4 and 4 more get theirs now")


def test_below_the_threshold_the_sensor_says_how_far_it_is(
    a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=9, auto_train_when=10)
    assert reason(tick()) == "support: 9 of 10 new interactions"


def test_however_many_tasks_there_are_the_nearest_to_a_turn_are_told_and_the_others_counted(
    a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    for number in range(30):
        a_task(name=f"task-{number:02}", captured=number % 3, auto_train_when=10 if number % 2 else None)
    told = reason(tick())
    assert told.startswith("task-05: 2 of 10 new interactions; task-11: 2 of 10")
    assert told.endswith("and 20 more: 15 turning only when asked, 5 below their threshold")
    assert len(told) < 1000


def test_the_sensor_asks_the_store_and_dagster_as_little_of_forty_tasks_as_of_two(
    a_task: Callable[..., str], instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    asked: list[str] = []
    for engine in (StoreResource().build().engine, instance.event_log_storage._engine, instance.run_storage._engine):  # type: ignore[attr-defined]
        event.listen(engine, "before_cursor_execute", lambda _1, _2, statement, *_: asked.append(statement))
    counts = []
    for number in range(40):
        a_task(name=f"task-{number:02}", captured=1, auto_train_when=1)
        if number in (1, 39):
            asked.clear()
            assert "its first run is about to start" in reason(tick())
            counts.append(len(asked))
    assert counts[0] == counts[1] > 0


def test_a_policy_that_cannot_be_read_keeps_no_other_task_from_its_turn(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=12, auto_train_when=10)
    a_task(name="broken", captured=12, auto_train_when=10)
    materialized(instance)
    with store.engine.begin() as connection:
        connection.execute(update(tasks).where(tasks.c.name == "broken").values(policy={"task": "broken", "no": 1}))

    assert [request.partition_key for request in requests(tick())] == ["support"]


def test_a_task_that_never_asked_is_not_turned(a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]) -> None:
    a_task(captured=50)
    assert "only when asked" in reason(tick())


def test_enough_data_starts_one_turn_decided_on_the_high_water_mark(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=25, auto_train_when=10)
    materialized(instance)
    store.tasks.advance("support", base=0, to=7)

    (request,) = requests(tick())

    assert request.partition_key == "support"
    assert request.tags[BASE_TAG] == "7"
    assert request.run_key == "turn:support:7:10:1"


def test_two_ticks_on_the_same_data_ask_for_the_same_run(
    a_task: Callable[..., str], instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=12, auto_train_when=10)
    materialized(instance)
    assert [request.run_key for request in requests(tick())] == [request.run_key for request in requests(tick())]


def test_after_a_turn_that_learned_nothing_the_next_full_batch_starts_another(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=10, auto_train_when=10)
    materialized(instance)
    (first,) = requests(tick())
    a_run(instance, Run.SUCCESS)

    store.interactions.add(interactions(9))
    (same,) = requests(tick())
    store.interactions.add(interactions(1))
    (next_batch,) = requests(tick())

    assert first.run_key == same.run_key != next_batch.run_key


@pytest.mark.parametrize("status", [Run.NOT_STARTED, Run.STARTING, Run.STARTED, Run.CANCELING])
def test_a_task_with_a_run_under_way_is_left_alone(
    status: Run, a_task: Callable[..., str], instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=20, auto_train_when=10)
    materialized(instance)
    a_run(instance, status)
    assert "a run is under way" in reason(tick())


def test_a_crash_that_will_be_retried_counts_as_under_way_until_its_retry_exists(
    a_task: Callable[..., str], instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=20, auto_train_when=10)
    materialized(instance)
    crashed = a_run(instance, Run.FAILURE, **{"dagster/will_retry": "true"})
    assert "a run is under way" in reason(tick())

    retry = a_run(instance, Run.SUCCESS)
    instance.add_run_tags(crashed.run_id, {"dagster/auto_retry_run_id": retry.run_id})
    assert len(requests(tick())) == 1


def test_the_run_of_another_task_holds_nothing_up(
    a_task: Callable[..., str], instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=20, auto_train_when=10)
    materialized(instance)
    a_run(instance, Run.STARTED, task="billing")
    assert len(requests(tick())) == 1


def test_a_task_that_another_driver_turns_is_left_to_it(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=20, auto_train_when=10)
    materialized(instance)
    store.tasks.claim("support", "laptop-17", lasts=timedelta(hours=1))
    assert "laptop-17 is turning it" in reason(tick())


def test_the_claim_of_a_run_that_was_killed_for_good_is_given_back(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=20, auto_train_when=10)
    materialized(instance)
    dead = a_run(instance, Run.FAILURE)
    store.tasks.claim("support", HOLDER + dead.run_id, lasts=timedelta(hours=12))

    assert len(requests(tick())) == 1
    assert store.tasks.get("support").claimed_by is None


def test_the_claim_of_a_killed_run_waits_for_its_retry(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=20, auto_train_when=10)
    materialized(instance)
    dead = a_run(instance, Run.FAILURE, **{"dagster/will_retry": "true"})
    store.tasks.claim("support", HOLDER + dead.run_id, lasts=timedelta(hours=12))

    tick()

    assert store.tasks.get("support").claimed_by == HOLDER + dead.run_id


def test_the_first_turn_is_left_to_the_bootstrap_for_a_while(
    a_task: Callable[..., str],
    instance: dg.DagsterInstance,
    tick: Callable[..., dg.SensorResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_task(captured=20, auto_train_when=10)
    assert "its first run is about to start" in reason(tick())

    monkeypatch.setattr("continuum_pipelines.sensors.BOOTSTRAP_GRACE", timedelta(0))
    assert len(requests(tick())) == 1


def test_a_task_whose_bootstrap_had_to_wait_gets_its_first_turn_from_the_threshold(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=4, auto_train_when=10)
    materialized(instance)
    assert "4 of 10" in reason(tick())

    store.interactions.add(interactions(6))

    (request,) = requests(tick())
    assert request.tags[BASE_TAG] == "0"


def test_every_tick_shows_the_store_that_a_driver_lives(
    a_task: Callable[..., str], store: Store, tick: Callable[..., dg.SensorResult]
) -> None:
    a_task()
    tick()
    assert store.tasks.get("support").driver == "dagster"


def test_a_task_whose_terms_nobody_accepted_waits_and_says_whose_answers_they_are(
    store: Store, instance: dg.DagsterInstance, a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=12, auto_train_when=10, provider_terms_accepted=False)
    materialized(instance)
    manifest = {"models": {"gpt-4": 12}}
    named = {"id": "d", "task": "support", "kind": "training", "name": "support_training_v1", "version": 1, "uri": ""}
    store.datasets.add(DatasetRecord.model_validate(named | {"manifest": manifest}), [])

    assert "12 of 10 new interactions, waits for provider_terms_accepted: it would learn from answers of gpt-4" in reason(tick())

    policy = store.tasks.get("support").policy
    store.tasks.register(policy.model_copy(update={"provider_terms_accepted": True}))
    assert len(requests(tick())) == 1


def test_a_turn_that_stopped_at_unaccepted_terms_is_asked_for_anew_once_they_are_accepted(
    store: Store, instance: dg.DagsterInstance, a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(captured=12, auto_train_when=10, provider_terms_accepted=False)
    materialized(instance)
    (before,) = requests(tick())

    policy = store.tasks.get("support").policy
    store.tasks.register(policy.model_copy(update={"provider_terms_accepted": True}))
    (after,) = requests(tick())

    assert before.run_key != after.run_key
