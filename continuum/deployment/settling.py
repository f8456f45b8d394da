"""Leads a deployment out of the states in which something is still owed: loading it, taking over, giving back.

Whoever began the change does this at once, and where that process died the next tick of a controller does; each thing may be
done twice.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.deployment import transitions
from continuum.deployment.approval import Approve, approval_hook, is_asked
from continuum.deployment.clearance import clear_again
from continuum.deployment.routing import PRODUCTION
from continuum.deployment.transitions import ON_TRIAL, Cause
from continuum.errors import ConfigurationError, ContinuumError, DeploymentError, MissingExtra
from continuum.policy import TaskPolicy
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.timespan import utc_now
from continuum.tracking.tracker import CHAMPION

if TYPE_CHECKING:
    from continuum.deployment.backends.protocol import Backend
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker

DRAIN_S = 1.0
"""Between the loss of its traffic and the unloading of a model: by then every gateway has read the routes."""

CANNOT = (DeploymentError, ConfigurationError, MissingExtra)
"""What a backend raises that cannot do what it is asked, or cannot be asked here."""

logger = logging.getLogger(__name__)


def open_tracker() -> "Tracker":
    """The tracker of this process's settings."""
    from continuum.config import load_settings
    from continuum.tracking import tracker

    return tracker.open_tracker(load_settings())


def backend_of(record: DeploymentRecord) -> "Backend":
    """The backend that serves a deployment."""
    from continuum.config import load_settings
    from continuum.deployment.backends import open_backend

    return open_backend(record.backend, record.backend_url, load_settings())


@dataclass(frozen=True)
class Hooks:
    """What a deployment is led with beside its rows and its backend."""

    approve: Approve | None = None
    """Asks for an approval where the policy wants one; without it, steps wait for `continuum promote`."""
    tracker: Callable[[], "Tracker"] = open_tracker
    """Opens the tracker whose alias `champion` follows."""
    drain_s: float = DRAIN_S


def hooks_of_settings() -> Hooks:
    """What the environment asks to be led with."""
    from continuum.config import load_settings

    url = load_settings().approval_webhook
    return Hooks(approve=None if url is None else approval_hook(url.get_secret_value()))


@dataclass(frozen=True)
class Means:
    """All that a deployment is led with, and who leads it."""

    store: "Store"
    backend: Callable[[DeploymentRecord], "Backend"] = backend_of
    hooks: Hooks = field(default_factory=Hooks)
    now: Callable[[], datetime] = utc_now
    actor: str = "controller"

    def cause(self, reason: str = "", **evidence: Any) -> Cause:
        """A change of this moment."""
        return Cause(self.actor, reason, evidence, self.now())


async def settle(record: DeploymentRecord, means: Means, *, cleared: bool = False) -> DeploymentRecord:
    """Lead a deployment on until nothing is owed, or what is owed cannot be done now.

    Args:
        record: as it was seen last.
        means: what it is led with.
        cleared: the caller has just checked that the checkpoint may serve.

    Returns:
        The row as it is then. It is the newest row where somebody else changed it meanwhile.
    """
    if record.state is DeploymentState.PENDING:
        record = await _change(
            record, means, transitions.note, "warm", means.cause("its server is to load it"), state=DeploymentState.WARMING
        )
    if record.state is DeploymentState.WARMING:
        record = await _warm(record, means, cleared)
    if record.state is DeploymentState.PROMOTING and (record.strategy != "blue_green" or record.bake_hours == 0):
        record = await take_over(record, means, means.cause("it serves all of the traffic"))
    if record.state is DeploymentState.LIVE:
        record = await _name(record, means)
    if record.state is DeploymentState.ROLLING_BACK:
        record = await _put_back(record, means)
    return record


async def take_over(record: DeploymentRecord, means: Means, cause: Cause, **values: Any) -> DeploymentRecord:
    """Make it the champion. The one before stays loaded, to take over again at once; the one before that is unloaded."""
    before = await asyncio.to_thread(means.store.deployments.champion, record.task)
    record = await _change(record, means, transitions.take_over, cause, **values)
    if before is not None and record.state is DeploymentState.LIVE and before.stable_model not in (PRODUCTION, record.model):
        rows = await asyncio.to_thread(means.store.deployments.of, record.task)
        for oldest in [row for row in rows if row.model == before.stable_model][:1]:
            await _unload(oldest, means)
    return record


