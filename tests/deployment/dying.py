"""A controller that dies in the middle: it kills its own process at a statement to the database that a test names."""

import asyncio
import os
import signal
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from continuum.deployment.controller import lead, to_lead
from continuum.deployment.settling import Hooks
from continuum.deployment.watch.watch import Look
from continuum.policy import TaskPolicy
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.store.database import open_store
from tests.deployment.leading import Shelf

if TYPE_CHECKING:
    from continuum.store.database import Store


async def goes_well_and_then_does_not(store: "Store", record: DeploymentRecord, policy: TaskPolicy, *, now: datetime) -> Look:
    """Every step of the candidate may be taken; as the champion it has to go."""
    bad = record.id == "candidate" and record.state is DeploymentState.LIVE
    return Look("rollback" if bad else "promote", "as the test tells it", {})


def lead_and_die(url: str, dies_at: int | None) -> None:
    """Lead what there is until the candidate is gone again, or until this process kills itself.

    Args:
        url: of the store.
        dies_at: number of the statement before which it dies, counted from 1; every commit counts as one. None for never.
    """
    store = open_store(url)
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(store.engine, "before_cursor_execute", counted)
    event.listen(store.engine, "commit", counted)
    shelf = Shelf()

    async def until_it_is_gone() -> None:
        while any(record.id == "candidate" for record in to_lead(store)):
            await lead(store, look=goes_well_and_then_does_not, backend=lambda record: shelf, hooks=Hooks(drain_s=0))
            await asyncio.sleep(0.005)

    asyncio.run(until_it_is_gone())
