"""Backfills by a real daemon: launched as the UI launches them, failed, repeated and killed."""

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run

from benchmarks.orchestration.stack import Stack, eventually
from continuum.annotation.backfill import ask, known
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import VerdictStatus
from continuum.store.database import Store, open_store
from continuum_pipelines.backfills import BACKFILL_TAG
from continuum_pipelines.claims import PARTITION_TAG
from tests.builders import interactions
from tests.pipelines.test_turn import ONE_STEP, captured, register
from tests.stub_endpoint import StubEndpoint, scores, stub_in_thread

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
LOCATION = "tests.pipelines.backfill_location"
FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)
NOBODY = "http://127.0.0.1:9/v1"
BACKFILL = """mutation ($it: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $it) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
REPEAT = """mutation ($it: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $it) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


@dataclass(frozen=True)
class Site:
    """A daemon with its webserver, and the store that it works on."""

    stack: Stack
    store: Store

    def ended(self, backfill: str) -> str:
        """The status of a Dagster backfill once it has one that lasts."""

        def look() -> str | None:
            found = self.stack.instance.get_backfill(backfill)
            return found.status.value if found and found.status.value not in ("REQUESTED", "FAILING", "CANCELING") else None

        return eventually(look, f"backfill {backfill} ends", within_s=400) or ""

    def runs(self, tag: str, value: str) -> list[dg.DagsterRun]:
        return list(self.stack.instance.get_runs(dg.RunsFilter(tags={tag: value})))


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("backfills") / "home"
    (home / "dagster").mkdir(parents=True)
    shutil.copy(ROOT / "dagster.yaml", home / "dagster")
    store = open_store(f"sqlite:///{home / 'continuum.db'}")
    environment = {"CONTINUUM_HOME": str(home), "CONTINUUM_TRAINER": "inline"}
    with Stack(home / "dagster", environment, location=LOCATION) as stack:
        yield Site(stack, store)
    store.close()


def a_task(at: Site, name: str, address: str, count: int = 4) -> None:
    """A task whose traffic no other task has: what was said of the same content is asked once."""
    judge = JudgePolicy(model="stub", base_url=address, admission="off", concurrency=2)
    at.store.tasks.register(TaskPolicy(task=name, judge=judge))
    rows = interactions(count, task=name)
    at.store.interactions.add(
        row.model_copy(update={"messages": (row.messages[0].model_copy(update={"content": f"{name} asks {n}"}),)})
        for n, row in enumerate(rows)
    )
    at.stack.instance.add_dynamic_partitions("task", [name])


def asked_of(stub: StubEndpoint, task: str) -> int:
    return sum(f"{task} asks" in str(body["messages"]) for body in stub.bodies)


def test_of_three_partitions_the_one_whose_judge_is_down_fails_and_its_repetition_does_only_that(at: Site) -> None:
    with stub_in_thread(lambda n, body: FOURS) as stub:
        for name in ("first", "second", "third"):
            a_task(at, name, NOBODY if name == "second" else stub.base_url)
        launched = at.stack.ask(BACKFILL, launchpad(["first", "second", "third"], since="3650d"))["backfillId"]

        assert at.ended(launched) == "COMPLETED_FAILED"
        runs = {run.tags[PARTITION_TAG]: run for run in at.runs("dagster/backfill", launched)}
        assert {name: run.status for name, run in runs.items()} == {
            "first": Run.SUCCESS,
            "second": Run.FAILURE,
            "third": Run.SUCCESS,
        }
        left = known(at.store, f"run-{runs['second'].run_id}")
        assert (left.state, left.judged, left.failed) == ("incomplete", 0, 4)
        assert stub.calls == 8

        policy = at.store.tasks.get("second").policy
        mended = policy.judge.model_copy(update={"base_url": stub.base_url})
        at.store.tasks.register(policy.model_copy(update={"judge": mended}))
        wanted = {"parentRunId": runs["second"].run_id, "strategy": "FROM_FAILURE"}
        again = at.stack.ask(REPEAT, wanted)["run"]["runId"]
        eventually(lambda: finished(at, again) is Run.SUCCESS, "the repeated run succeeds", within_s=200)

        assert [asked_of(stub, name) for name in ("first", "second", "third")] == [4, 4, 4]
    done = known(at.store, left.id)
    assert (done.state, done.judged, done.since) == ("done", 4, left.since)
    assert len([row for row in at.store.backfills.newest() if row.id.startswith("run-")]) == 3


def launchpad(partitions: list[str], **config: Any) -> dict[str, Any]:
    """What the UI sends when a job's backfill is launched with a config."""
    repository = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
    return {
        "selector": {"partitionSetName": "backfill_partition_set", "repositorySelector": repository},
        "partitionNames": partitions,
        "runConfigData": {"ops": {"judge_again": {"config": config}}},
    }


def finished(at: Site, run: str) -> Run | None:
    found = at.stack.instance.get_run_by_id(run)
    return found.status if found else None


def test_a_backfill_with_a_task_whose_candidate_is_blocked_completes_and_no_run_is_red(at: Site, tiny_base: Path) -> None:
    register(at.store, tiny_base, training=ONE_STEP)
    captured(at.store, production_is_right=True)
    at.store.tasks.ensure("waiting")
    at.store.interactions.add(interactions(5, task="waiting"))
    at.stack.instance.add_dynamic_partitions("task", ["support", "waiting"])
    seven = ["raw_interactions", "judged_annotations", "curated_dataset", "lora_checkpoint", "guard_verdict", "deployment"]

    launched = at.stack.backfill([*seven, "learning_curve"], ["support", "waiting"])

    assert at.ended(launched) == "COMPLETED_SUCCESS"
    assert {run.status for run in at.runs("dagster/backfill", launched)} == {Run.SUCCESS}
    verdict = at.store.verdicts.latest(at.store.checkpoints.of("support")[-1].id)
    assert verdict is not None
    assert verdict.status is VerdictStatus.BLOCKED
    assert at.store.deployments.of("support") == []


def test_what_is_left_for_the_daemon_survives_a_kill_of_its_run_and_asks_nothing_twice(at: Site) -> None:
    held, release = threading.Event(), threading.Event()

    async def reply(n: int, body: dict[str, Any]) -> str:
        if n > 5:
            held.set()
            while not release.is_set():
                await asyncio.sleep(0.05)
        return FOURS

    with stub_in_thread(reply) as stub:
        a_task(at, "killed", stub.base_url, count=12)
        row = ask(at.store, "killed", asked_by="a test", driver="dagster")
        assert held.wait(120)
        (run,) = at.runs(BACKFILL_TAG, row.id)
        worker = eventually(lambda: at.stack.worker_of(run.run_id), "the run names its process")
        os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda: finished(at, run.run_id) is Run.FAILURE, "the killed run is failed")
        release.set()
        eventually(lambda: known(at.store, row.id).state == "done", "the backfill is done", within_s=300)

        # Nobody knows what became of two calls that were under way, and the answers to two before them may not have been stored.
        assert asked_of(stub, "killed") <= 12 + 4
    done = known(at.store, row.id)
    assert (done.judged, done.wanted, done.claimed_by) == (12, 12, None)
    assert at.store.judgements.count(claims=True) == 0
    both = {Run.FAILURE, Run.SUCCESS}
    eventually(lambda: {one.status for one in at.runs(BACKFILL_TAG, row.id)} == both, "one run was killed and one went on")
