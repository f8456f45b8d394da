"""No run outlives its process unnoticed, none is taken for dead that lives, and pools have the limits of the file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster import DagsterRunStatus as Run
from dagster._core.launcher.base import WorkerStatus
from hypothesis import given
from hypothesis import strategies as st

from continuum.ids import new_id
from continuum.store import default_store
from continuum.store.database import Store
from continuum.store.processes import began
from continuum.timespan import utc_now
from continuum_pipelines.definitions import defs
from continuum_pipelines.instance import open_instance
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.run_launcher import WatchfulRunLauncher, set_limits
from continuum_pipelines.run_workers import UNHEARD, WORKER_TAG, RunWorker, name_worker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def launcher(home_instance: dg.DagsterInstance) -> WatchfulRunLauncher:
    """The one that the project's dagster.yaml names."""
    made = home_instance.run_launcher
    assert isinstance(made, WatchfulRunLauncher)
    return made


@pytest.fixture
def process() -> Iterator[subprocess.Popen]:
    """Another process of this machine."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield running
        running.kill()


def a_run(instance: dg.DagsterInstance, status: Run = Run.STARTED, **tags: str) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun(job_name="flywheel", run_id=new_id(), status=status, tags=tags))


def run_of(instance: dg.DagsterInstance, pid: int, known: Store, **fields: str) -> dg.DagsterRun:
    """A run that a process executes."""
    run = a_run(instance)
    worker = replace(RunWorker.here(run.run_id, known), pid=pid, began=began(pid) or "", **fields)
    instance.add_run_tags(run.run_id, worker.as_tag())
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def test_both_files_name_the_launcher_and_limit_the_same_pools() -> None:
    files = [yaml.safe_load((ROOT / name).read_text()) for name in ("dagster.yaml", "deploy/dagster.yaml")]
    assert [file["run_launcher"]["class"] for file in files] == ["WatchfulRunLauncher"] * 2
    assert files[0]["run_launcher"] == files[1]["run_launcher"]
    assert files[0]["run_coordinator"] == files[1]["run_coordinator"]
    assert files[0]["run_launcher"]["config"]["pools"].keys() == pools_of_the_steps()


def pools_of_the_steps() -> set[str]:
    pools = {asset.op.pool for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)}
    for job in defs.jobs or []:
        if isinstance(job, dg.JobDefinition):
            pools |= {node.definition.pool for node in job.nodes if isinstance(node.definition, dg.OpDefinition)}
    return {pool for pool in pools if pool}


def test_pools_get_the_limits_of_the_file_once(launcher: WatchfulRunLauncher, home_instance: dg.DagsterInstance) -> None:
    launcher.limit_pools()
    assert limits(home_instance) == {"training": 1, "judging": 3}
    home_instance.event_log_storage.set_concurrency_slots("judging", 7)
    launcher.limit_pools()
    assert limits(home_instance) == {"training": 1, "judging": 7}, "what somebody set since is theirs"


def test_a_pool_that_the_default_gave_its_limit_gets_that_of_the_file(home_instance: dg.DagsterInstance) -> None:
    home_instance.event_log_storage.initialize_concurrency_limit_to_default("judging")
    set_limits(home_instance, {"judging": 3})
    assert limits(home_instance) == {"judging": 3}


def limits(instance: dg.DagsterInstance) -> dict[str, int]:
    return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}


def test_a_run_names_the_process_that_executes_it(store: Store, home_instance: dg.DagsterInstance) -> None:
    @dg.asset
    def made(store: StoreResource) -> None:
        assert store.build()

    result = dg.materialize([made], instance=home_instance, resources={"store": StoreResource()})

    run = home_instance.get_run_by_id(result.run_id)
    assert run is not None
    worker = RunWorker.of(run)
    assert worker is not None
    assert (worker.pid, worker.began, worker.is_here) == (os.getpid(), began(os.getpid()), True)
    assert worker.state(default_store) == "lives"


def test_a_retry_is_not_its_parent(store: Store, home_instance: dg.DagsterInstance, launcher: WatchfulRunLauncher) -> None:
    killed = run_of(home_instance, 2**22 + 1, store)
    retry = a_run(home_instance, **{WORKER_TAG: killed.tags[WORKER_TAG]})
    assert launcher.check_run_worker_health(killed).status is WorkerStatus.NOT_FOUND
    assert launcher.check_run_worker_health(retry).status is WorkerStatus.RUNNING


def test_a_run_is_failed_when_its_process_is_killed_and_not_before(
    process: subprocess.Popen, store: Store, home_instance: dg.DagsterInstance, launcher: WatchfulRunLauncher
) -> None:
    run = run_of(home_instance, process.pid, store)
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = launcher.check_run_worker_health(run)
    assert found.status is WorkerStatus.NOT_FOUND
    assert f"process {process.pid} is gone on this host" in str(found)


def test_another_process_that_got_the_number_is_not_the_run_s(store: Store, home_instance: dg.DagsterInstance) -> None:
    run = run_of(home_instance, os.getpid(), store)
    worker = RunWorker.of(run)
    assert worker is not None
    assert replace(worker, began=f"{worker.began}0").state(default_store) == "is gone"
    assert replace(worker, began="").state(default_store) == "may live", "where the system does not say when it began"


def test_a_run_of_another_host_goes_by_when_the_store_last_heard_of_it(
    store: Store, home_instance: dg.DagsterInstance, launcher: WatchfulRunLauncher
) -> None:
    run = run_of(home_instance, 2**22 + 1, store, host="elsewhere")
    worker = RunWorker.of(run)
    assert worker is not None
    assert worker.state(lambda: store) == "lives"
    assert worker.state(lambda: store, now=lambda: utc_now() + UNHEARD + timedelta(seconds=5)) == "is gone"
    assert replace(worker, worker="nobody").state(lambda: store) == "is gone"
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING


def test_a_run_of_another_host_is_failed_only_when_it_stays_unheard_of(
    store: Store, home_instance: dg.DagsterInstance, launcher: WatchfulRunLauncher
) -> None:
    run = run_of(home_instance, 2**22 + 1, store, host="elsewhere", worker="nobody")
    first = launcher.check_run_worker_health(run)
    assert first.status is WorkerStatus.RUNNING
    assert "looked for once more" in str(first)
    launcher.sure_after_s = 0.0
    assert launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND


def test_a_run_whose_worker_is_in_another_store_is_left_alone(
    store: Store, home_instance: dg.DagsterInstance, launcher: WatchfulRunLauncher
) -> None:
    run = run_of(home_instance, 2**22 + 1, store, host="elsewhere", store="another")
    launcher.sure_after_s = 0.0
    assert [launcher.check_run_worker_health(run).status for _ in range(2)] == [WorkerStatus.RUNNING] * 2


@given(said=st.one_of(st.text(), st.dictionaries(st.text(), st.text()).map(json.dumps), st.none().map(json.dumps)))
def test_a_tag_that_nobody_of_ours_wrote_says_nothing(said: str) -> None:
    assert RunWorker.of(dg.DagsterRun(job_name="flywheel", tags={WORKER_TAG: said})) is None


def test_a_run_without_a_worker_is_left_alone(home_instance: dg.DagsterInstance, launcher: WatchfulRunLauncher) -> None:
    assert launcher.check_run_worker_health(a_run(home_instance)).status is WorkerStatus.RUNNING


def test_while_the_store_is_away_a_run_starts_without_a_worker(
    home_instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", f"postgresql://nobody@/none?host={tmp_path}")
    run = a_run(home_instance)
    name_worker(home_instance, run, default_store)
    found = home_instance.get_run_by_id(run.run_id)
    assert found is not None
    assert WORKER_TAG not in found.tags


def test_a_run_whose_process_and_code_server_are_gone_is_cancelled_at_once(
    store: Store, home_instance: dg.DagsterInstance, launcher: WatchfulRunLauncher
) -> None:
    run = run_of(home_instance, 2**22 + 1, store)
    home_instance.add_run_tags(run.run_id, {".dagster/grpc_info": '{"host": "localhost", "port": 1}'})
    assert launcher.terminate(run.run_id)
    found = home_instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is Run.CANCELED


def test_a_run_that_lost_its_code_server_is_cancelled_by_a_signal(
    process: subprocess.Popen, store: Store, home_instance: dg.DagsterInstance, launcher: WatchfulRunLauncher
) -> None:
    run = run_of(home_instance, process.pid, store)
    home_instance.add_run_tags(run.run_id, {".dagster/grpc_info": '{"host": "localhost", "port": 1}'})
    assert launcher.terminate(run.run_id)
    assert process.wait(30) in (-signal.SIGINT, 1)


def test_the_instance_of_the_ui_has_the_same_launcher(home: Path) -> None:
    with open_instance() as opened:
        assert opened.get_ref().run_launcher.pools == {"training": 1, "judging": 3}
