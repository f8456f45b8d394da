"""What a breaker that opened does to the deployment: a candidate is taken back, a champion is told of.

Any number of workers may see the same; the store's compare-and-set lets one of them do it.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from continuum.deployment import transitions
from continuum.deployment.gateway.breaker import Trip
from continuum.deployment.transitions import ON_TRIAL, Cause
from continuum.errors import DeploymentError
from continuum.serving_records import DeploymentRecord
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

ACTOR = "gateway"
BREAKER = "breaker"
"""The action of the event that tells of a champion."""
TRIES = 5
"""How often a change is decided on anew because somebody else made one meanwhile."""
RETRY_S = 1.0
"""Between two tries while the store is down."""
MAX_WAITING = 100
"""Trips that wait for the store."""

Done = Literal["rolled back", "told", "nothing to do"]

logger = logging.getLogger(__name__)


def act_on(store: "Store", trip: Trip, *, now: Callable[[], datetime] = utc_now) -> Done:
    """Take a candidate back, with the breaker's counts as evidence, or write down that a champion's breaker opened.

    A candidate has a model behind it that is known to be better than none; of a champion that fails, a person decides. There is
    nothing to do where the model serves no longer, or another worker told of the champion a moment ago. Blocks on the store.

    Raises:
        DeploymentError: others changed the deployment each time; ask again.
        Exception: the store did not take it; ask again.
    """
    for _ in range(TRIES):
        seen = next((one for one in store.deployments.serving(trip.task) if one.model == trip.model), None)
        if seen is None:
            return "nothing to do"
        cause = Cause(ACTOR, f"the breaker opened: {trip.words}", trip.evidence, now())
        if seen.state in ON_TRIAL:
            if transitions.take_back(store, seen, cause) is not None:
                return "rolled back"
        elif _was_told(store, seen, trip, cause.at):
            return "nothing to do"
        elif transitions.note(store, seen, BREAKER, cause) is not None:
            return "told"
    raise DeploymentError(f"{trip.model} of task {trip.task!r} was changed by others {TRIES} times meanwhile; ask again")


def _was_told(store: "Store", seen: DeploymentRecord, trip: Trip, at: datetime) -> bool:
    lately = at - timedelta(seconds=float(trip.evidence["breaker"]["cool_off_s"]))
    return any(event.action == BREAKER and event.at > lately for event in store.deployments.events(seen.id))


class Trips:
    """Acts on trips one after the other, beside the path of requests, and again until the store takes it.

    Args:
        store: where the deployments are.
        retry_s: how long it waits before it asks a store again that did not take it, in seconds.
        now: the clock.
    """

    def __init__(self, store: "Store", *, retry_s: float = RETRY_S, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._retry_s = retry_s
        self._now = now
        self._waiting: asyncio.Queue[Trip] = asyncio.Queue(MAX_WAITING)

    def tell(self, trip: Trip) -> None:
        """Take a trip to act on; never blocks."""
        logger.warning("task %s: %s is not asked for now: %s", trip.task, trip.model, trip.words)
        try:
            self._waiting.put_nowait(trip)
        except asyncio.QueueFull:
            logger.error("task %s: %d trips of breakers wait for the store already; this one is left out", trip.task, MAX_WAITING)

    async def run(self) -> None:
        """Act on trips for ever; a task of the gateway's, cancelled when it stops."""
        while True:
            await self._act_on(await self._waiting.get())

    async def _act_on(self, trip: Trip) -> None:
        while True:
            try:
                done = await asyncio.to_thread(act_on, self._store, trip, now=self._now)
            except Exception as error:  # noqa: BLE001  whatever ails the store, the breaker stays open and this is tried again
                logger.warning("task %s: the trip of %s waits for the store: %s", trip.task, trip.model, type(error).__name__)
                await asyncio.sleep(self._retry_s)
            else:
                logger.warning("task %s: %s: %s", trip.task, trip.model, done)
                return
