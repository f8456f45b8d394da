"""Real workers: processes of their own that are killed, asked to stop, and short of disk or memory."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from continuum.training import worker
from continuum.training.job import read_report
from continuum.training.loop import run_job
from continuum.training.reporting import SilentEvents
from tests.tiny_model import CONFIG, write_tiny_job

pytestmark = pytest.mark.slow

QUIET = CONFIG.model_copy(update={"general_share": 0.0, "epochs": 12, "checkpoint_every": 2})


def spawned(folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / "said").open("wb") as said, (folder / "err").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "continuum.training.worker", str(folder / "job.json")],
            stdout=said,
            stderr=errors,
            env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        )


def heard(folder: Path, words: str) -> None:
    """Wait until the worker has said the words."""
    deadline = time.monotonic() + 300
    while words not in (folder / "said").read_text():
        assert time.monotonic() < deadline, (folder / "err").read_text()
        time.sleep(0.01)


def forked(work: Callable[[], int]) -> int:
    """The exit code of a copy of this process that does the work, and cannot hurt this one."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def error_of(folder: Path) -> dict[str, str]:
    return json.loads((folder / "error.json").read_text())


def test_a_worker_that_is_killed_and_one_that_is_stopped_end_with_the_same_adapter(tiny_base: Path, tmp_path: Path):
    write_tiny_job(tiny_base, tmp_path / "whole", QUIET)
    whole = run_job(tmp_path / "whole", SilentEvents())
    write_tiny_job(tiny_base, tmp_path / "v1", QUIET)

    first = spawned(tmp_path / "v1")
    heard(tmp_path / "v1", '"step": 3')
    first.kill()
    assert first.wait() == -signal.SIGKILL
    second = spawned(tmp_path / "v1")
    heard(tmp_path / "v1", '"event": "step"')
    second.terminate()
    code = second.wait()
    if code == 128 + signal.SIGTERM:
        assert error_of(tmp_path / "v1")["error"] == "TrainingInterrupted"
    report = run_job(tmp_path / "v1", SilentEvents())

    assert code in (0, 128 + signal.SIGTERM)
    assert report.resumed_at
    assert report.manifest["adapter_model.safetensors"] == whole.manifest["adapter_model.safetensors"]
    assert report.manifest["ewc.safetensors"] == whole.manifest["ewc.safetensors"]


def test_a_refusal_has_its_own_code_and_leaves_word(tmp_path: Path):
    folder = tmp_path / "nowhere"
    folder.mkdir()

    assert forked(lambda: worker.main([str(folder)])) == worker.REFUSED
    assert error_of(folder)["error"] == "StoreError"
    assert "cannot be read as a training job" in error_of(folder)["message"]
    assert forked(lambda: worker.main([])) == worker.REFUSED


def test_a_disk_that_fills_up_is_a_plain_error_and_the_run_goes_on_once_there_is_room(tiny_base: Path, tmp_path: Path):
    write_tiny_job(tiny_base, tmp_path / "v1", QUIET)

    def in_little_room() -> int:
        # As a full disk: no file may grow beyond this, and a state has larger ones.
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
        return worker.main([str(tmp_path / "v1")])

    assert forked(in_little_room) == worker.REFUSED
    said = error_of(tmp_path / "v1")
    assert said["error"] == "StoreError"
    assert "MB are free there and up to" in said["message"]
    assert not list((tmp_path / "v1").glob("states/*/*"))
    assert forked(lambda: worker.main([str(tmp_path / "v1")])) == worker.OK
    assert read_report(tmp_path / "v1") is not None


def test_memory_that_runs_out_names_what_would_fit(tiny_base: Path, tmp_path: Path):
    config = QUIET.model_copy(update={"batch_size": 4096, "epochs": 1})
    write_tiny_job(tiny_base, tmp_path / "v1", config)

    def in_little_memory() -> int:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, resource.RLIM_INFINITY))
        return worker.main([str(tmp_path / "v1")])

    assert forked(in_little_memory) == worker.REFUSED
    said = error_of(tmp_path / "v1")
    assert said["error"] == "ConfigurationError"
    assert "4096 rows of up to" in said["message"]
    assert "batch_size=" in said["message"]
