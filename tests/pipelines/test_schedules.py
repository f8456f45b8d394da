"""Nightly work: in each task's own time zone, once a night, and with a reason where there is none."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run
from sqlalchemy import event, update

from continuum.ids import new_id
from continuum.policy import CapturePolicy, JudgePolicy, SchedulePolicy, TaskPolicy
from continuum.records import Checkpoint, DatasetRecord
from continuum.store.database import Store
from continuum.store.tables import tasks
from continuum_pipelines.claims import PARTITION_TAG
from continuum_pipelines.curves import drawn_of
from continuum_pipelines.definitions import defs
from continuum_pipelines.nights import NIGHT_TAG, WHY_TAG
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.schedules import (
    anchors_when_due,
    nightly_annotation,
    nightly_learning_curve,
    nightly_retention,
)
from tests.builders import NOON, interactions

ALL_FOUR = [nightly_annotation, anchors_when_due, nightly_retention, nightly_learning_curve]
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
JUDGE = JudgePolicy(model="gpt-4o", base_url="http://127.0.0.1:1/v1")
QUARTER = timedelta(minutes=15)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def task(store: Store, home_instance: dg.DagsterInstance) -> Callable[..., str]:
    """Registers a task that has been there since long ago, with its partition; returns its name."""

    def register(name: str = "support", zone: str = "UTC", hour: int = 3, **policy: object) -> str:
        schedule = SchedulePolicy(time_zone=zone, hour=hour)
        store.tasks.register(TaskPolicy(task=name, schedule=schedule, **policy), now=lambda: LONG_AGO)  # type: ignore[arg-type]
        home_instance.add_dynamic_partitions("task", [name])
        return name

    return register


@pytest.fixture
def tick(home_instance: dg.DagsterInstance) -> Callable[..., list[dg.RunRequest] | str]:
    """One tick of a schedule: the runs that it asks for, which are then in Dagster's memory, or why there are none."""

    def look(schedule: dg.ScheduleDefinition, at: datetime, *, launched: bool = True) -> list[dg.RunRequest] | str:
        with dg.build_schedule_context(
            instance=home_instance, scheduled_execution_time=at, resources={"store": StoreResource()}
        ) as context:
            found = schedule(context)
        if isinstance(found, dg.SkipReason):
            return str(found.skip_message)
        assert isinstance(found, list)
        for request in found if launched else ():
            home_instance.add_run(dg.DagsterRun(job_name="x", run_id=new_id(), status=Run.SUCCESS, tags=dict(request.tags)))
        return found

    return look


def served(found: Sequence[list[dg.RunRequest] | str]) -> list[str]:
    """The run keys of several ticks."""
    return [str(request.run_key) for one in found if not isinstance(one, str) for request in one]


def looking(start: datetime, hours: float, every: timedelta = QUARTER) -> list[datetime]:
    return [start + every * n for n in range(int(timedelta(hours=hours) / every))]


def test_the_night_asks_for_each_task_that_has_a_judge(
    task: Callable[..., str], store: Store, tick: Callable[..., list[dg.RunRequest]]
) -> None:
    task("judged", judge=JUDGE)
    task("by-hand", judge=JUDGE, auto_annotate=False)
    task("unjudged")
    store.tasks.register(TaskPolicy(task="without-partition", judge=JUDGE), now=lambda: LONG_AGO)

    (request,) = tick(nightly_annotation, utc("2026-03-02T03:00"))

    assert (request.partition_key, request.run_key) == ("judged", "annotate:judged:2026-03-02")
    assert request.tags == {
        NIGHT_TAG + "annotate": "2026-03-02 2026-03-02T03:00Z judged",
        WHY_TAG: "its day is to be judged",
        PARTITION_TAG: "judged",
    }


def test_each_task_has_its_night_when_its_own_clock_says_so(
    task: Callable[..., str], tick: Callable[..., list[dg.RunRequest]]
) -> None:
    for name, zone in (("berlin", "Europe/Berlin"), ("kathmandu", "Asia/Kathmandu"), ("new-york", "America/New_York")):
        task(name, zone, judge=JUDGE)

    found = {at: tick(nightly_annotation, at) for at in looking(utc("2026-11-23T20:00"), 13)}

    begun = {at: [request.partition_key for request in one] for at, one in found.items() if not isinstance(one, str)}
    # At 20:00 the night of Nepal's 23rd was long over by its own clock, and those of the others were open since the morning.
    assert begun == {
        utc("2026-11-23T20:00"): ["berlin", "new-york"],
        utc("2026-11-23T21:15"): ["kathmandu"],
        utc("2026-11-24T02:00"): ["berlin"],
        utc("2026-11-24T08:00"): ["new-york"],
    }