async def tell_split(record: DeploymentRecord, means: Means) -> None:
    """Tell a backend that splits traffic itself; the gateway's split does not wait for it."""
    try:
        await means.backend(record).traffic(record.model, record.traffic)
    except CANNOT as error:
        logger.warning("%s: %s was not told of %.0f%% of the traffic: %s", record.id, record.backend, record.traffic * 100, error)


def policy_of(store: "Store", task: str) -> TaskPolicy:
    """The task's policy; the default where nobody registered the task.

    Raises:
        ConfigurationError: it cannot be read.
    """
    return TaskPolicy(task=task) if store.tasks.raw_policy(task) is None else store.tasks.get(task).policy


async def _warm(record: DeploymentRecord, means: Means, cleared: bool) -> DeploymentRecord:
    store = means.store
    try:
        checkpoint = await asyncio.to_thread(clear_again, store, record, checked=cleared)
    except CANNOT as error:
        return await _change(record, means, transitions.take_back, means.cause(str(error)), action="abort")
    try:
        warmed = await means.backend(record).warm(checkpoint)
    except CANNOT as error:
        # The words may quote the server, which is not for everybody who is told of it.
        refused = means.cause(str(error), backend_refused=True)
        return await _change(record, means, transitions.take_back, refused, action="abort")
    if not warmed.ready and record.strategy == "blue_green":
        logger.info("%s waits for its server: %s", record.id, warmed.words)
        return record
    shadow = record.strategy == "shadow"
    share = 0.0 if shadow else record.ramp_schedule[0]
    evidence: dict[str, Any] = {"backend_ready": warmed.ready, "backend": warmed.words}
    values: dict[str, Any] = {} if warmed.url is None else {"backend_url": warmed.url}
    if is_asked((await asyncio.to_thread(policy_of, store, record.task)).deployment.approval, record, share):
        said = None if means.hooks.approve is None else await means.hooks.approve(record, share, evidence)
        if said is None or not said.approved:
            return await _asked(record, means, share, evidence)
        evidence["approval"], values["approved_traffic"] = said.words, share
    words = await asyncio.to_thread(_why_it_begins, store, record, warmed.ready)
    begun = await _change(record, means, transitions.begin, share, means.cause(words, **evidence), **values)
    await tell_split(begun, means)
    if begun.state in ON_TRIAL:
        await _unload_superseded(begun, means)
    return begun


def _why_it_begins(store: "Store", record: DeploymentRecord, ready: bool) -> str:
    """Why a trial begins, for people: who approved it and why, and whether its server answers; never a server's own words."""
    given = [event for event in store.deployments.events(record.id) if event.action == "approve"]
    words = [f"approved by {event.actor}{f': {event.reason}' if event.reason else ''}" for event in given[-1:]]
    if not ready:
        words.append(f"no server is ready at {record.backend_url} yet; production steps in for it until one is")
    return "; ".join(words) or "its server has it"


async def _unload_superseded(begun: DeploymentRecord, means: Means) -> None:
    """Take the trials that ended when this one began off their servers."""
    rows = await asyncio.to_thread(means.store.deployments.of, begun.task)
    for ended in rows:
        if ended.state is not DeploymentState.SUPERSEDED or ended.updated_at != begun.step_at:
            continue
        if not await asyncio.to_thread(transitions.was_champion, means.store, ended):
            await asyncio.sleep(means.hooks.drain_s)
            await _unload(ended, means)


async def _asked(record: DeploymentRecord, means: Means, share: float, evidence: dict[str, Any]) -> DeploymentRecord:
    """Write down once that it waits for somebody's approval to begin."""
    events = await asyncio.to_thread(means.store.deployments.events, record.id)
    if any(event.action == "ask" for event in events):
        return record
    words = f"an approval is needed for {share:.0%} of the traffic: the approval hook or `continuum promote` gives it"
    return await _change(record, means, transitions.note, "ask", means.cause(words, **evidence))


