"""How a Dagster run starts a worker, sees it through, and ends it."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_pipes import decode_param
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import ConfigurationError, MissingExtra, StoreError
from continuum.progress import silent
from continuum.training.job import REPORT, FitReport, read_report, write_json
from continuum.training.launch import InlineLauncher, Launcher, record_error, stoppable
from continuum_pipelines.launchers import (
    JOB_LABEL,
    KubernetesLauncher,
    OneWorkerReader,
    PipesLauncher,
    open_pod_client,
    whole_lines,
)
from continuum_pipelines.progress import listening
from continuum_pipelines.resources.training import TRAINING_CONFIG, TrainingResource, training_resource
from tests.tiny_model import CONFIG, write_tiny_job

ROOT = Path(__file__).parents[2]


class Pods:
    """A client of a cluster whose pods do one thing."""

    def __init__(self, does: Any) -> None:
        self.does = does
        self.asked: dict[str, Any] = {}

    def run(self, *, context: Any, **pod: Any) -> None:
        """Run a pod."""
        self.asked = pod
        self.does()


def run_with(make: Any, folder: Path) -> tuple[dg.ExecuteInProcessResult, list[str]]:
    """A run whose asset trains what is in the folder, and the lines of its log."""

    @dg.asset
    async def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        launcher: Launcher = make(context)
        await stoppable(lambda stop: launcher.launch(folder, silent, stop))
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([trained], instance=instance, raise_on_error=False)
        entries = instance.all_logs(result.run_id)
    words = [entry.message for entry in entries]
    for entry in entries:
        event = entry.dagster_event
        if event is not None and event.is_engine_event and event.engine_event_data.error:
            words.append(str(event.engine_event_data.error))
        if event is not None and event.is_step_failure:
            words.append(str(event.step_failure_data.error))
    return result, words


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_starts_a_worker_through_pipes_and_shows_how_far_it_is(tiny_base: Path, tmp_path: Path) -> None:
    folder, heard = tmp_path / "job", []
    artifact = write_tiny_job(tiny_base, folder, CONFIG.model_copy(update={"epochs": 3.0, "general_share": 0.0}))

    with listening(lambda done, total, note: heard.append((done, total, note))):
        result, words = run_with(PipesLauncher, folder)

    report = read_report(folder)
    assert result.success
    assert report is not None
    assert (artifact / "adapter_model.safetensors").is_file()
    assert "0/1 starting" in words
    assert any(word.startswith(f"{report.steps}/{report.steps} training, loss") for word in words)
    assert [done for done, total, note in heard if "loss" in note] == list(range(1, report.steps + 1))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_that_fails_says_why_in_the_run_with_its_own_words(tiny_base: Path, tmp_path: Path) -> None:
    write_tiny_job(tiny_base, tmp_path / "job")
    (tmp_path / "job" / "inputs" / "train.jsonl").write_text("{}\n")

    result, words = run_with(PipesLauncher, tmp_path / "job")

    told = [word for word in words if "was altered since the job was written" in word]
    assert not result.success
    assert any("continuum/training/worker.py" in word for word in told), "the worker's own traceback"
    assert any("continuum.errors.StoreError" in word and "launch.py" in word for word in told), "the error of the step"


@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20), max_size=8),
    cuts=st.lists(st.integers(0, 200), max_size=12),
    ended=st.booleans(),
)
def test_wherever_a_line_is_torn_each_is_read_once_and_whole(lines: list[str], cuts: list[int], ended: bool) -> None:
    written = "".join(f"{line}\n" for line in lines).encode()
    unfinished = b"" if ended else "half a line, ü".encode()[:-1]
    places = sorted({min(cut, len(written)) for cut in cuts})
    pieces = [*(written[start:end] for start, end in pairwise([0, *places, len(written)])), unfinished]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "messages"
        path.touch()
        with path.open("rb") as file, path.open("ab", buffering=0) as writer:

            class Appending(threading.Event):
                """Nothing new is there: the writer writes its next piece, and ends after the last."""

                def wait(self, timeout: float | None = None) -> bool:
                    writer.write(pieces.pop(0))
                    if not pieces:
                        self.set()
                    return True

            over = Appending()
            assert [line.decode() for line in whole_lines(file, over)] == lines


def test_a_message_that_cannot_be_read_keeps_no_other_from_the_run() -> None:
    with dg.DagsterInstance.ephemeral() as instance:

        @dg.asset
        def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            with dg.open_pipes_session(
                context.op_execution_context, dg.PipesTempFileContextInjector(), OneWorkerReader()
            ) as session:
                path = Path(decode_param(session.get_bootstrap_env_vars()["DAGSTER_PIPES_MESSAGES"])["path"])
                told = {"__dagster_pipes_version": "0.1", "method": "log", "params": {"message": "hello", "level": "INFO"}}
                ended = told | {"method": "closed", "params": {}}
                path.write_text("{no json\n" + "".join(json.dumps(one) + "\n" for one in (told, ended)))
            return dg.MaterializeResult()

        result = dg.materialize([trained], instance=instance)
        said = [entry.message for entry in instance.all_logs(result.run_id)]

    assert "hello" in said
    assert any("framework exception occurred in OneWorkerReader" in word for word in said)


CANCELLED = """
import sys
from pathlib import Path
import dagster as dg
from continuum.training.launch import stoppable
from tests.training.test_launch import WORKS, acting

