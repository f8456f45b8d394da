"""How quickly every sensor and schedule decides, and Dagster's pages come, with many tasks and much traffic.

The store and Dagster's memory lie on one Postgres, as deploy/dagster.yaml has it, and once more on SQLite. A tick is what the
code location does for the daemon: the evaluation with its resources, its cursor and its run requests. The rival is the
threshold sensor with its questions asked for each task by itself.
"""

import asyncio
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.automation_tick_evaluation_context import AutomationTickEvaluationContext
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.instance.types import CachingDynamicPartitionsLoader
from sqlalchemy import create_engine, text

from benchmarks.claims import Entry, Result, Setting, median, table
from benchmarks.deployment.postgres import postgres
from benchmarks.orchestration.crowd import Crowd, fill_dagster, fill_store
from benchmarks.orchestration.one_by_one import tick as one_by_one
from benchmarks.orchestration.pages import VISIBLE_S, Pages, measure_pages
from benchmarks.orchestration.provider import batch_provider
from benchmarks.orchestration.stack import databases, make_home
from continuum.store import default_store
from continuum_pipelines.definitions import defs
from continuum_pipelines.instance import open_instance

TASKS, INTERACTIONS, TICKS = 300, 1_000_000, 21
QUICK_TASKS, QUICK_INTERACTIONS, QUICK_TICKS = 12, 6_000, 3
LIMIT_S = 1.0
RATIO = 0.5
"""Of the time of the rival."""
NIGHT = "its night, all tasks waiting"


@dataclass(frozen=True)
class Ticks:
    """What the ticks of one sensor or schedule took."""

    name: str
    seconds: tuple[float, ...]
    processor_s: tuple[float, ...]
    """Of it in this process, which is all but the database's."""
    told: str
    """What the last one came to."""

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)


