"""How a worker is started, watched and ended, shown with workers of a few lines; real ones are in `test_processes.py`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from continuum.config import load_settings
from continuum.errors import ConfigurationError, StoreError, TrainingDiverged, TrainingInterrupted
from continuum.fine_tuning import FineTuneConfig
from continuum.progress import silent
from continuum.training.job import ERROR, REPORT, Inputs, Job, write_job
from continuum.training.launch import (
    ERRORS,
    LOG,
    InlineLauncher,
    ProcessLauncher,
    open_launcher,
    record_error,
    recorded_error,
    stoppable,
    worker_command,
)

pytestmark = pytest.mark.slow

BEGINNING = """
import os, pathlib, signal, sys, time
from continuum.training.lifeline import hold_lifeline
from continuum.training.reporting import StdoutEvents
hold_lifeline()
folder, events = pathlib.Path(sys.argv[1]), StdoutEvents()
(folder / "pid").write_text(str(os.getpid()))
"""
WORKS = """
for done in range(1, 10_000):
    events.step({"step": done, "loss": 1.0})
    events.progress(done, 10_000, "training")
    time.sleep(0.05)
"""


class Acting(ProcessLauncher):
    """Starts a worker that runs these lines."""

    lines: str

    def command(self, folder: Path) -> list[str]:
        return [sys.executable, "-c", BEGINNING + self.lines, str(folder)]


def acting(lines: str, **settings: float) -> Acting:
    launcher = Acting({"CONTINUUM_SEED": "7"}, **settings)
    launcher.lines = lines
    return launcher


def ends(pid: int, within_s: float = 20) -> bool:
    """Whether a process goes away."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            # A zombie that nobody has waited for has ended too.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def appears(path: Path, within_s: float = 60) -> str:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if path.is_file() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def test_progress_reaches_the_caller_and_what_else_is_printed_the_log(tmp_path: Path) -> None:
    heard: list[tuple[int, int, str]] = []
    worker = acting(
        'print("hello", flush=True); print(os.environ["CONTINUUM_SEED"], file=sys.stderr, flush=True)\n'
        'events.step({"step": 1, "loss": float("nan")}); events.progress(1, 2, "half")\n'
        '(folder / "report.json").write_text("{}")'
    )

    worker.launch(tmp_path, lambda *told: heard.append(told))

    assert heard == [(1, 2, "half")]
    assert sorted((tmp_path / LOG).read_text().split()) == ["7", "hello"]


def test_an_error_of_the_worker_is_raised_here_as_it_was_there(tmp_path: Path) -> None:
    worker = acting(
        "from continuum.errors import TrainingDiverged\nfrom continuum.training.launch import record_error\n"
        'record_error(folder, TrainingDiverged("the loss was nan at step 3 of 9; lower learning_rate")); sys.exit(1)'
    )
    with pytest.raises(TrainingDiverged, match=r"^the loss was nan at step 3 of 9; lower learning_rate$"):
        worker.launch(tmp_path, silent)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_that_a_caller_can_act_on_comes_back_as_itself(error: type[Exception], tmp_path: Path) -> None:
    record_error(tmp_path, error("what was found, what to do"))
    found = recorded_error(tmp_path)
    assert type(found) is error
    assert str(found) == "what was found, what to do"


@pytest.mark.parametrize("passing", [True, False])
def test_whether_an_error_may_pass_comes_back_with_it(passing: bool, tmp_path: Path) -> None:
    record_error(tmp_path, StoreError("another worker trains it").may_pass(passing))
    found = recorded_error(tmp_path)
    assert found is not None
    assert found.passing is passing


def test_an_error_that_nobody_expected_is_named(tmp_path: Path) -> None:
    record_error(tmp_path, KeyError("lm_head"))
    found = recorded_error(tmp_path)
    assert str(found) == "the training worker failed with KeyError: 'lm_head'"
    assert found is not None
    assert not found.passing


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"error": ', '{"error": "OSError"}'])
def test_an_error_file_that_cannot_be_read_says_nothing(said: str, tmp_path: Path) -> None:
    (tmp_path / ERROR).write_text(said)
    assert recorded_error(tmp_path) is None


def test_the_error_of_the_last_attempt_is_not_that_of_this_one(tmp_path: Path) -> None:
    record_error(tmp_path, ConfigurationError("out of memory"))
    acting('(folder / "report.json").write_text("{}")').launch(tmp_path, silent)
    assert not (tmp_path / ERROR).exists()


def test_a_worker_that_is_killed_names_the_signal_the_step_and_its_last_words(tmp_path: Path) -> None:
    worker = acting(
        'events.step({"step": 12}); print("I was about to", file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)'
    )
    with pytest.raises(TrainingInterrupted, match=r"killed by SIGKILL.* at step 12; the same call goes on.*I was about to$"):
        worker.launch(tmp_path, silent)


def test_a_worker_that_goes_without_a_report_is_not_done(tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted, match="exit code 0 before its first step"):
        acting("").launch(tmp_path, silent)
    assert not (tmp_path / REPORT).exists()


def test_a_worker_that_is_asked_to_stop_saves_its_state_first(tmp_path: Path) -> None:
    stop = threading.Event()
    worker = acting(
        'def save(*_):\n    (folder / "state").write_text("saved"); sys.exit(3)\nsignal.signal(signal.SIGTERM, save)\n' + WORKS
    )
    with pytest.raises(TrainingInterrupted, match=r"stopped at step \d+; the same call goes on"):
        worker.launch(tmp_path, lambda done, *_: stop.set() if done == 3 else None, stop)
    assert (tmp_path / "state").read_text() == "saved"