folder = Path(sys.argv[1])

@dg.asset
async def trained(context: dg.AssetExecutionContext) -> None:
    await stoppable(lambda stop: acting(WORKS).launch(folder, lambda *_: None, stop))

with dg.DagsterInstance.ephemeral() as instance:
    result = dg.materialize([trained], instance=instance, raise_on_error=False)
    (folder / "status").write_text(instance.get_run_by_id(result.run_id).status.value)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_cancelled_ends_its_worker(number: signal.Signals, tmp_path: Path) -> None:
    from tests.training.test_launch import appears, ends

    with subprocess.Popen([sys.executable, "-c", CANCELLED, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL) as run:
        worker = int(appears(tmp_path / "pid"))
        time.sleep(0.5)
        run.send_signal(number)
        run.wait(60)
    assert ends(worker)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job's folder."""
    write_tiny_job(tmp_path / "base", tmp_path / ("k" * 70), CONFIG.model_copy(update={"processes": 2}))
    return tmp_path / ("k" * 70)


def in_a_pod(pods: Pods, folder: Path, **settings: Any) -> tuple[dg.ExecuteInProcessResult, list[str]]:
    return run_with(lambda context: KubernetesLauncher(context, pods, "continuum-ai:1", **settings), folder)


def test_a_pod_is_asked_for_with_the_command_the_label_and_what_the_configuration_says(job: Path) -> None:
    report = FitReport(initial_loss=2, final_loss=1, steps=1, epochs=1)
    pods = Pods(lambda: write_json(job / REPORT, report.model_dump(mode="json")))
    spec = {"volumes": [{"name": "data"}]}

    result, _ = in_a_pod(pods, job, namespace="ml", pod_spec=spec, environment={"CONTINUUM_HOME": "/data"})

    assert result.success
    assert pods.asked["command"][:3] == ["python", "-m", "accelerate.commands.launch"]
    assert pods.asked["command"][-3:] == ["-m", "continuum.training.worker", str(job)]
    assert pods.asked["base_pod_meta"] == {"labels": {JOB_LABEL: "k" * 63}}
    assert (pods.asked["image"], pods.asked["namespace"], pods.asked["base_pod_spec"]) == ("continuum-ai:1", "ml", spec)
    assert pods.asked["env"] == {"CONTINUUM_HOME": "/data"}


@pytest.mark.parametrize("how", ["fails", "goes"])
def test_the_error_that_a_pod_left_in_the_folder_is_the_error_of_the_run(how: str, job: Path) -> None:
    def ends() -> None:
        record_error(job, StoreError("the disk is full"))
        if how == "fails":
            raise RuntimeError("Pod failed")

    result, words = in_a_pod(Pods(ends), job)
    assert not result.success
    assert any("continuum.errors.StoreError: the disk is full" in word for word in words)


def test_a_pod_that_leaves_nothing_behind_is_an_interruption(job: Path) -> None:
    _, words = in_a_pod(Pods(lambda: None), job)
    assert any("TrainingInterrupted: the training's pod ended without a report" in word for word in words)


@pytest.fixture
def without_dagster_k8s(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that lacks the package."""
    monkeypatch.setitem(sys.modules, "dagster_k8s", None)


@pytest.mark.usefixtures("without_dagster_k8s")
def test_a_cluster_needs_a_package_of_its_own() -> None:
    with pytest.raises(MissingExtra, match="pip install dagster-k8s"):
        open_pod_client()


@pytest.mark.usefixtures("without_dagster_k8s")
def test_the_environment_or_a_file_says_where_trainings_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context: Any = dg.build_asset_context()
    assert isinstance(TrainingResource().build(context), InlineLauncher)
    monkeypatch.delenv("CONTINUUM_TRAINER")
    monkeypatch.setenv("CONTINUUM_ACCELERATE_CONFIG", "fsdp2.yaml")
    launcher = training_resource().build(context)
    assert isinstance(launcher, PipesLauncher)
    assert launcher.accelerate_config == "fsdp2.yaml"

    monkeypatch.setenv(TRAINING_CONFIG, str(ROOT / "deploy" / "kubernetes" / "training.yaml"))
    resource = training_resource()
    assert resource.runner == "kubernetes"
    assert resource.pod_spec["volumes"][0]["name"] == "data"
    with pytest.raises(MissingExtra, match="dagster-k8s"):
        resource.build(context)


@pytest.mark.parametrize("written", ["runner: kubernetes\nimages: x\n", "- a\n", ": : :", None])
def test_a_file_that_is_no_configuration_is_refused(written: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if written is not None:
        (tmp_path / "training.yaml").write_text(written)
    monkeypatch.setenv(TRAINING_CONFIG, str(tmp_path / "training.yaml"))
    with pytest.raises(ConfigurationError, match=r"no configuration of the resource `training`.*its fields are runner"):
        training_resource()


@pytest.mark.parametrize("resource", [TrainingResource(runner="ray"), TrainingResource(runner="kubernetes")])
def test_a_runner_that_there_is_not_and_a_pod_without_an_image_are_refused(resource: TrainingResource) -> None:
    with pytest.raises(ConfigurationError, match="use one of process, inline, kubernetes"):
        resource.build(dg.build_asset_context())
