"""Late feedback under Dagster: what the sensor starts and says, and a run that gives a verdict again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run
from sqlalchemy import event

from continuum.policy import SplitPolicy, TaskPolicy
from continuum.records import Checkpoint, DatasetRecord, Feedback, Verdict, VerdictStatus
from continuum.reopening import look
from continuum.splits.golden_growth import hold_out
from continuum.store.database import Store
from continuum.store.reopenings import Reopening
from continuum_pipelines.claims import BOOTSTRAP, TRIGGER_TAG, stand_down
from continuum_pipelines.definitions import defs
from continuum_pipelines.late_feedback import LATE, late_feedback
from continuum_pipelines.partitions import tasks as partitions
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.sensors import enough_new_data
from tests.builders import NOON, an_interaction, interactions
from tests.pipelines.test_sensors import a_run, reason, requests
from tests.tiny_model import CITIES, RIGHT, UNSURE, question

LATER = NOON + timedelta(days=1)


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Callable[..., dg.SensorResult]:
    """One tick of a sensor."""

    def look_once(sensor: dg.SensorDefinition = late_feedback) -> dg.SensorResult:
        with dg.build_sensor_context(instance=instance, resources={"store": StoreResource()}) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    return look_once


def used(store: Store, task: str = "support", captured: int = 10) -> None:
    """A task with interactions that a training set has considered."""
    rows = interactions(captured, task=task)
    store.interactions.add(one.model_copy(update={"id": f"{task}-{n}"}) for n, one in enumerate(rows))
    through = store.interactions.last_sequence(task)
    manifest = {"after": 0, "through": through, "feedback": {"read_at": NOON.isoformat()}}
    store.datasets.add(
        DatasetRecord(
            id=f"d-{task}", task=task, name=f"{task}_training_v1", version=1, uri="x", manifest=manifest, created_at=NOON
        ),
        [],
    )
    store.tasks.advance(task, base=0, to=through)


def a_verdict(store: Store, name: str = "v1") -> Verdict:
    """A verdict on the golden items of a task, that production was compared on."""
    policy = TaskPolicy(task="support", splits=SplitPolicy(golden=0.9, validation=0.05))
    store.tasks.register(policy)
    rows = interactions(30)
    store.interactions.add(rows)
    store.feedback.add((Feedback(interaction_id=row.id, score=5) for row in rows), now=lambda: NOON)
    golden = hold_out(store, policy)
    assert golden is not None
    store.checkpoints.add(Checkpoint(id="c1", task="support", version=1, base_model="tiny", uri="nowhere", dataset_id="d"))
    verdict = Verdict(
        id=name,
        task="support",
        checkpoint_id="c1",
        baseline="production",
        golden_id=golden.fingerprint,
        status=VerdictStatus.APPROVED,
        approved=True,
        evidence={"items": [{"id": item.interaction_id} for item in golden]},
    )
    store.verdicts.add(verdict)
    store.feedback.add([Feedback(interaction_id=golden.items[0].interaction_id, correction="No.")])
    return verdict


def test_without_late_feedback_nothing_starts_and_the_numbers_are_told(
    store: Store, a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    a_task()
    used(store)

    told = reason(tick())

    assert told.startswith("people spoke of 0 interactions of 1 tasks lately: 0 were opened for the next training set")


def test_interactions_wait_for_the_threshold_and_start_no_run_of_their_own(
    store: Store, a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(auto_train_when=3)
    used(store)
    store.feedback.add(Feedback(interaction_id=f"support-{n}", score=1) for n in range(2))

    assert "2 were opened" in reason(tick())
    assert "2 interactions of 1 tasks wait for their threshold" in reason(tick())
    assert "2 of 3 new interactions (2 of them reopened by late feedback)" in reason(tick(enough_new_data))


def test_reopened_interactions_start_a_turn_and_the_next_batch_another(
    store: Store, instance: dg.DagsterInstance, a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(auto_train_when=2)
    instance.report_runless_asset_event(dg.AssetMaterialization("raw_interactions", partition="support"))
    used(store)
    store.feedback.add(Feedback(interaction_id=f"support-{n}", score=1) for n in range(2))
    tick()

    (first,) = requests(tick(enough_new_data))
    assert requests(tick(enough_new_data))[0].run_key == first.run_key
    assert first.tags[TRIGGER_TAG] == "2 new interactions (2 of them reopened by late feedback)"

    # The turn considers them, and moves no mark: nothing of them was captured since.
    said = store.late_feedback.said(["support-0", "support-1"])
    seen = {one: [what] for one, what in said.items()}
    assert store.reopenings.consider(said, seen=seen, by="d-support", at=datetime.now(UTC), learned=()) == 2
    assert "0 of 2 new interactions" in reason(tick(enough_new_data))
    store.feedback.add(Feedback(interaction_id=f"support-{n}", score=1) for n in (3, 4))
    tick()

    (second,) = requests(tick(enough_new_data))
    assert second.run_key != first.run_key


def test_the_bootstrap_of_a_task_counts_what_is_reopened(
    store: Store, instance: dg.DagsterInstance, a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    a_task(auto_train_when=2)
    used(store)

    @dg.asset(partitions_def=partitions)
    def standing(context: dg.AssetExecutionContext) -> str:
        return str(stand_down(context, store))

    def bootstrapped() -> str:
        tags = {TRIGGER_TAG: BOOTSTRAP}
        return dg.materialize([standing], instance=instance, partition_key="support", tags=tags).output_for_node("standing")

    assert bootstrapped() == "waiting (0 of 2)"
    store.feedback.add(Feedback(interaction_id=f"support-{n}", score=1) for n in range(2))
    tick()
    assert bootstrapped() == "None"


def test_an_open_verdict_starts_one_run_an_hour_until_it_is_given_again(
    store: Store, instance: dg.DagsterInstance, a_task: Callable[..., str], tick: Callable[..., dg.SensorResult]
) -> None:
    a_task()
    a_verdict(store)

    (first,) = requests(tick())
    (again,) = requests(tick())

    assert (first.partition_key, first.tags, first.run_key) == ("support", {TRIGGER_TAG: LATE}, again.run_key)
    a_run(instance, Run.STARTED)
    assert "of 1 golden items of 1 verdicts people say otherwise, a run is under way" in reason(tick())


def test_three_hundred_tasks_cost_as_many_questions_as_three(
    store: Store, instance: dg.DagsterInstance, tick: Callable[..., dg.SensorResult]
) -> None:
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *found: asked.append(found[2]))

    def questions(tasks: int) -> int:
        for n in range(tasks):
            store.tasks.ensure(f"task-{n}")
            if not store.datasets.latest(f"task-{n}"):
                used(store, f"task-{n}", captured=1)
        store.feedback.add(Feedback(interaction_id=f"task-{n}-0", score=1) for n in range(tasks))
        look(store)
        asked.clear()
        look(store)
        return len(asked)

    assert questions(30) <= questions(3) + 2


def test_a_verdict_that_cannot_be_given_again_is_told_and_stays_open(store: Store, home_instance: dg.DagsterInstance) -> None:
    verdict = a_verdict(store)
    home_instance.add_dynamic_partitions("task", ["support"])
    look(store)
    job = defs.resolve_job_def("late_verdicts")

    result = job.execute_in_process(instance=home_instance, partition_key="support", tags={TRIGGER_TAG: LATE})

    # Its base model is nowhere.
    (left,) = result.get_asset_materialization_events()
    assert str(left.materialization.metadata["status"].value).startswith(f"verdict {verdict.id} cannot be given again")
    assert store.reopenings.open_of("support")


@pytest.mark.slow
def test_a_run_gives_an_open_verdict_again(store: Store, home_instance: dg.DagsterInstance, tiny_checkpoint: Checkpoint) -> None:
    policy = TaskPolicy(task="support", base_model=tiny_checkpoint.base_model, splits=SplitPolicy(golden=0.9, validation=0.05))
    store.tasks.register(policy)
    rows = [an_interaction(question(city), UNSURE, conversation_id=city) for city in CITIES]
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, correction=RIGHT) for row in rows)
    hold_out(store, policy)
    store.checkpoints.add(tiny_checkpoint)
    home_instance.add_dynamic_partitions("task", ["support"])
    job = defs.resolve_job_def("late_verdicts")
    job.execute_in_process(instance=home_instance, partition_key="support")
    first = store.verdicts.latest(tiny_checkpoint.id)
    assert first is not None
    store.feedback.add(Feedback(interaction_id=row.id, correction=UNSURE) for row in rows)
    look(store)

    result = job.execute_in_process(instance=home_instance, partition_key="support", tags={TRIGGER_TAG: LATE})

    second = store.verdicts.latest(tiny_checkpoint.id)
    assert second is not None
    assert second.id != first.id
    assert second.deltas["action_match"] < 0 < first.deltas["action_match"]
    (left,) = result.get_asset_materialization_events()
    assert left.materialization.metadata["given_again_verdicts"].value == second.id
    assert "people say otherwise of" in str(left.materialization.metadata["status"].value)
    assert store.reopenings.counts() == {}


def test_a_run_for_late_feedback_with_nothing_open_makes_no_verdict(store: Store, home_instance: dg.DagsterInstance) -> None:
    verdict = a_verdict(store)
    row = Reopening(interaction_id="gone", use="verdict", used_by="gone", task="support", said="s", opened_at=LATER)
    store.reopenings.open([row], "verdict")
    store.reopenings.drop_open(["gone"])
    home_instance.add_dynamic_partitions("task", ["support"])
    job = defs.resolve_job_def("late_verdicts")

    result = job.execute_in_process(instance=home_instance, partition_key="support", tags={TRIGGER_TAG: LATE})

    (left,) = result.get_asset_materialization_events()
    assert left.materialization.metadata["status"].value == "no verdict is open any more"
    assert store.verdicts.latest("c1") == store.verdicts.get(verdict.id)
