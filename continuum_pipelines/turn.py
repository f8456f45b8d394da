"""One whole turn of a task through Dagster, in this process: `python -m continuum_pipelines.turn TASK`.

The run is in Dagster's memory like any other, so the UI shows it, with its log and with what each asset left.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from continuum.errors import ContinuumError
from continuum.progress import Progress, silent
from continuum.records import Record
from continuum.store import default_store
from continuum_pipelines.definitions import defs
from continuum_pipelines.handover import STATUS
from continuum_pipelines.instance import open_instance
from continuum_pipelines.partitions import tasks
from continuum_pipelines.progress import listening

ERRORS_ONLY = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


class TurnOutcome(Record):
    """What a turn through Dagster came to."""

    task: str
    run_id: str
    action: Literal["canary", "live", "kept_previous"]
    """What became of the route."""
    statuses: dict[str, str]
    """Asset to its status in words, in the order data flows."""
    seconds: dict[str, float]
    """Asset to wall seconds."""

    @property
    def waiting(self) -> bool:
        """Is there too little data, so that nothing new was made?"""
        return self.statuses["curated_dataset"].startswith("waiting")


def run_turn(task: str, *, instance: dg.DagsterInstance | None = None, on_progress: Progress = silent) -> TurnOutcome:
    """Materialize the seven assets of a task, one after the other; not to be called inside a running event loop.

    Args:
        task: a task of the store; its partition is added where it is missing.
        instance: Dagster's memory; the one that `make ui` shows when left out.
        on_progress: told how far the stage at work is.

    Raises:
        ConfigurationError: there is no such task.
        ContinuumError: a stage failed; the run is in Dagster's memory with the same error.
    """
    default_store().tasks.get(task)
    with ExitStack() as stack:
        memory = instance or stack.enter_context(open_instance())
        memory.add_dynamic_partitions(str(tasks.name), [task])
        stack.enter_context(listening(on_progress))
        flywheel = defs.resolve_job_def("flywheel")
        return outcome_of(task, flywheel.execute_in_process(run_config=ERRORS_ONLY, instance=memory, partition_key=task))


def outcome_of(task: str, result: dg.ExecuteInProcessResult) -> TurnOutcome:
    """The run's materializations in a few words."""
    left = {event.step_key: event.materialization.metadata for event in result.get_asset_materialization_events()}
    finished = [event for event in result.all_events if event.is_step_success]
    return TurnOutcome.model_validate(
        {
            "task": task,
            "run_id": result.run_id,
            "action": left["deployment"]["action"].value,
            "statuses": {asset: metadata[STATUS].value for asset, metadata in left.items()},
            "seconds": {event.step_key: round(event.step_success_data.duration_ms / 1000, 2) for event in finished},
        }
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: a bar while it works, then a line for each asset; 1 when a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m continuum_pipelines.turn", description=main.__doc__)
    parser.add_argument("task", help="a task of the store")
    task = parser.parse_args(arguments).task
    console = Console()
    try:
        with Bars(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True) as bars:
            line = bars.add_task(f"turning {task}", total=None)

            def show(done: int, total: int, note: str) -> None:
                bars.update(line, completed=done, total=total or None, description=note)

            outcome = run_turn(task, on_progress=show)
    except ContinuumError as error:
        console.print(f"[red]{type(error).__name__}[/]: {error}", soft_wrap=True)
        return 1
    table = Table("asset", "status", "seconds", title=f"{task}: {outcome.action}")
    for name, status in outcome.statuses.items():
        table.add_row(name, status, f"{outcome.seconds.get(name, 0):.1f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
