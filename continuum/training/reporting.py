"""How a training worker tells how far it is, wherever it runs.

| who watches | what the worker writes |
|---|---|
| the process that started it | a JSON object a line on its standard output: `StdoutEvents` |
| Dagster, through Pipes | the same, and lines in the run's log at most once a second, and the steps as messages: `PipesEvents` |
| the caller, in the same process | calls of its `Progress`: `ProgressEvents` |
| nobody: the other processes of a distributed run | nothing |

The lines are `{"event": "progress", "done": 3, "total": 90, "note": "training"}` and `{"event": "step", "values": {...}}`.
Whoever reads them passes over what else is printed.
"""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from continuum.progress import Progress

PIPES_CONTEXT = "DAGSTER_PIPES_CONTEXT"
"""The environment variable by which a process knows that Dagster started it through Pipes."""
LINES_EVERY_S = 1.0

logger = logging.getLogger(__name__)


class Events(Protocol):
    """Whom a worker tells what happens. Telling never fails a training: a listener that went away is no error."""

    def progress(self, done: int, total: int, note: str) -> None:
        """How far it is: steps done, steps in all, a few words."""
        ...

    def step(self, values: dict[str, float]) -> None:
        """What was logged at an optimizer step: `step`, `loss`, `learning_rate` and what else was measured."""
        ...


class SilentEvents:
    """Tells nobody."""

    def progress(self, done: int, total: int, note: str) -> None:
        """Nothing."""

    def step(self, values: dict[str, float]) -> None:
        """Nothing."""


class ProgressEvents:
    """Tells a `Progress` in this process; steps are in the report at the end."""

    def __init__(self, on_progress: Progress) -> None:
        self.on_progress = on_progress

    def progress(self, done: int, total: int, note: str) -> None:
        """Pass it on."""
        self.on_progress(done, total, note)

    def step(self, values: dict[str, float]) -> None:
        """Nothing: progress comes with each step too."""


class StdoutEvents:
    """One JSON object a line, written at once; silent from when nobody reads any more.

    Args:
        descriptor: the file descriptor to write to. Not `sys.stdout`, which would fail once more when the interpreter ends.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self.descriptor: int | None = descriptor

    def progress(self, done: int, total: int, note: str) -> None:
        """A line with the event `progress`."""
        self._write({"event": "progress", "done": done, "total": total, "note": note})

    def step(self, values: dict[str, float]) -> None:
        """A line with the event `step`; a value that is not finite is null, for JSON has no word for it."""
        self._write({"event": "step", "values": finite(values)})

    def _write(self, event: Mapping[str, Any]) -> None:
        if self.descriptor is None:
            return
        try:
            os.write(self.descriptor, json.dumps(event).encode() + b"\n")
        except OSError:
            self.descriptor = None


class PipesEvents:
    """Dagster's run log and Pipes messages: `{"steps": [...]}`, gathered for a second.

    Args:
        pipes: an open `dagster_pipes.PipesContext`.
        beside: told everything too.
        clock: seconds; decides when a line is due.
    """

    def __init__(self, pipes: Any, beside: Events | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.pipes, self.beside, self.clock = pipes, beside or SilentEvents(), clock
        self._last_line = self._last_steps = float("-inf")
        self._steps: list[dict[str, float | None]] = []

    def progress(self, done: int, total: int, note: str) -> None:
        """A line in the run's log when a second has gone by since the last, and at the end."""
        self.beside.progress(done, total, note)
        if done >= total or self.clock() - self._last_line >= LINES_EVERY_S:
            self._last_line = self.clock()
            self._tell(lambda: self.pipes.log.info(f"{done}/{total} {note}"))

    def step(self, values: dict[str, float]) -> None:
        """One of the steps of the next message."""
        self.beside.step(values)
        self._steps.append(finite(values))
        if self.clock() - self._last_steps >= LINES_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Send the steps that have gathered."""
        steps, self._steps = self._steps, []
        self._last_steps = self.clock()
        if steps:
            self._tell(lambda: self.pipes.report_custom_message({"steps": steps}))

    def _tell(self, message: Callable[[], None]) -> None:
        try:
            message()
        except OSError as error:
            # The run's folder for messages is gone when Dagster is: the training is worth more than its log.
            logger.warning("Dagster could not be told: %s", error)


@contextmanager
def open_events() -> Iterator[Events]:
    """Who watches this worker, as its environment says.

    An error that leaves the block is shown in the Dagster run with its own words, so let it pass through before it is handled.
    """
    if os.environ.get("RANK", "0") != "0":
        # Of a distributed run the first process speaks.
        yield SilentEvents()
        return
    if PIPES_CONTEXT not in os.environ:
        yield StdoutEvents()
        return
    try:
        from dagster_pipes import open_dagster_pipes
    except ImportError:
        logger.warning("Dagster started this worker, but dagster-pipes is not installed: its run will show no progress")
        yield StdoutEvents()
        return
    with open_dagster_pipes() as pipes:
        events = PipesEvents(pipes, beside=StdoutEvents())
        try:
            yield events
        finally:
            events.flush()


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """The values with None for what JSON cannot say."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