async def _name(record: DeploymentRecord, means: Means) -> DeploymentRecord:
    """Let the alias of the registered model follow; once after each time it became the champion."""
    events = await asyncio.to_thread(means.store.deployments.events, record.id)
    last = next((event.action for event in reversed(events) if event.action in ("live", "restore", "name")), None)
    checkpoint = await asyncio.to_thread(means.store.checkpoints.get, record.checkpoint_id)
    if last == "name" or checkpoint is None or checkpoint.mlflow_version is None:
        return record
    if not await _alias(means, record.task, checkpoint.mlflow_version):
        return record
    return await _change(record, means, transitions.note, "name", means.cause(f"champion is version {checkpoint.mlflow_version}"))


async def _alias(means: Means, task: str, version: str | None) -> bool:
    """Let the alias `champion` name a version, or none; False while the tracker is away, which keeps nobody from serving."""
    try:
        tracker = await asyncio.to_thread(means.hooks.tracker)
        if version is None:
            await asyncio.to_thread(tracker.drop_alias, task, CHAMPION)
        else:
            await asyncio.to_thread(tracker.set_alias, task, CHAMPION, version)
    except ContinuumError as error:
        logger.warning("task %s: the alias %s does not follow yet: %s", task, CHAMPION, error)
        return False
    return True


async def _put_back(record: DeploymentRecord, means: Means) -> DeploymentRecord:
    await tell_split(record, means)
    champion = await asyncio.to_thread(means.store.deployments.champion, record.task)
    evidence: dict[str, Any] = {"champion": PRODUCTION if champion is None else champion.model}
    if champion is not None:
        await tell_split(champion, means)
        await settle(champion, means)
        # A server may have let it go meanwhile; until it is back, production steps in.
        await _loaded_again(champion, means)
    events = await asyncio.to_thread(means.store.deployments.events, record.id)
    if champion is None and any(event.action == "name" for event in events):
        evidence["alias_dropped"] = await _alias(means, record.task, None)
    if any(event.action == "begin" for event in events):
        waited = (means.now() - record.step_at).total_seconds()
        await asyncio.sleep(min(max(0.0, means.hooks.drain_s - waited), means.hooks.drain_s))
    alarm = await _unload(record, means)
    evidence["unloaded"] = alarm or True
    why = next((event.reason for event in reversed(events) if event.action in ("rollback", "abort")), "")
    words = "; ".join(said for said in (why, alarm or f"{evidence['champion']} answers in its place") if said)
    return await _change(record, means, transitions.finish, means.cause(words, **evidence), alarm=alarm)


async def _loaded_again(champion: DeploymentRecord, means: Means) -> None:
    checkpoint = await asyncio.to_thread(means.store.checkpoints.get, champion.checkpoint_id)
    try:
        if checkpoint is not None:
            await means.backend(champion).warm(checkpoint)
    except CANNOT as error:
        logger.warning("%s is the champion again and is not loaded: %s", champion.model, error)


async def _unload(record: DeploymentRecord, means: Means) -> str | None:
    """Take the model off its server unless another deployment needs it there; what people have to do where it stays."""
    serving = await asyncio.to_thread(means.store.deployments.serving, record.task)
    if any(other.model == record.model and other.id != record.id for other in serving):
        return None
    try:
        await means.backend(record).unload(record.model)
    except CANNOT as error:
        logger.warning("%s could not be unloaded: %s", record.model, error)
        return f"{record.model} may still be loaded at its server: {error}"
    return None


async def _change(
    record: DeploymentRecord, means: Means, change: Callable[..., DeploymentRecord | None], *args: Any, **values: Any
) -> DeploymentRecord:
    """Make a change in a thread; the row as it is now where somebody else was there before."""
    changed = await asyncio.to_thread(change, means.store, record, *args, **values)
    if changed is not None:
        return changed
    newest = await asyncio.to_thread(means.store.deployments.get, record.id)
    if newest is None:
        raise DeploymentError(f"deployment {record.id} is no longer in the store")
    return newest
