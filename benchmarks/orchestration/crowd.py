"""Many tasks with much traffic, in a store and in Dagster's memory, written in bulk through their own schemas.

A third of the tasks has a judge, a third keeps its interactions for a while, each sixtieth is above its threshold. Most have
models and a champion, every asset has been materialized for each of them some times, and their nights of a month were served.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterRunStatus as Run
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from sqlalchemy import Engine, insert, text

from continuum.ids import new_id
from continuum.policy import CapturePolicy, JudgePolicy, SchedulePolicy, TaskPolicy
from continuum.records import Checkpoint, DatasetRecord, Review
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.anchors import AnchorRound
from continuum.store.database import Store
from continuum.store.judging_tables import batches
from continuum.store.tables import bodies, interactions
from continuum_pipelines.nights import NIGHT_TAG

LINE = "raw_interactions judged_annotations curated_dataset lora_checkpoint guard_verdict deployment learning_curve"
ASSETS = tuple(LINE.split())
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Tokyo", "Australia/Adelaide")
EACH_IS_DUE = 60
"""Of so many tasks, one is above its threshold."""
NIGHTS = 30
HISTORY = 9
"""Earlier materializations of each asset and task."""
EACH_IS_AT_WORK = 8
"""Of so many tasks, one has a run under way."""
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Crowd:
    """How many there are of what."""

    tasks: int
    interactions: int
    open_batches: int = 5
    batch_url: str = "http://127.0.0.1:9/v1"
    """Where the provider of the open batches is found."""

    @property
    def names(self) -> list[str]:
        """The tasks."""
        return [f"task-{number:03}" for number in range(self.tasks)]


def fill_store(store: Store, crowd: Crowd, now: datetime, say: Callable[[str], None]) -> None:
    """Write the tasks and all that belongs to them."""
    per_task = crowd.interactions // crowd.tasks
    for number, name in enumerate(crowd.names):
        due = number % EACH_IS_DUE == 0
        wanted = None if number % 10 == 9 else per_task // 10 if due else per_task * 2
        policy = TaskPolicy(
            task=name,
            auto_train_when=wanted,
            judge=JudgePolicy(model="judge", base_url="http://127.0.0.1:9/v1") if number % 3 == 0 else JudgePolicy(),
            capture=CapturePolicy(retention_days=60 if number % 3 == 1 else None),
            schedule=SchedulePolicy(time_zone=ZONES[number % len(ZONES)]),
        )
        store.tasks.register(policy, now=lambda: LONG_AGO)
    say(f"writing {crowd.interactions:,} interactions")
    _interactions(store.engine, crowd, now)
    # Half of the tasks have learned from half of their traffic.
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE tasks SET trained_through = :mark WHERE name < :name"), {
            "mark": crowd.interactions // 2, "name": f"task-{crowd.tasks // 2:03}"})  # fmt: skip
    say("writing what they have learned")
    for number, name in enumerate(crowd.names):
        if number % 4 < 3:
            _learned(store, name, now, DeploymentState.CANARY if number % 20 == 0 else DeploymentState.LIVE)
        if number % 3 == 0:
            _anchors(store, name, now)
    _batches(store, crowd, now)


def _interactions(engine: Engine, crowd: Crowd, now: datetime) -> None:
    said = {"hash": b"0" * 16, "messages": [{"role": "user", "content": "Where is my order?"}], "response": None}
    is_postgres = engine.dialect.name == "postgresql"
    name = "'task-' || lpad((n % :tasks)::text, 3, '0')" if is_postgres else "printf('task-%03d', n % :tasks)"
    began = (
        "cast(:now as timestamptz) - (:rows - n) * interval '7.8 seconds'"
        if is_postgres
        else "strftime('%Y-%m-%d %H:%M:%f000', julianday(:now) - (:rows - n) * 7.8 / 86400)"
    )
    count = (
        "SELECT generate_series(1, :rows) AS n"
        if is_postgres
        else "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :rows) SELECT n FROM counted"
    )
    columns = "id, task, started_at, body, status, model, conversation_id, source, tags, arrived_at"
    values = f"'i-' || n, {name}, {began}, :body, 'ok', 'gpt-4', 'c-' || (n / 3), 'decorator', '{{}}', {began}"
    # An index costs less when it is built over rows that are there.
    with engine.execution_options(write_first=True).begin() as connection:
        connection.execute(insert(bodies).values(said))
        for index in interactions.indexes:
            index.drop(connection)
        connection.execute(
            text(f"INSERT INTO interactions ({columns}) SELECT {values} FROM ({count}) AS numbers"),  # noqa: S608  our own words
            {"rows": crowd.interactions, "tasks": crowd.tasks, "now": now.strftime("%Y-%m-%d %H:%M:%S"), "body": said["hash"]},
        )
        for index in interactions.indexes:
            index.create(connection)


def _learned(store: Store, task: str, now: datetime, state: DeploymentState) -> None:
    for version in (1, 2, 3):
        for kind in ("training", "golden"):
            name = f"{task}_{kind}_v{version}"
            store.datasets.add(
                DatasetRecord(id=name, task=task, kind=kind, name=name, version=version, uri=name, manifest={}, created_at=now),
                [],
            )
        store.checkpoints.add(
            Checkpoint(
                id=f"{task}-v{version}", task=task, version=version, base_model="b", uri="u", dataset_id="d", created_at=now
            )
        )
    record = DeploymentRecord(
        task=task, checkpoint_id=f"{task}-v3", model=f"{task}-v3", stable_model="production", state=state, traffic=1.0
    )
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="benchmark", action="begin", at=now))


def _anchors(store: Store, task: str, now: datetime) -> None:
    store.reviews.add(Review(task=task, interaction_id=f"i-{n}", queue="anchor", reason="frozen") for n in range(60))
    for weeks in range(8):
        at, scores = now - timedelta(weeks=weeks, days=2), {f"i-{n}": 4.0 for n in range(60)}
        store.anchors.add(AnchorRound(task=task, judge="judge", version="1", rubric="r", scores=scores, created_at=at))


def _batches(store: Store, crowd: Crowd, now: datetime) -> None:
    detail = {"dialect": {}, "criteria": [], "price": None}
    rows = [
        {"id": f"batch-{n}", "task": name, "judge": "judge", "rubric": "r", "base_url": crowd.batch_url, "state": "submitted",
         "provider_id": f"batch-{n}", "detail": detail, "created_at": now, "updated_at": now}
        for n, name in enumerate(crowd.names[: crowd.open_batches])
    ]  # fmt: skip
    with store.engine.begin() as connection:
        connection.execute(insert(batches), rows)


def fill_dagster(
    instance: dg.DagsterInstance, crowd: Crowd, drawn_of: Mapping[str, str], now: datetime, say: Callable[[str], None]
) -> None:
    """Write partitions, materializations and runs.

    Args:
        instance: Dagster's memory, with a database of its own.
        crowd: how many.
        drawn_of: what the tasks' learning curves were drawn of.
        now: the moment.
        say: told how far it is.
    """
    instance.add_dynamic_partitions("task", crowd.names)
    for asset in ASSETS:
        say(f"materializing {asset}")
        for name in crowd.names:
            _report(instance, asset, name, {})
    numbers = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(HISTORY))
    copied = "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(text(f"INSERT INTO event_logs ({copied}) SELECT {copied} FROM event_logs, ({numbers}) AS numbers"))  # noqa: S608
    say("drawing the curves")
    for name in crowd.names:
        _report(instance, "learning_curve", name, {"dagster/data_version": drawn_of.get(name, "-")})
    say(f"writing the runs of {NIGHTS} nights")
    _nights(instance, crowd, now)
    for name in crowd.names[::-EACH_IS_AT_WORK]:
        tags = {"dagster/partition": name}
        instance.add_run(dg.DagsterRun(job_name="flywheel", run_id=new_id(), status=Run.STARTED, tags=tags))


def _report(instance: dg.DagsterInstance, asset: str, task: str, tags: Mapping[str, str]) -> None:
    metadata = {"status": "nothing new", "interactions": 3333}
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=task, metadata=metadata, tags=tags))


def _nights(instance: dg.DagsterInstance, crowd: Crowd, now: datetime) -> None:
    template = instance.add_run(dg.DagsterRun(job_name="annotation", run_id=new_id(), status=Run.SUCCESS))
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        body = connection.execute(text("SELECT run_body FROM runs WHERE run_id = :id"), {"id": template.run_id}).scalar_one()
        rows, tags = [], []
        for back in range(1, NIGHTS + 1):
            for work in ("annotate", "retention"):
                for name in crowd.names:
                    begins = (now - timedelta(days=back)).replace(hour=3, minute=0)
                    carried = {
                        NIGHT_TAG + work: f"{begins.date()} {begins:%Y-%m-%dT%H:%MZ} {name}",
                        "dagster/partition": name,
                        "dagster/run_key": f"{work}:{name}:{begins.date()}",
                    }
                    id_, made = new_id(), json.loads(body)
                    made |= {"run_id": id_, "tags": carried}
                    at = dict.fromkeys(("create_timestamp", "update_timestamp"), begins.replace(tzinfo=None))
                    row = {"run_id": id_, "pipeline_name": "annotation", "status": "SUCCESS", "run_body": json.dumps(made)}
                    rows.append(row | at)
                    tags += [{"run_id": id_, "key": key, "value": value} for key, value in carried.items()]
        connection.execute(insert(RunsTable), rows)
        connection.execute(insert(RunTagsTable), tags)
