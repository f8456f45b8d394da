"""How far long work is: a line a second in the run's log, and a call to whoever drives the run in this process."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from continuum.progress import Progress
from continuum_pipelines.steps import cancelling

BAR_WIDTH = 12
LINES_EVERY_S = 1.0

_listeners: list[Progress] = []


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Tell `progress` too, in the runs that this process executes itself while the block lasts."""
    _listeners.append(progress)
    try:
        yield
    finally:
        _listeners.remove(progress)


def tell_listeners(done: int, total: int, note: str) -> None:
    """Tell those who drive the runs that this process executes, and nobody else."""
    for listener in _listeners:
        listener(done, total, note)


def log_progress(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, *, clock: Callable[[], float] = time.monotonic
) -> Progress:
    """The progress to hand to a stage: logs at most once a second, and the last step always.

    Once the step is cancelled it raises `asyncio.CancelledError`: a thread of the stage, which nothing else ends, stops there.
    """
    last_line, cancelled = float("-inf"), cancelling()

    def report(done: int, total: int, note: str) -> None:
        nonlocal last_line
        if cancelled is not None and cancelled.is_set():
            raise asyncio.CancelledError("the run was cancelled")
        tell_listeners(done, total, note)
        if done >= total or clock() - last_line >= LINES_EVERY_S:
            last_line = clock()
            context.log.info(f"{bar(done, total)} {done}/{total} {note}")

    return report


def bar(done: int, total: int) -> str:
    """A bar of fixed width in text."""
    filled = round(BAR_WIDTH * min(done, total) / total) if total > 0 else 0
    return "█" * filled + "░" * (BAR_WIDTH - filled)
