"""Places in a pool that are taken in the middle of a step, by real runs on Dagster's own memory."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from benchmarks.orchestration.stack import eventually
from continuum.errors import TrainingInterrupted
from continuum.policy import JudgePolicy
from continuum.progress import Progress, silent
from continuum_pipelines.places import PlacedLauncher, place_of_work
from continuum_pipelines.turn import run_turn

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def taken(home_instance: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """Dagster's memory, with every place of both pools taken by somebody else's run."""
    for pool in ("training", "judging"):
        home_instance.event_log_storage.set_concurrency_slots(pool, 1)
        assert home_instance.event_log_storage.claim_concurrency_slot(pool, "another", pool).is_claimed
    yield home_instance
    free(home_instance)


def free(instance: dg.DagsterInstance) -> None:
    instance.event_log_storage.free_concurrency_slots_for_run("another")


def places(instance: dg.DagsterInstance, pool: str = "training") -> tuple[int, int]:
    """How many places are taken, and how many steps wait for one."""
    info = instance.event_log_storage.get_concurrency_info(pool)
    return info.active_slot_count, info.pending_step_count


class Noted:
    """A launcher that trains nothing and says how the pool was meanwhile."""

    def __init__(self, instance: dg.DagsterInstance, error: Exception | None = None) -> None:
        self.instance, self.error = instance, error
        self.found: list[tuple[int, int]] = []

    def launch(self, folder: Path, on_progress: Progress, stop: threading.Event | None = None) -> None:
        """Train nothing."""
        self.found.append(places(self.instance))
        if self.error is not None:
            raise self.error


def run_of(work: Callable[[dg.AssetExecutionContext], Any], instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    @dg.asset
    def trained(context: dg.AssetExecutionContext) -> None:
        work(context)

    return dg.materialize([trained], instance=instance, raise_on_error=False)


def in_a_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    return thread, results


def test_a_turn_with_nothing_to_judge_and_nothing_to_train_waits_for_no_place(
    a_task: Callable[..., str], taken: dg.DagsterInstance
) -> None:
    a_task(judge=JudgePolicy(model="gpt-4o", base_url="http://127.0.0.1:1/v1"))

    outcome = run_turn("support", instance=taken)

    assert outcome.waiting
    assert places(taken) == places(taken, "judging") == (1, 0)


def test_a_training_waits_for_its_place_and_gives_it_back(taken: dg.DagsterInstance) -> None:
    noted = Noted(taken)
    thread, results = in_a_thread(lambda: run_of(lambda context: PlacedLauncher(context, noted).launch(Path(), silent), taken))
    eventually(lambda: places(taken) == (1, 1), "the training waits", within_s=60)
    assert noted.found == []

    free(taken)
    thread.join(60)

    (result,) = results
    assert result.success
    assert noted.found == [(1, 0)]
    assert places(taken) == (0, 0)
    said = [entry.message for entry in taken.all_logs(result.run_id)]
    assert [word for word in said if "pool training" in word] == [
        "waits for a place in the pool training",
        "has its place in the pool training",
    ]


def test_a_training_that_fails_gives_its_place_back(home_instance: dg.DagsterInstance) -> None:
    noted = Noted(home_instance, TrainingInterrupted("the worker was killed"))
    result = run_of(lambda context: PlacedLauncher(context, noted).launch(Path(), silent), home_instance)
    assert not result.success
    assert noted.found == [(1, 0)]
    assert places(home_instance) == (0, 0)


def test_a_training_that_is_stopped_while_it_waits_leaves_the_line(taken: dg.DagsterInstance) -> None:
    noted, stop = Noted(taken), threading.Event()
    thread, results = in_a_thread(
        lambda: run_of(lambda context: PlacedLauncher(context, noted).launch(Path(), silent, stop), taken)
    )
    eventually(lambda: places(taken) == (1, 1), "the training waits", within_s=60)

    stop.set()
    thread.join(60)

    (result,) = results
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "stopped while it waited for a place in the pool training" in str(failure.step_failure_data.error)
    assert noted.found == []
    assert places(taken) == (1, 0)


def test_judging_that_is_cancelled_while_it_waits_leaves_the_line(taken: dg.DagsterInstance) -> None:
    async def waits(context: dg.AssetExecutionContext) -> None:
        async with place_of_work(context, "judging"):
            raise AssertionError("every place is taken")

    async def cancelled(context: dg.AssetExecutionContext) -> None:
        task = asyncio.create_task(waits(context))
        while places(taken, "judging") != (1, 1):
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    assert run_of(lambda context: asyncio.run(cancelled(context)), taken).success
    assert places(taken, "judging") == (1, 0)
