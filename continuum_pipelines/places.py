"""A place in a pool, taken in the middle of a step: where there is something to train or to judge, and no earlier.

A pool of the whole step is waited for by a run that has nothing to do there as well, and while it waits nobody else has its place
among the runs. The places are Dagster's own: their number is in dagster.yaml, and those of a run that was killed come free again.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from continuum.errors import TrainingInterrupted
from continuum.progress import Progress
from continuum.training.launch import Launcher

LOOK_EVERY_S = 0.2
"""How often a step that waits sees whether it is cancelled; Dagster itself asks its database less often."""


class Place:
    """What a step asks of a pool.

    Args:
        context: of the step.
        pool: one of dagster.yaml.
    """

    def __init__(self, context: dg.AssetExecutionContext, pool: str) -> None:
        self._context, self._pool = context, pool
        self._key = context.op_execution_context.get_step_execution_context().step.key
        self._claims = InstanceConcurrencyContext(context.instance, context.run)
        self._told = False

    def is_mine(self) -> bool:
        """Take a place where one is free; the first time that none is, the run's log says so."""
        if self._claims.claim(self._pool, self._key):
            if self._told:
                self._context.log.info(f"has its place in the pool {self._pool}")
            return True
        if not self._told:
            self._told = True
            self._context.log.info(f"waits for a place in the pool {self._pool}")
        return False

    def give_back(self) -> None:
        """Leave the place, or the line before it."""
        self._claims.free_step(self._key)
        # What was only asked for is left by the end of Dagster's own block.
        self._claims.__exit__(None, None, None)


@contextmanager
def place(context: dg.AssetExecutionContext, pool: str, stop: threading.Event | None = None) -> Iterator[None]:
    """Hold a place while the block lasts; waits in this thread until there is one.

    Raises:
        TrainingInterrupted: `stop` was set before there was a place.
    """
    wanted, stopped = Place(context, pool), stop or threading.Event()
    try:
        while not wanted.is_mine():
            if stopped.wait(LOOK_EVERY_S):
                raise TrainingInterrupted(f"stopped while it waited for a place in the pool {pool}; nothing was trained")
        yield
    finally:
        wanted.give_back()


@asynccontextmanager
async def place_of_work(context: dg.AssetExecutionContext, pool: str) -> AsyncIterator[None]:
    """The same for what is `async`; cancelled, it leaves the line."""
    wanted = Place(context, pool)
    try:
        while not wanted.is_mine():
            await asyncio.sleep(LOOK_EVERY_S)
        yield
    finally:
        wanted.give_back()


class PlacedLauncher:
    """Starts a training once there is a place in the pool `training`, which it has until the training ends.

    Args:
        context: of the asset that trains.
        launcher: starts it.
    """

    def __init__(self, context: dg.AssetExecutionContext, launcher: Launcher) -> None:
        self.context, self.launcher = context, launcher

    def launch(self, folder: Path, on_progress: Progress, stop: threading.Event | None = None) -> None:
        """Train; see `continuum.training.launch.Launcher`."""
        with place(self.context, "training", stop):
            self.launcher.launch(folder, on_progress, stop)