def test_a_worker_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    stop = threading.Event()
    worker = acting("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKS, grace_s=0.5)
    with pytest.raises(TrainingInterrupted, match="was stopped"):
        worker.launch(tmp_path, lambda *_: stop.set(), stop)
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_listener_that_fails_ends_the_worker(tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the listener is gone")

    with pytest.raises(RuntimeError, match="the listener is gone"):
        acting(WORKS).launch(tmp_path, fail)
    assert ends(int((tmp_path / "pid").read_text()))


async def test_a_cancelled_caller_waits_for_the_end_of_its_worker(tmp_path: Path) -> None:
    begun = threading.Event()
    worker = acting(WORKS)
    task = asyncio.create_task(stoppable(lambda stop: worker.launch(tmp_path, lambda *_: begun.set(), stop)))
    await asyncio.to_thread(begun.wait, 60)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


async def test_work_that_nobody_cancels_gives_its_answer_or_its_error() -> None:
    def fail(_: threading.Event) -> None:
        raise TrainingDiverged("the loss was nan")

    assert await stoppable(lambda stop: stop.is_set()) is False
    with pytest.raises(TrainingDiverged, match="the loss was nan"):
        await stoppable(fail)


PARENT = """
import sys, threading, pathlib
from tests.training.test_launch import WORKS, acting
worker = acting(WORKS)
"""


def a_parent(lines: str, folder: Path) -> "subprocess.Popen[bytes]":
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", PARENT + lines, str(folder)], cwd=root, start_new_session=True)


def test_a_worker_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with a_parent("worker.launch(pathlib.Path(sys.argv[1]), lambda *_: None)", tmp_path) as parent:
        child = int(appears(tmp_path / "pid"))
        parent.kill()
    assert ends(child)


def test_a_loop_that_is_abandoned_holds_nothing_up_and_its_worker_ends(tmp_path: Path) -> None:
    lines = (
        "import asyncio\nfrom continuum.training.launch import stoppable\n"
        "loop = asyncio.new_event_loop()\n"
        "def leave(*_):\n    loop.call_soon_threadsafe(loop.stop)\n"
        "task = loop.create_task(stoppable(lambda stop: worker.launch(pathlib.Path(sys.argv[1]), leave, stop)))\n"
        "loop.run_forever()"
    )
    with a_parent(lines, tmp_path) as parent:
        child = int(appears(tmp_path / "pid"))
        assert parent.wait(60) == 0
    assert ends(child)


def test_an_interrupt_ends_the_worker_and_then_the_caller(tmp_path: Path) -> None:
    lines = (
        "import asyncio\nfrom continuum.training.launch import stoppable\n"
        "asyncio.run(stoppable(lambda stop: worker.launch(pathlib.Path(sys.argv[1]), lambda *_: None, stop)))"
    )
    with a_parent(lines, tmp_path) as parent:
        child = int(appears(tmp_path / "pid"))
        parent.send_signal(signal.SIGINT)
        assert parent.wait(60) != 0
    assert ends(child, within_s=1)


def test_a_worker_that_is_started_by_hand_needs_no_input() -> None:
    program = (
        "import time; from continuum.training.lifeline import hold_lifeline; hold_lifeline(); time.sleep(0.5); print('done')"
    )
    ran = subprocess.run([sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert ran.stdout == "done\n"


def test_one_process_needs_no_accelerate_and_several_share_a_free_port() -> None:
    assert worker_command("/job", python="python") == ["python", "-m", "continuum.training.worker", "/job"]
    several = worker_command("/job", processes=4, python="python")
    assert several[:3] == ["python", "-m", "accelerate.commands.launch"]
    assert several[-3:] == ["-m", "continuum.training.worker", "/job"]
    assert " ".join(several).count("--num_processes 4 --num_machines 1 --main_process_port 0") == 1
    assert "--config_file fsdp2.yaml" in " ".join(worker_command("/job", processes=2, accelerate_config="fsdp2.yaml"))


def test_the_command_is_read_from_the_job_and_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    config = FineTuneConfig(processes=2)
    write_job(tmp_path, Job(task="t", base_model="b", config=config, dataset="d", artifact=str(tmp_path / "a")), Inputs(()))
    launcher = ProcessLauncher({"MLFLOW_TRACKING_TOKEN": "secret"})
    assert "--num_processes 2" in " ".join(launcher.command(tmp_path))
    assert "secret" not in " ".join(launcher.command(tmp_path))


def test_the_settings_say_where_a_training_runs() -> None:
    assert isinstance(open_launcher(load_settings({})), ProcessLauncher)
    assert isinstance(open_launcher(load_settings({"CONTINUUM_TRAINER": "inline"})), InlineLauncher)
    chosen = open_launcher(load_settings({"CONTINUUM_ACCELERATE_CONFIG": "ddp.yaml"}))
    assert isinstance(chosen, ProcessLauncher)
    assert chosen.accelerate_config == "ddp.yaml"
    with pytest.raises(ConfigurationError, match="CONTINUUM_TRAINER is 'ray'; it must be one of process, inline"):
        load_settings({"CONTINUUM_TRAINER": "ray"})


def test_events_are_whole_json_objects(tmp_path: Path) -> None:
    heard: list[str] = []
    acting('events.progress(1, 1, "line\\nbreak \\ud800"); (folder / "report.json").write_text("{}")').launch(
        tmp_path, lambda done, total, note: heard.append(json.dumps(note))
    )
    assert heard == [json.dumps("line\nbreak \ud800")]
    assert os.stat(tmp_path / LOG).st_size == 0