@pytest.mark.parametrize("change", ["2026-03-28T20:00", "2026-10-24T20:00"])
def test_where_the_clocks_change_each_night_is_asked_for_once(
    change: str, task: Callable[..., str], tick: Callable[..., list[dg.RunRequest]]
) -> None:
    task(zone="Europe/Berlin", hour=2, judge=JUDGE)
    tick(nightly_annotation, utc(change) - QUARTER)
    days = [(utc(change) + timedelta(days=n)).date() for n in (1, 2)]
    assert served([tick(nightly_annotation, at) for at in looking(utc(change), 32, timedelta(hours=1))]) == [
        f"annotate:support:{day}" for day in days
    ]


def test_a_daemon_that_was_down_over_the_hour_catches_up_once_on_the_same_day(
    task: Callable[..., str], tick: Callable[..., list[dg.RunRequest]]
) -> None:
    task(judge=JUDGE)
    assert served([tick(nightly_annotation, at) for at in looking(utc("2026-11-23T15:30"), 11, timedelta(hours=1))]) == [
        "annotate:support:2026-11-23"
    ]


def test_a_tick_that_was_killed_before_its_runs_were_launched_is_made_up_for(
    task: Callable[..., str], tick: Callable[..., list[dg.RunRequest]]
) -> None:
    task(judge=JUDGE)
    lost = tick(nightly_annotation, utc("2026-11-23T03:00"), launched=False)
    again = tick(nightly_annotation, utc("2026-11-23T03:15"))
    assert [request.run_key for request in lost] == [request.run_key for request in again]
    assert tick(nightly_annotation, utc("2026-11-23T03:30")) == "support: its night of 2026-11-23 is served"


def test_a_task_whose_zone_changed_is_not_served_twice_in_a_night(
    task: Callable[..., str], tick: Callable[..., list[dg.RunRequest]]
) -> None:
    task(zone="Pacific/Honolulu", judge=JUDGE)
    assert served([tick(nightly_annotation, at) for at in looking(utc("2026-11-23T13:00"), 0.5)]) == [
        "annotate:support:2026-11-23"
    ]
    # There it is the 24th an hour later.
    task(zone="Pacific/Auckland", judge=JUDGE)
    found = [tick(nightly_annotation, at) for at in looking(utc("2026-11-23T13:30"), 26, timedelta(hours=1))]
    assert served(found) == ["annotate:support:2026-11-25"]


def test_a_task_that_was_registered_at_noon_waits_for_its_first_night(
    store: Store, task: Callable[..., str], tick: Callable[..., list[dg.RunRequest] | str]
) -> None:
    task(judge=JUDGE)
    with store.engine.begin() as connection:
        connection.execute(update(tasks).values(created_at=utc("2026-11-23T12:00")))
    told = "support: its night begins in 14.5 h, at 03:00 UTC"
    assert tick(nightly_annotation, utc("2026-11-23T12:30")) == told
    assert served([tick(nightly_annotation, utc("2026-11-24T03:00"))]) == ["annotate:support:2026-11-24"]


def test_a_policy_that_cannot_be_read_keeps_no_other_task_from_its_night(
    store: Store, task: Callable[..., str], tick: Callable[..., list[dg.RunRequest] | str]
) -> None:
    task(judge=JUDGE)
    task("broken", judge=JUDGE)
    with store.engine.begin() as connection:
        connection.execute(update(tasks).where(tasks.c.name == "broken").values(policy={"task": "broken", "no": 1}))
    assert served([tick(nightly_annotation, utc("2026-11-23T03:00"))]) == ["annotate:support:2026-11-23"]
    assert "broken: the stored policy" in tick(nightly_annotation, utc("2026-11-23T03:15"))


def test_retention_is_applied_at_night_where_nothing_is_captured_any_more(
    store: Store, task: Callable[..., str], tick: Callable[..., list[dg.RunRequest]], home_instance: dg.DagsterInstance
) -> None:
    task(capture=CapturePolicy(retention_days=30))
    task("keeps-all")
    store.interactions.add([*interactions(3), *interactions(2, task="keeps-all")])
    night = NOON.replace(hour=3) + timedelta(days=20)
    assert tick(nightly_retention, night) == (
        "keeps-all: it keeps everything, has none older than 19 days and 0 dataset versions; "
        "support: it keeps 30 days, has none older than 19 days and 0 dataset versions"
    )

    (request,) = tick(nightly_retention, night + timedelta(days=20))

    assert (request.partition_key, request.run_key) == ("support", "retention:support:2026-04-10")
    assert request.tags[WHY_TAG] == "its oldest interaction began 39 days ago, and it keeps 30"
    job = defs.resolve_job_def("retention")
    assert job.execute_in_process(instance=home_instance, partition_key="support").success
    assert (store.interactions.count("support"), store.interactions.count("keeps-all")) == (0, 2)


