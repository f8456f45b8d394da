"""kill -9 of a run's process, of the daemon, of Postgres and of everything, in the middle of real work by real processes.

Seven kills are made here, one in each asset; `python -m benchmarks.orchestration --only kills` makes all twenty-one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterRunStatus as Run

from benchmarks.orchestration.kills import Found, Site, lead, look_back, rotations, site
from benchmarks.orchestration.lines import SEVEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon, a webserver, a judge and a Postgres that can be killed."""
    with site(tmp_path_factory.mktemp("killed")) as made:
        yield made


def test_a_line_that_is_killed_in_each_asset_has_in_the_end_what_its_undisturbed_twin_has(at: Site, tiny_base: Path) -> None:
    line, twin, found = at.line("line", tiny_base), at.line("twin", tiny_base), Found()

    kills = lead(at, line, rotations(1)[0], found)
    undisturbed = twin.ended(at.stack.launch("twin", "flywheel"), within_s=300)
    look_back(at, [line], found)

    assert undisturbed.status is Run.SUCCESS
    assert [one.asset for one in kills] == list(SEVEN)
    assert {one.victim for one in kills} == {"worker", "daemon", "postgres"}
    assert [one.asset for one in kills if one.needed_another] == []
    assert all(one.statuses[-1] is Run.SUCCESS for one in kills)
    assert all(one.statuses[0] is Run.FAILURE for one in kills if one.victim == "worker"), "a killed process was noticed"
    assert {one.asset: one.trainers for one in kills if one.trainers} == {"lora_checkpoint": 1}, "the trainer ended with its run"
    assert found.disturbed["line"] == twin.left()
    assert twin.left().checkpoints == twin.left().verdicts == twin.left().deployments == 1
    assert (found.stuck, found.slots, found.orphans) == (0, 0, 0)


def test_a_run_that_lost_its_whole_stack_is_failed_and_repeated_when_the_stack_is_back(at: Site, tiny_base: Path) -> None:
    line = at.line("lost", tiny_base)
    line.materialize("raw_interactions")

    with line.middle_of("judged_annotations") as run:
        worker = at.stack.worker_of(run)
        at.stack.kill_everything()
    at.stack.start()
    last = line.ended(run)

    assert worker is not None
    assert last.status is Run.SUCCESS
    assert [attempt.status for attempt in line.attempts(run)] == [Run.FAILURE, Run.SUCCESS]
    assert any(f"the run's process {worker.pid} is gone on this host" in said for said in at.stack.said(run))
    assert line.left().annotations == at.store.interactions.count("lost")
    assert line.left().reserved_micro_usd == 0
