"""Drives what leads deployments: `continuum watch` and the pipelines go through here, so that both do the same.

A round leads every deployment that is not done, and tells people what there is to tell. Any number of drivers may run, and
each may be killed at any time: nothing is decided on anything but the rows of the store.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from continuum.deployment.controller import Looking, Tick, lead, to_lead
from continuum.deployment.notifying import Channel, Told, tell
from continuum.deployment.transitions import ON_TRIAL
from continuum.excerpts import excerpt
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

LOOK_ON_TRIAL = timedelta(minutes=10)
"""A trial is looked at so often though nothing came: a verdict, a judge or an approval may be there by now."""
LOOK_AT_UNSETTLED = timedelta(minutes=1)
"""What waits for its server, or to be unloaded, is tried again so often."""
LOOK_AT_CHAMPION = timedelta(minutes=5)
"""A champion that has answered something new is looked at no more often than this."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Round:
    """What one round came to."""

    at: datetime
    ticks: tuple[Tick, ...] = ()
    told: Told = field(default_factory=Told)
    trouble: str | None = None
    """Why nothing could be led or told; the next round tries again."""


@dataclass(frozen=True)
class Seen:
    """What a driver knew of a deployment when it last looked."""

    version: int
    sequence: int
    """Number of the task's newest interaction."""
    at: datetime


async def drive_once(
    store: "Store",
    task: str | None = None,
    *,
    look: Looking | None = None,
    channels: tuple[Channel, ...] | None = None,
    now: Callable[[], datetime] = utc_now,
    actor: str = "controller",
) -> Round:
    """Lead all that is not done, and tell what there is to tell.

    Args:
        store: where everything is.
        task: whose deployments; all when left out. People are told of all tasks.
        look: judges live traffic; the watch when left out.
        channels: whom to tell; those of the settings when left out.
        now: the clock.
        actor: who, for the record.

    Raises:
        ContinuumError: a setting cannot be read.
    """
    # What a round before, or another process, has left is told while the deployments are looked at.
    ticks, first = await asyncio.gather(lead(store, task, look=look, now=now, actor=actor), _tell(store, channels, now))
    last = await _tell(store, channels, now) if any(one.did not in ("nothing", "failed") for one in ticks) else Told()
    told = Told(first.new + last.new, first.delivered + last.delivered, first.failed + last.failed)
    return Round(now(), tuple(ticks), told)


async def drive(
    store: "Store",
    task: str | None = None,
    *,
    every: timedelta,
    on_round: Callable[[Round], None],
    rounds: int | None = None,
    look: Looking | None = None,
    channels: tuple[Channel, ...] | None = None,
    now: Callable[[], datetime] = utc_now,
    actor: str = "controller",
) -> None:
    """Drive until cancelled; a store that is down is waited for.

    Args:
        store: where everything is.
        task: whose deployments; all when left out.
        every: from the end of one round to the beginning of the next.
        on_round: told of each round, as soon as it is over.
        rounds: how many; without end when left out.
        look: judges live traffic; the watch when left out.
        channels: whom to tell; those of the settings when left out.
        now: the clock.
        actor: who, for the record.
    """
    done = 0
    while rounds is None or done < rounds:
        if done:
            await asyncio.sleep(every.total_seconds())
        try:
            found = await drive_once(store, task, look=look, channels=channels, now=now, actor=actor)
        except Exception as error:
            # Whatever ails the store, the traffic stays as it is and the next round tries again.
            logger.debug("a round of leading deployments failed", exc_info=True)
            found = Round(now(), trouble=f"{type(error).__name__}: {excerpt(str(error), 300)}")
        on_round(found)
        done += 1


def due(store: "Store", seen: Mapping[str, Seen], now: datetime) -> dict[str, Seen]:
    """The deployments that something can be done about, by their ids, and what is known of each now.

    The row changed; the task answered something new; a step is due or a hold too long since the last look; something is still to
    be finished; or a trial was not looked at for long.

    Args:
        store: where the rows are.
        seen: what was known at the last look at each.
        now: the moment.
    """
    found, newest = {}, store.overview.last_sequences()
    unwatched = cache(lambda: _unwatched(store))  # the policies are read once, and not at all where no champion is fresh
    for record in to_lead(store):
        known = Seen(record.version, newest.get(record.task, 0), now)
        before = seen.get(record.id)
        if before is None or _is_due(record, before, known, lambda task=record.task: task not in unwatched()):
            found[record.id] = known
    return found


async def _tell(store: "Store", channels: tuple[Channel, ...] | None, now: Callable[[], datetime]) -> Told:
    """Tell people; what goes wrong in it keeps nothing from being led."""
    try:
        return await tell(store, channels, now=now)
    except Exception:
        logger.warning("people were not told; the next round tries again", exc_info=True)
        return Told()


def _is_due(record: DeploymentRecord, before: Seen, known: Seen, is_watched: Callable[[], bool]) -> bool:
    waited, fresh = known.at - before.at, known.sequence > before.sequence
    if before.version != known.version:
        return True
    if record.state is DeploymentState.LIVE:
        return fresh and waited >= LOOK_AT_CHAMPION and is_watched()
    if record.state not in ON_TRIAL:
        return waited >= LOOK_AT_UNSETTLED
    if fresh or waited >= LOOK_ON_TRIAL:
        return True
    hours = (
        record.bake_hours if record.state is DeploymentState.PROMOTING else record.ramp_interval_hours,
        record.hold_limit_hours,
    )
    return any(before.at < record.step_at + timedelta(hours=h) <= known.at for h in hours)


def _unwatched(store: "Store") -> set[str]:
    """The tasks whose champions are left alone. One whose policy cannot be read is none: whoever leads it says so."""
    return {state.name for state in store.tasks.every()[0] if not state.policy.deployment.watch.after_promotion}