class Clock:
    """Times the ticks of one sensor or schedule; the first, which loads what a code location loads once, does not count."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float]] = []

    @contextmanager
    def tick(self) -> Iterator[None]:
        """Time what is done within."""
        begun, processor = time.perf_counter(), time.process_time()
        yield
        self._taken.append((time.perf_counter() - begun, time.process_time() - processor))

    def ticks(self, name: str, told: str) -> Ticks:
        """All but the first."""
        seconds, processor_s = zip(*self._taken[1:], strict=True)
        return Ticks(name, seconds, processor_s, told)


def measure(setting: Setting) -> Result:
    """Fill both kinds of databases, tick everything, and open the pages."""
    quick = setting.quick
    logging.disable(logging.INFO)  # what a tick logs goes to Dagster's page, not here
    crowd = Crowd(QUICK_TASKS, QUICK_INTERACTIONS) if quick else Crowd(TASKS, INTERACTIONS)
    ticks = QUICK_TICKS if quick else TICKS
    shown = table(
        f"Ticks with {crowd.tasks} tasks and {crowd.interactions:,} interactions, seconds, {ticks} ticks each",
        *("sensor or schedule", "Postgres", "worst", "processor", "SQLite", "worst", "processor"),
    )
    with batch_provider() as url, postgres() as server:
        crowd = Crowd(crowd.tasks, crowd.interactions, batch_url=url)
        with on_postgres(setting, server.url) as environment:
            ours, rival = ticked(setting, crowd, ticks)
            pages = measure_pages(setting, environment, crowd.tasks)
        with on_sqlite(setting):
            beside, rival_beside = ticked(setting, crowd, ticks)
    for one, other in zip([*ours, rival], [*beside, rival_beside], strict=True):
        figures = [figure for ticks in (one, other) for figure in (ticks.median, max(ticks.seconds), median(ticks.processor_s))]
        shown.add_row(one.name, *(f"{figure or 0:.3f}" for figure in figures))
    return Result(entries_of(ours, beside, rival, pages, crowd), shown, notes_of(ours, pages))


def entries_of(ours: list[Ticks], beside: list[Ticks], rival: Ticks, pages: Pages, crowd: Crowd) -> list[Entry]:
    """The claims."""
    size = f"{crowd.tasks} tasks and {crowd.interactions:,} interactions"
    slowest, slowest_beside = (max(found, key=lambda one: one.median) for found in (ours, beside))
    threshold = next(one for one in ours if one.name == "enough_new_data")
    slowest_name, one_by_one_name = f"slowest sensor or schedule ({slowest.name})", "threshold sensor over the same task by task"
    graph, partitions = pages.visible_s.get("asset graph"), pages.visible_s.get("partitions")
    return [
        Entry.of_value(f"{slowest_name}, {size}, Postgres, median tick, s", slowest.median, "<=", LIMIT_S),
        Entry.of_value(f"the same on SQLite ({slowest_beside.name}), s", slowest_beside.median, "<=", LIMIT_S),
        Entry.of_ratio(f"{one_by_one_name}, Postgres, median tick, s", threshold.median, rival.median, RATIO),
        Entry.of_value("asset graph in a real browser, to visible, s", graph, "<=", VISIBLE_S),
        Entry.of_value("partitions of an asset in a real browser, to visible, s", partitions, "<=", VISIBLE_S),
        Entry.of_value("GraphQL queries of these pages that failed or found no answer in time", pages.failed, "==", 0),
    ]


def notes_of(ours: list[Ticks], pages: Pages) -> list[str]:
    """What the figures stand on."""
    load = f"load of the machine at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    queries = [f"{one.name} {one.median:.2f} s" for one in sorted(pages.queries, key=lambda one: -one.median)[:6]]
    told = max(ours, key=lambda one: len(one.told))
    return [
        load,
        f"GraphQL queries that the UI sends, slowest first: {', '.join(queries) or 'not measured'}",
        *([pages.note] if pages.note else []),
        f"the longest reason, of {told.name}, has {len(told.told)} characters",
    ]


def ticked(setting: Setting, crowd: Crowd, ticks: int) -> tuple[list[Ticks], Ticks]:
    """Fill the databases of the environment, and tick everything that the code location has."""
    now = datetime.now(UTC).replace(microsecond=0)
    store = default_store()
    fill_store(store, crowd, now, setting.say)
    drawn = {name: found.fingerprint for name, found in store.overview.learned().items()}
    with open_instance() as instance:
        # Of every second task the curve is behind.
        fill_dagster(instance, crowd, dict(list(drawn.items())[::2]), now, setting.say)
        tidy()
        found = [*sensors(instance, ticks, setting.say), *schedules(instance, ticks, now, setting.say)]
        setting.say("the threshold sensor, task by task")
        clock = Clock()
        for _ in range(1 + max(3, ticks // 4)):
            with clock.tick():
                one_by_one(instance, store)
        rival = clock.ticks("enough_new_data, task by task", "")
    return found, rival


def sensors(instance: dg.DagsterInstance, ticks: int, say: Callable[[str], None]) -> Iterator[Ticks]:
    """The ticks of each sensor; its cursor goes from one to the next."""
    for sensor in defs.sensors or []:
        assert isinstance(sensor, dg.SensorDefinition)
        say(f"ticking {sensor.name}")
        if isinstance(sensor, dg.AutomationConditionSensorDefinition):
            yield automation(instance, sensor.name, ticks)
            continue
        clock, cursor, told = Clock(), None, ""
        for _ in range(ticks + 1):
            with (
                clock.tick(),
                dg.build_sensor_context(
                    instance=instance, cursor=cursor, resources=resources(), repository_def=defs.get_repository_def()
                ) as context,
            ):
                done = sensor.evaluate_tick(context)
            cursor, told = done.cursor or cursor, done.skip_message or f"{len(done.run_requests or [])} runs"
        yield clock.ticks(sensor.name, told)


def automation(instance: dg.DagsterInstance, name: str, ticks: int) -> Ticks:
    """The ticks of the conditions that bootstrap a task, which the daemon itself evaluates, in the way it does."""
    graph, cursor, requested = defs.resolve_asset_graph(), AssetDaemonCursor.empty(), 0
    clock = Clock()
    for _ in range(ticks + 1):
        # A request of the daemon's workspace reads the partitions once.
        loader = CachingDynamicPartitionsLoader(instance)
        with clock.tick(), partition_loading_context(dynamic_partitions_store=loader):
            evaluation = AutomationTickEvaluationContext(
                evaluation_id=cursor.evaluation_id + 1,
                asset_graph=graph,
                asset_selection=dg.AssetSelection.all(),
                instance=instance,
                cursor=cursor,
                materialize_run_tags={},
                observe_run_tags={},
                auto_observe_asset_keys=set(),
                emit_backfills=True,
                logger=logging.getLogger("benchmark"),
            )
            requests, cursor, _ = asyncio.run(evaluation.async_evaluate())
            requested += len(requests)
    return clock.ticks(name, f"{requested} requested")


def schedules(instance: dg.DagsterInstance, ticks: int, now: datetime, say: Callable[[str], None]) -> Iterator[Ticks]:
    """The ticks of each schedule over a day, and those at an hour when the nights of all tasks are on."""
    for schedule in defs.schedules or []:
        assert isinstance(schedule, dg.ScheduleDefinition)
        say(f"ticking {schedule.name}")
        day = [now + timedelta(hours=24 * n / ticks) for n in range(ticks + 1)]
        # At 18:15 UTC the nights of all zones of the crowd are on: in Tokyo it is past three, in Kolkata not yet midnight.
        waiting = [now.replace(hour=18, minute=15) + timedelta(days=n) for n in range(ticks + 1)]
        for name, moments in ((schedule.name, day), (f"{schedule.name}, {NIGHT}", waiting)):
            clock, told = Clock(), ""
            for moment in moments:
                with (
                    clock.tick(),
                    dg.build_schedule_context(
                        instance=instance,
                        scheduled_execution_time=moment,
                        resources=resources(),
                        repository_def=defs.get_repository_def(),
                    ) as context,
                ):
                    done = schedule.evaluate_tick(context)
                told = done.skip_message or f"{len(done.run_requests or [])} runs"
            yield clock.ticks(name, told)


def resources() -> Mapping[str, object]:
    """Those of the code location."""
    return dict(defs.resources or {})


def tidy() -> None:
    """What Postgres does by itself some minutes after so many rows came."""
    for url in (os.environ.get("CONTINUUM_DATABASE_URL"), os.environ.get("DAGSTER_POSTGRES_URL")):
        if url is not None:
            engine = create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("VACUUM ANALYZE"))
            engine.dispose()


@contextmanager
def on_postgres(setting: Setting, url: str) -> Iterator[dict[str, str]]:
    """A home whose store and whose Dagster lie on a Postgres; yields what its processes are to be told."""
    home = setting.folder / "postgres"
    with databases(url, "continuum", "dagster") as (store, memory):
        make_home(home / "dagster")
        told = {
            "CONTINUUM_HOME": str(home), "DAGSTER_HOME": str(home / "dagster"), "CONTINUUM_DATABASE_URL": store,
            "DAGSTER_POSTGRES_URL": memory, "CONTINUUM_JUDGE_API_KEY": "none",
        }  # fmt: skip
        with said(told):
            yield told


@contextmanager
def on_sqlite(setting: Setting) -> Iterator[dict[str, str]]:
    """A home with both in files."""
    home = setting.folder / "sqlite"
    told = {"CONTINUUM_HOME": str(home), "DAGSTER_HOME": str(home / "dagster"), "CONTINUUM_JUDGE_API_KEY": "none"}
    with said(told):
        yield told


@contextmanager
def said(told: Mapping[str, str]) -> Iterator[None]:
    """This process in that environment."""
    names = {"CONTINUUM_HOME", "DAGSTER_HOME", "CONTINUUM_DATABASE_URL", "DAGSTER_POSTGRES_URL", *told}
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ.update(told)
    with ExitStack() as stack:
        stack.callback(lambda: os.environ.update({name: value for name, value in before.items() if value is not None}))
        stack.callback(lambda: [os.environ.pop(name, None) for name in told])
        Path(told["CONTINUUM_HOME"]).mkdir(parents=True, exist_ok=True)
        yield
