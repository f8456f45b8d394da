import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from continuum.training.reporting import PipesEvents, ProgressEvents, SilentEvents, StdoutEvents, open_events

SPEAKS = """
import sys
from continuum.training.reporting import open_events
with open_events() as events:
    for step in range(1, 4):
        events.step({"step": step, "loss": 1 / step})
        events.progress(step, 3, "training")
    if len(sys.argv) > 1:
        raise ValueError(sys.argv[1])
"""


def spoken(*arguments: str, **environment: str) -> list[dict[str, Any]]:
    """What a worker writes on its standard output."""
    ran = subprocess.run(
        [sys.executable, "-c", SPEAKS, *arguments], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    assert ran.stderr == ""
    return [json.loads(line) for line in ran.stdout.splitlines()]


def read_back(write: Any) -> list[dict[str, Any]]:
    """What `write` writes to a pipe."""
    read, end = os.pipe()
    write(StdoutEvents(end))
    os.close(end)
    with os.fdopen(read) as pipe:
        return [json.loads(line) for line in pipe]


class Told:
    """A `dagster_pipes.PipesContext` as far as events use it."""

    def __init__(self, *, gone: bool = False) -> None:
        self.lines: list[str] = []
        self.messages: list[Any] = []
        self.gone = gone
        self.log = self

    def info(self, line: str) -> None:
        if self.gone:
            raise FileNotFoundError("messages")
        self.lines.append(line)

    def report_custom_message(self, payload: Any) -> None:
        if self.gone:
            raise FileNotFoundError("messages")
        self.messages.append(payload)


def test_a_worker_writes_a_json_object_a_line() -> None:
    said = spoken()
    assert said[:2] == [
        {"event": "step", "values": {"step": 1, "loss": 1.0}},
        {"event": "progress", "done": 1, "total": 3, "note": "training"},
    ]
    assert len(said) == 6


def test_of_a_distributed_run_the_first_process_speaks() -> None:
    assert spoken(RANK="1", WORLD_SIZE="2") == []
    assert len(spoken(RANK="0", WORLD_SIZE="2")) == 6


def test_what_json_cannot_say_is_null_and_captured_text_stays_on_its_line() -> None:
    def write(events: StdoutEvents) -> None:
        events.step({"step": 1, "loss": float("inf")})
        events.progress(0, 1, "a\nb\ud800")

    step, progress = read_back(write)
    assert step["values"] == {"step": 1, "loss": None}
    assert progress["note"] == "a\nb\ud800"


def test_a_reader_that_goes_away_stops_the_events_and_not_the_training() -> None:
    read, end = os.pipe()
    os.close(read)
    events = StdoutEvents(end)
    for step in range(3):
        events.progress(step, 3, "training")
    os.close(end)
    assert events.descriptor is None


def test_progress_is_passed_on_in_the_same_process() -> None:
    heard: list[tuple[int, int, str]] = []
    events = ProgressEvents(lambda *told: heard.append(told))
    events.step({"step": 1})
    events.progress(1, 2, "half")
    assert heard == [(1, 2, "half")]


def test_dagster_is_told_once_a_second_and_at_the_end_and_hears_every_step() -> None:
    now, told = 0.0, Told()
    events = PipesEvents(told, clock=lambda: now)
    for step in range(1, 11):
        now += 0.3
        events.step({"step": step})
        events.progress(step, 10, "training")
    events.flush()
    events.flush()
    assert told.lines == ["1/10 training", "5/10 training", "9/10 training", "10/10 training"]
    assert [row["step"] for message in told.messages for row in message["steps"]] == list(range(1, 11))
    assert len(told.messages) == 4


def test_a_dagster_that_went_away_stops_no_training(caplog: pytest.LogCaptureFixture) -> None:
    events = PipesEvents(Told(gone=True))
    events.step({"step": 1})
    events.progress(1, 1, "training")
    assert "Dagster could not be told" in caplog.text


def test_without_anyone_else_the_standard_output_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_events() as events:
        assert isinstance(events, StdoutEvents)
    monkeypatch.setenv("RANK", "3")
    with open_events() as events:
        assert isinstance(events, SilentEvents)
        events.step({})
        events.progress(0, 1, "")


def piped(*arguments: str, **environment: str) -> tuple[list[str], list[Any], bool]:
    """The log of a Dagster run that starts a worker through Pipes, the messages, and whether it went well."""
    messages: list[Any] = []

    @dg.asset
    def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        client = dg.PipesSubprocessClient(env=environment)
        ran = client.run(context=context.op_execution_context, command=[sys.executable, "-c", SPEAKS, *arguments])
        messages.extend(ran.get_custom_messages())
        return ran.get_materialize_result()

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([trained], instance=instance, raise_on_error=False)
        entries = instance.all_logs(result.run_id)
    details = [
        entry.dagster_event.engine_event_data.error
        for entry in entries
        if entry.dagster_event is not None and entry.dagster_event.is_engine_event
    ]
    return [entry.message for entry in entries] + [str(error) for error in details if error], messages, result.success


# Dagster's client reads a property of its own that it calls a preview.
pipes = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning")


@pytest.mark.slow
@pipes
def test_a_run_that_starts_the_worker_through_pipes_shows_its_progress(capfd: pytest.CaptureFixture[str]) -> None:
    lines, messages, went_well = piped()
    assert went_well
    assert "3/3 training" in lines
    assert [row["step"] for message in messages for row in message["steps"]] == [1, 2, 3]
    assert capfd.readouterr().out.count('"event"') == 6


@pytest.mark.slow
@pipes
def test_a_worker_that_fails_says_in_the_run_why() -> None:
    lines, _, went_well = piped("out of memory at batch_size 16; 8 would fit")
    assert not went_well
    assert any("out of memory at batch_size 16; 8 would fit" in line for line in lines)


@pytest.mark.slow
def test_a_worker_without_dagster_pipes_trains_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "dagster_pipes.py").write_text("raise ImportError('not installed')")
    ran = subprocess.run(
        [sys.executable, "-c", SPEAKS],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "DAGSTER_PIPES_CONTEXT": "anything"},
    )  # fmt: skip
    assert len(ran.stdout.splitlines()) == 6
    assert "its run will show no progress" in ran.stderr
