"""What a breaker that opened does to the deployment: a candidate is taken back, a champion is told of.

Any number of workers may see the same; the store's compare-and-set lets one of them do it.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from continuum.deployment.breaker import Trip
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

ACTOR = "gateway"
ON_TRIAL = (DeploymentState.CANARY, DeploymentState.PAUSED, DeploymentState.PROMOTING)
TRIES = 5
"""How often a change is decided on anew because somebody else made one meanwhile."""
RETRY_S = 1.0
"""Between two tries while the store is down."""
MAX_WAITING = 100
"""Trips that wait for the store."""

Done = Literal["rolled_back", "told", "nothing"]

logger = logging.getLogger(__name__)


def act_on(store: "Store", trip: Trip, *, now: Callable[[], datetime] = utc_now) -> Done:
    """Roll a candidate back, or write down that a champion's breaker opened; `nothing` where neither serves any more.

    Blocks on the store.

    Raises:
        Exception: the store did not take it; ask again.
    """
    for _ in range(TRIES):
        seen = next((one for one in store.deployments.serving(trip.task) if one.model == trip.model), None)
        if seen is None:
            return "nothing"
        candidate = seen.state in ON_TRIAL
        event = DeploymentEvent(
            deployment_id=seen.id,
            at=now(),
            actor=ACTOR,
            action="rollback" if candidate else "breaker",
            reason=f"the breaker opened: {trip.words}",
            from_traffic=seen.traffic,
            to_traffic=0.0 if candidate else seen.traffic,
            evidence=trip.evidence,
        )
        if store.deployments.change(seen, event, **_values(seen, event.at)) is not None:
            return "rolled_back" if candidate else "told"
    return "nothing"


def _values(seen: DeploymentRecord, at: datetime) -> dict[str, object]:
    if seen.state not in ON_TRIAL:
        return {}
    return {"state": DeploymentState.ROLLING_BACK, "traffic": 0.0, "shadow": 0.0, "step_at": at}


class Trips:
    """Acts on trips one after the other, beside the path of requests, and again until the store takes it."""

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
            trip = await self._waiting.get()
            while True:
                try:
                    done = await asyncio.to_thread(act_on, self._store, trip, now=self._now)
                except Exception as error:  # noqa: BLE001  whatever ails the store, the breaker stays open and this is tried again
                    logger.warning("task %s: the trip of %s waits for the store: %s", trip.task, trip.model, type(error).__name__)
                    await asyncio.sleep(self._retry_s)
                else:
                    logger.warning("task %s: %s: %s", trip.task, trip.model, done.replace("_", " "))
                    break
