"""The crowd of the benchmark of scale is what it says, all of the code location is ticked, and the rival decides the same."""

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import pytest

from benchmarks.orchestration import crowd as crowds
from benchmarks.orchestration.crowd import Crowd, fill_dagster, fill_store
from benchmarks.orchestration.one_by_one import tick as one_by_one
from benchmarks.orchestration.pages import Pages, Query
from benchmarks.orchestration.provider import batch_provider
from benchmarks.orchestration.scale import Ticks, entries_of, schedules, sensors, tidy
from continuum.store.database import Store
from continuum_pipelines.definitions import defs
from continuum_pipelines.instance import open_instance

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SMALL = Crowd(tasks=8, interactions=240, open_batches=2)
TICKED = [Ticks(name, (0.1, 0.2, 9.0), (0.1, 0.1, 0.1), "told") for name in ("enough_new_data", "new_tasks")]


@pytest.fixture
def crowd(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A small crowd in a store and in Dagster's memory."""
    monkeypatch.setattr(crowds, "NIGHTS", 2)
    monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", "none")
    with batch_provider() as url, open_instance() as instance:
        fill_store(store, replace(SMALL, batch_url=url), NOW, lambda _: None)
        drawn = {name: found.fingerprint for name, found in store.overview.learned().items()}
        fill_dagster(instance, SMALL, drawn, NOW, lambda _: None)
        tidy()
        yield instance


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_all_that_the_code_location_has_is_ticked_on_a_crowd(store: Store, crowd: dg.DagsterInstance) -> None:
    assert sum(store.overview.new_interactions().values()) == 240 - 4 * 15
    assert crowd.get_materialized_partitions(dg.AssetKey("deployment")) == set(SMALL.names)

    found = {one.name: one for one in (*sensors(crowd, 1, lambda _: None), *schedules(crowd, 1, NOW, lambda _: None))}

    assert {sensor.name for sensor in defs.sensors or []} < found.keys()
    assert {schedule.name for schedule in defs.schedules or []} < found.keys()
    assert all(len(one.seconds) == 1 and one.told for one in found.values())
    assert found["enough_new_data"].told == "1 runs"
    assert found["poll_batches"].told == "batch-0: in_progress; batch-1: in_progress"
    assert found["nightly_annotation, its night, all tasks waiting"].told == "3 runs"
    decided = one_by_one(crowd, store)
    assert len([one for one in decided if isinstance(one, dg.RunRequest)]) == 1
    assert len(decided) == SMALL.tasks


def test_a_slow_median_a_slow_page_and_a_failed_query_each_miss_a_claim() -> None:
    fine = Pages({"asset graph": 2.0, "partitions": 2.0}, [Query("q", (0.1,))], failed=0)
    rival = Ticks("task by task", (1.0,), (1.0,), "")

    assert [entry.holds for entry in entries_of(TICKED, TICKED, rival, fine, SMALL)] == [True] * 6
    slow = [replace(TICKED[0], seconds=(1.1, 1.1)), TICKED[1]]
    assert [entry.holds for entry in entries_of(slow, TICKED, rival, fine, SMALL)][:3] == [False, True, False]
    bad = Pages({"asset graph": 11.0, "partitions": 11.0}, [], failed=1)
    assert [entry.holds for entry in entries_of(TICKED, TICKED, rival, bad, SMALL)][3:] == [False] * 3
    assert [entry.holds for entry in entries_of(TICKED, TICKED, rival, Pages(), SMALL)][3:] == [None] * 3


def test_the_provider_says_of_each_batch_that_it_goes_on() -> None:
    with batch_provider() as url, urllib.request.urlopen(f"{url}/batches/batch-7", timeout=10) as answer:  # noqa: S310
        assert b'"batch-7"' in answer.read()
