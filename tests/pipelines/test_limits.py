"""A real stack holds its limits: places in pools, one run a task, and an end within seconds for a run that is cancelled."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus as Run

from benchmarks.orchestration.kills import Site, site
from benchmarks.orchestration.lines import SEVEN, Line
from benchmarks.orchestration.stack import LAUNCH, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon, a webserver, a judge and a Postgres."""
    with site(tmp_path_factory.mktemp("limits")) as made:
        yield made


def status(at: Site, run: str) -> Run:
    found = at.stack.instance.get_run_by_id(run)
    assert found is not None
    return found.status


def places(at: Site, pool: str) -> tuple[int, int]:
    """How many places of a pool are taken, and how many steps wait for one."""
    info = at.stack.instance.event_log_storage.get_concurrency_info(pool)
    return info.active_slot_count, info.pending_step_count


def when(at: Site, run: str, step: str) -> tuple[float, float]:
    """When a step began and ended."""
    (found,) = at.stack.instance.get_run_step_stats(run, [step])
    assert found.start_time is not None
    assert found.end_time is not None
    return found.start_time, found.end_time


def test_a_run_that_is_cancelled_ends_in_each_asset_and_leaves_nothing_behind(at: Site, tiny_base: Path) -> None:
    line, twin = at.line("cancelled", tiny_base), at.line("twin", tiny_base)

    for asset in SEVEN:
        with line.middle_of(asset) as run:
            at.stack.terminate(run)
            # What it waits for is held on to meanwhile: it must not need it to end.
            last = line.ended(run, within_s=30)
            assert last.status is Run.CANCELED, asset
            assert places(at, "training") == places(at, "judging") == (0, 0), asset
            assert line.left().claimed_by is None, asset
            assert line.left().reserved_micro_usd == 0, asset
        eventually(lambda: not line.trainers(), "no trainer is left", within_s=40)
        assert line.materialize(asset).status is Run.SUCCESS, asset

    assert twin.ended(at.stack.launch("twin", "flywheel"), within_s=300).status is Run.SUCCESS
    assert line.left() == twin.left()


def look_through_the_queue() -> None:
    """Let the daemon look through its queue, which it does each five seconds: whoever may go on does so then."""
    time.sleep(7)


def judged_by(at: Site, lines: list[Line]) -> list[str]:
    return [at.stack.materialize("judged_annotations", line.task) for line in lines]


def test_three_backlogs_are_judged_at_once_and_a_fourth_waits_for_a_place(at: Site, tiny_base: Path) -> None:
    lines = [at.line(f"judged{n}", tiny_base) for n in range(4)]

    at.judge.hold()
    try:
        runs = judged_by(at, lines)
        eventually(lambda: places(at, "judging")[0] == 3 and at.judge.waiting == 3 * 8, "three are judged")
        look_through_the_queue()
        assert places(at, "judging")[0] == 3
        assert sorted(status(at, run).value for run in runs) == ["QUEUED", "STARTED", "STARTED", "STARTED"]
    finally:
        at.judge.let_go()

    assert [line.ended(run).status for line, run in zip(lines, runs, strict=True)] == [Run.SUCCESS] * 4
    assert places(at, "judging") == (0, 0)


def test_one_model_is_trained_at_a_time_whoever_asks(at: Site, tiny_base: Path) -> None:
    lines = [at.line(f"trained{n}", tiny_base) for n in range(2)]
    before = [at.stack.launch(line.task, "__ASSET_JOB", SEVEN[:3]) for line in lines]
    assert [line.ended(run).status for line, run in zip(lines, before, strict=True)] == [Run.SUCCESS] * 2

    runs = [at.stack.materialize("lora_checkpoint", line.task) for line in lines]
    assert [line.ended(run, within_s=240).status for line, run in zip(lines, runs, strict=True)] == [Run.SUCCESS] * 2

    first, second = sorted(when(at, run, "lora_checkpoint") for run in runs)
    assert first[1] <= second[0]


def test_while_others_wait_to_judge_the_watch_goes_on_and_so_does_a_run_with_nothing_to_judge(at: Site, tiny_base: Path) -> None:
    idle, lines = at.line("idle", tiny_base), [at.line(f"held{n}", tiny_base) for n in range(4)]
    assert idle.ended(at.stack.launch("idle", "__ASSET_JOB", SEVEN[:2]), within_s=300).status is Run.SUCCESS

    at.judge.hold()
    try:
        turns = [at.stack.launch(line.task, "flywheel") for line in lines]
        eventually(lambda: places(at, "judging")[0] == 3, "three turns judge")
        assert sorted(status(at, run).value for run in turns) == ["QUEUED", "STARTED", "STARTED", "STARTED"]
        # With it all four places are taken, and it ends while the others are held.
        again = at.stack.launch("idle", "__ASSET_JOB", SEVEN[1:3])
        eventually(lambda: status(at, again) is not Run.QUEUED, "one is under way beside three turns")
        watch = at.stack.ask(LAUNCH, watch_alone(at))["run"]["runId"]
        assert status(at, watch) is not Run.QUEUED
        assert idle.ended(again, within_s=120).status is Run.SUCCESS
        assert idle.ended(watch, within_s=120).status is Run.SUCCESS
        assert places(at, "judging")[0] == 3
        for run in turns:
            at.stack.terminate(run)
    finally:
        at.judge.let_go()

    assert {line.ended(run).status for line, run in zip(lines, turns, strict=True)} == {Run.CANCELED}
    assert places(at, "training") == places(at, "judging") == (0, 0)


def watch_alone(at: Site) -> dict[str, Any]:
    """A run of the watch, as the UI asks for it."""
    selector = {"repositoryLocationName": at.stack.location, "repositoryName": "__repository__", "jobName": "deployment_watch"}
    return {"selector": selector, "runConfigData": {}, "mode": "default"}


def test_of_the_runs_of_one_task_one_goes_on_and_the_others_are_queued_a_backfill_s_too(at: Site, tiny_base: Path) -> None:
    line = at.line("queued", tiny_base)

    with line.middle_of("judged_annotations") as first:
        second = at.stack.materialize("raw_interactions", "queued")
        at.stack.backfill(["raw_interactions"], ["queued"])
        runs = eventually(lambda: three_runs(at, "queued"), "the backfill has made its run")
        eventually(lambda: status(at, second) is Run.QUEUED, "the second run is queued")
        look_through_the_queue()
        assert sorted(status(at, run).value for run in runs) == ["QUEUED", "QUEUED", "STARTED"]

    assert {line.ended(run).status for run in runs} == {Run.SUCCESS}
    steps = [when(at, run, "judged_annotations" if run == first else "raw_interactions") for run in runs]
    steps.sort()
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(steps))


def three_runs(at: Site, task: str) -> list[str]:
    from dagster import RunsFilter

    runs = at.stack.instance.get_runs(RunsFilter(tags={"dagster/partition": task}))
    return [run.run_id for run in runs] if len(runs) == 3 else []
