"""Which line of the queue a run stands in, and that the watch stands in none, with Dagster's own queue."""

from collections.abc import Callable

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from continuum.ids import new_id
from continuum_pipelines.claims import PARTITION_TAG
from continuum_pipelines.deployments import JOB
from continuum_pipelines.run_coordinator import JUDGING, LINE_TAG, TRAINING, TURN, WATCH, PromptRunCoordinator, line_of

ALL = ("raw_interactions", "judged_annotations", "curated_dataset", "lora_checkpoint", "guard_verdict", "deployment")


def a_run(job: str, *assets: str, **fields: object) -> dg.DagsterRun:
    chosen = frozenset(dg.AssetKey(asset) for asset in assets) or None
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), job)
    fields = {"run_id": new_id(), "asset_selection": chosen, "remote_job_origin": origin, **fields}
    return dg.DagsterRun(job_name=job, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (a_run("flywheel"), TURN),
        (a_run("__ASSET_JOB", *ALL), TURN),
        (a_run("__ASSET_JOB", "lora_checkpoint", "guard_verdict"), TURN),
        (a_run("__ASSET_JOB", "lora_checkpoint"), TRAINING),
        (a_run("__ASSET_JOB", "judged_annotations"), JUDGING),
        (a_run("__ASSET_JOB", "raw_interactions", "judged_annotations"), JUDGING),
        (a_run("annotation"), JUDGING),
        (a_run("__ASSET_JOB", "deployment"), None),
        (a_run("batch_collection"), None),
    ],
)
def test_a_run_stands_in_the_line_of_what_it_may_come_to_wait_for(run: dg.DagsterRun, line: str | None) -> None:
    assert line_of(run) == line


def test_the_job_that_is_not_queued_is_the_watch() -> None:
    assert WATCH == JOB


def test_the_project_s_own_queue_leaves_a_place_to_others_when_turns_take_all_that_they_may(
    home_instance: dg.DagsterInstance,
) -> None:
    assert isinstance(home_instance.run_coordinator, PromptRunCoordinator)
    for number in range(3):
        tags = {PARTITION_TAG: f"busy-{number}", LINE_TAG: TURN}
        home_instance.add_run(a_run("flywheel", tags=tags, status=Run.STARTED))
    queued = [("flywheel", {LINE_TAG: TURN}), ("retention", {}), ("late_verdicts", {})]
    for number, (job, tags) in enumerate(queued):
        home_instance.add_run(a_run(job, tags={PARTITION_TAG: f"waits-{number}", **tags}, status=Run.QUEUED))

    daemon = QueuedRunCoordinatorDaemon(interval_seconds=5)
    chosen = daemon._get_runs_to_dequeue(home_instance, home_instance.get_concurrency_config(), fixed_iteration_time=None)

    assert [run.job_name for run in chosen] == ["retention"]


LOCATION = """
import dagster as dg

@dg.op
def looks(): ...

@dg.job
def deployment_watch():
    looks()

@dg.job
def flywheel():
    looks()

defs = dg.Definitions(jobs=[deployment_watch, flywheel])
"""


@pytest.mark.slow
def test_the_watch_is_launched_while_every_place_is_taken_and_a_turn_is_queued(
    home_instance: dg.DagsterInstance, served: Callable[[str], WorkspaceProcessContext]
) -> None:
    for _ in range(4):
        home_instance.add_run(a_run("flywheel", status=Run.STARTED))
    asked = served(LOCATION).create_request_context()
    location = asked.get_code_location("here")

    submitted = []
    for job in (WATCH, "flywheel"):
        remote = location.get_repository("__repository__").get_full_job(job)
        run = create_run_for_test(
            home_instance,
            job_name=job,
            remote_job_origin=remote.get_remote_origin(),
            job_code_origin=remote.get_python_origin(),
            status=Run.NOT_STARTED,
        )
        submitted.append(home_instance.submit_run(run.run_id, asked))

    watch, turn = submitted
    assert watch.status not in (Run.QUEUED, Run.NOT_STARTED)
    assert turn.status is Run.QUEUED
    assert turn.tags[LINE_TAG] == TURN