def test_a_task_with_dataset_versions_is_looked_through_for_what_was_erased(
    store: Store, task: Callable[..., str], tick: Callable[..., list[dg.RunRequest]]
) -> None:
    task()
    store.datasets.add(a_golden(1), [])
    (request,) = tick(nightly_retention, utc("2026-11-23T03:00"))
    assert request.tags[WHY_TAG] == "its 1 dataset versions are looked through for what was erased"


def test_the_curve_is_drawn_again_only_where_models_or_the_golden_set_have_changed(
    store: Store, task: Callable[..., str], tick: Callable[..., list[dg.RunRequest] | str], home_instance: dg.DagsterInstance
) -> None:
    task()
    night = utc("2026-11-23T03:00")
    assert tick(nightly_learning_curve, night) == "support: it has 0 models and no golden dataset"

    store.datasets.add(a_golden(1), [])
    store.checkpoints.add(a_checkpoint(1))
    assert served([tick(nightly_learning_curve, night)]) == ["curve:support:2026-11-23"]

    drawn(home_instance, store.overview.learned()["support"].fingerprint)
    told = "support: its curve is of its 1 models and the newest golden dataset"
    assert tick(nightly_learning_curve, night + timedelta(days=1)) == told

    store.checkpoints.add(a_checkpoint(2))
    assert served([tick(nightly_learning_curve, night + timedelta(days=1))]) == ["curve:support:2026-11-24"]
    drawn(home_instance, store.overview.learned()["support"].fingerprint)
    store.datasets.add(a_golden(2), [])
    assert served([tick(nightly_learning_curve, night + timedelta(days=2))]) == ["curve:support:2026-11-25"]


def test_a_curve_that_a_waiting_turn_leaves_as_it_is_stays_known(
    store: Store, task: Callable[..., str], home_instance: dg.DagsterInstance
) -> None:
    task()
    drawn(home_instance, "golden/checkpoint/1")
    job = defs.resolve_job_def("curve")
    assert job.execute_in_process(instance=home_instance, partition_key="support").success
    assert drawn_of(home_instance) == {"support": "golden/checkpoint/1"}


@pytest.mark.parametrize("schedule", ALL_FOUR, ids=lambda schedule: schedule.name)
def test_a_schedule_explains_itself_in_few_words_however_many_tasks_there_are(
    schedule: dg.ScheduleDefinition, store: Store, task: Callable[..., str], tick: Callable[..., list[dg.RunRequest] | str]
) -> None:
    assert tick(schedule, utc("2026-11-23T03:00")) == "0 tasks have a partition yet"
    for number in range(40):
        task(f"task-{number:02}", "Asia/Tokyo" if number % 2 else "UTC")
    told = tick(schedule, utc("2026-11-23T03:00"))
    assert isinstance(told, str)
    assert "and 30 more: " in told
    assert len(told) < 2500


@pytest.mark.parametrize("schedule", ALL_FOUR, ids=lambda schedule: schedule.name)
def test_a_schedule_asks_the_store_as_little_of_forty_tasks_as_of_two(
    schedule: dg.ScheduleDefinition, store: Store, task: Callable[..., str], tick: Callable[..., list[dg.RunRequest] | str]
) -> None:
    sent: list[str] = []
    engine = StoreResource().build().engine
    event.listen(engine, "before_cursor_execute", lambda _1, _2, statement, *_: sent.append(statement))
    asked = []
    for number in range(40):
        task(f"task-{number:02}", judge=JUDGE, auto_annotate=number > 40)
        if number in (1, 39):
            sent.clear()
            tick(schedule, utc("2026-11-23T03:00"))
            asked.append(len(sent))
    assert asked[0] == asked[1] > 0


def drawn(instance: dg.DagsterInstance, version: str) -> None:
    """As after the curve was drawn."""
    tags = {"dagster/data_version": version}
    instance.report_runless_asset_event(dg.AssetMaterialization("learning_curve", partition="support", tags=tags))


def a_golden(version: int) -> DatasetRecord:
    return DatasetRecord(
        id=f"g{version}",
        task="support",
        kind="golden",
        name=f"support_golden_v{version}",
        version=version,
        uri=str(Path("nowhere")),
        manifest={},
    )


def a_checkpoint(version: int) -> Checkpoint:
    return Checkpoint(task="support", version=version, base_model="tiny", uri="nowhere", dataset_id="g1")
