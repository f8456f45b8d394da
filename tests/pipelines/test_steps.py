"""A step that is cancelled ends in order and soon, and one that fails is tried again only where that may help."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import (
    ConfigurationError,
    ContinuumError,
    DeploymentError,
    JudgeError,
    NotEnoughData,
    StoreError,
    TrainingDiverged,
    TrainingInterrupted,
)
from continuum.models.budget import BudgetExhausted
from continuum_pipelines.definitions import defs
from continuum_pipelines.progress import log_progress
from continuum_pipelines.steps import PAUSES_S, passes, pause_before_another, step

ROOT = Path(__file__).parents[2]
STAYING = [ConfigurationError, NotEnoughData, TrainingDiverged, DeploymentError, JudgeError, StoreError, BudgetExhausted]


def nobody_there() -> psycopg2.OperationalError:
    try:
        psycopg2.connect("host=/nowhere dbname=postgres")
    except psycopg2.OperationalError as error:
        return error
    raise AssertionError("there is a server in /nowhere")


def because_of(error: Exception, cause: BaseException) -> Exception:
    try:
        raise error from cause
    except Exception as raised:  # noqa: BLE001
        return raised


def test_nobody_there_a_broken_database_and_a_killed_worker_pass() -> None:
    assert passes(TrainingInterrupted("killed by SIGKILL"))
    assert passes(JudgeError("HTTP 503").may_pass())
    assert passes(ConnectionRefusedError())
    assert passes(TimeoutError())
    assert passes(nobody_there())
    assert passes(because_of(StoreError("the store cannot be read"), nobody_there()))
    assert passes(because_of(JudgeError("not one judgement succeeded"), JudgeError("HTTP 503").may_pass())) is False


@pytest.mark.parametrize("error", STAYING)
def test_what_comes_back_the_same_does_not_pass_whatever_it_was_raised_because_of(error: type[ContinuumError]) -> None:
    assert not passes(error("what was found"))
    assert not passes(because_of(error("what was found"), ConnectionResetError()))


@pytest.mark.parametrize(
    "error", [KeyError("a"), FileNotFoundError("b"), ZeroDivisionError(), AssertionError(), OSError(28, "full")]
)
def test_an_error_of_the_program_does_not_pass(error: Exception) -> None:
    assert not passes(error)


@given(tried=st.integers(min_value=0, max_value=20))
def test_a_step_is_tried_again_three_times_with_growing_pauses_and_then_no_more(tried: int) -> None:
    pause = pause_before_another(TrainingInterrupted("killed"), tried)
    assert (pause is not None) == (tried < 3)
    if pause is not None and tried:
        assert pause > PAUSES_S[tried - 1]
    assert pause_before_another(ConfigurationError("no such model"), tried) is None


def result_of(asset: dg.AssetsDefinition) -> tuple[dg.ExecuteInProcessResult, list[str]]:
    """A run of one asset, and what its log says."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance, raise_on_error=False)
        return result, [entry.user_message for entry in instance.all_logs(result.run_id)]


@pytest.mark.slow
def test_a_step_that_met_nobody_is_tried_again_after_a_pause_and_says_so() -> None:
    calls: list[int] = []

    @dg.asset
    @step
    async def judged(context: dg.AssetExecutionContext) -> None:
        calls.append(context.retry_number)
        if len(calls) == 1:
            raise JudgeError("the judge gave no answer in 3 tries").may_pass()

    result, told = result_of(judged)

    assert result.success
    assert calls == [0, 1]
    assert "JudgeError: the judge gave no answer in 3 tries; tried again in 5 s" in told


def test_a_step_that_is_wrong_fails_at_once_with_its_own_error() -> None:
    calls: list[int] = []

    @dg.asset
    @step
    async def judged(context: dg.AssetExecutionContext) -> None:
        calls.append(context.retry_number)
        raise ConfigurationError("the endpoint refused the key")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([judged], instance=instance, raise_on_error=False)
        with pytest.raises(ConfigurationError, match="refused the key"):
            dg.materialize([judged], instance=instance)

    assert not result.success
    assert calls == [0, 0]


def test_a_step_gives_back_what_its_work_returns_plain_or_not() -> None:
    @dg.asset
    @step
    async def waits(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        await asyncio.to_thread(lambda: None)
        return dg.MaterializeResult(metadata={"by": "a loop"})

    @dg.asset
    @step
    def computes(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"by": "hand"})

    result = dg.materialize([waits, computes])
    left = {event.step_key: event.materialization.metadata["by"].value for event in result.get_asset_materialization_events()}
    assert left == {"waits": "a loop", "computes": "hand"}


def test_every_asset_and_every_job_s_op_is_a_step() -> None:
    functions = [asset.op.compute_fn.decorated_fn for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    for job in defs.jobs or []:
        if isinstance(job, dg.JobDefinition):
            functions += [node.definition.compute_fn.decorated_fn for node in job.nodes]
    assert len(functions) >= 10
    assert [function.__name__ for function in functions if not hasattr(function, "__wrapped__")] == []


CANCELLED = """
import asyncio, sys, threading, time
from pathlib import Path
import dagster as dg
from continuum_pipelines.progress import log_progress
from continuum_pipelines.steps import step

folder, how = Path(sys.argv[1]), sys.argv[2]

def said(name):
    (folder / name).write_text("yes")

def computed(tell):
    try:
        for n in range(10_000):
            tell(n, 10_000, "computing")
            time.sleep(0.01)
            said("computing")
    finally:
        said("the thread ended")

@dg.asset
@step
async def worked(context: dg.AssetExecutionContext) -> None:
    try:
        if how == "waits":
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(600))
                said("computing")
        else:
            await asyncio.to_thread(computed, log_progress(context))
    finally:
        await asyncio.sleep(0.05)
        said("let go")

with dg.DagsterInstance.ephemeral() as instance:
    result = dg.materialize([worked], instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    (folder / "status").write_text(run.status.value)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["waits", "computes"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_step_that_is_cancelled_lets_go_of_what_it_holds(number: signal.Signals, how: str, tmp_path: Path) -> None:
    from tests.training.test_launch import appears

    with subprocess.Popen([sys.executable, "-c", CANCELLED, str(tmp_path), how], cwd=ROOT, stderr=subprocess.PIPE) as run:
        appears(tmp_path / "computing")
        run.send_signal(number)
        run.wait(60)
    assert (tmp_path / "let go").exists()
    assert (tmp_path / "status").read_text() == "FAILURE"  # Nobody had asked Dagster: it tells that apart from a cancellation.
    assert how == "waits" or (tmp_path / "the thread ended").exists()


def test_outside_of_a_step_progress_is_told_as_ever() -> None:
    context = dg.build_asset_context()
    log_progress(context)(1, 2, "half")
