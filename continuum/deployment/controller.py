"""Leads deployments: looks at how they do, and takes the steps that the evidence allows.

Any number of controllers may run, for each change is a compare-and-set on what was decided on. One that dies leaves the
traffic as it is; the next tick goes on from the row.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from continuum.deployment import transitions
from continuum.deployment.approval import is_asked
from continuum.deployment.clearance import carried, newest_verdict
from continuum.deployment.settling import Hooks, Means, backend_of, hooks_of_settings, policy_of, settle, take_over, tell_split
from continuum.deployment.transitions import ON_TRIAL, Cause, next_share
from continuum.errors import ContinuumError, DeploymentError
from continuum.policy import TaskPolicy
from continuum.records import VerdictStatus
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.deployment.backends.protocol import Backend
    from continuum.store.database import Store

ACTOR = "controller"
TASKS_AT_ONCE = 4
"""Tasks whose deployments are looked at beside each other."""

logger = logging.getLogger(__name__)


class Look(Protocol):
    """What the watch makes of a deployment at one moment."""

    @property
    def action(self) -> str:
        """`promote` (a step may be taken), `hold`, `rollback` or `alarm`."""
        ...

    @property
    def words(self) -> str:
        """Why, for people."""
        ...

    @property
    def evidence(self) -> Mapping[str, Any]:
        """On what, as plain JSON."""
        ...


class Looking(Protocol):
    """Looks at a deployment's live traffic."""

    async def __call__(self, store: "Store", record: DeploymentRecord, policy: TaskPolicy, *, now: datetime) -> Look:
        """Judge what is new, and say what is to be done."""
        ...


@dataclass(frozen=True)
class Tick:
    """What one look at a deployment came to."""

    before: DeploymentRecord
    record: DeploymentRecord
    """The row as it is now."""
    did: str
    """Name of the last event that this tick wrote, `nothing` where it wrote none, or `failed`."""
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


async def tick(
    store: "Store",
    record: DeploymentRecord,
    *,
    look: Looking,
    backend: "Callable[[DeploymentRecord], Backend]" = backend_of,
    hooks: Hooks | None = None,
    now: Callable[[], datetime] = utc_now,
    actor: str = ACTOR,
) -> Tick:
    """Look at one deployment and do what is to be done: at most one step.

    Args:
        store: where its row is.
        record: the row as it was read.
        look: judges its live traffic.
        backend: opens the backend of a row.
        hooks: approval and tracker.
        now: the clock.
        actor: who, for the record.

    Raises:
        ContinuumError: it cannot be told what is to be done; nothing was changed by it.
    """
    means = Means(store, backend, hooks or Hooks(), now, actor)
    settled = await settle(record, means)
    if settled.version != record.version:
        return await _told(means, record, settled)
    if settled.state not in (*ON_TRIAL, DeploymentState.LIVE):
        return Tick(record, settled, "nothing", f"it is {settled.state}")
    policy = await asyncio.to_thread(policy_of, store, record.task)
    return await _Turn(means, record, policy, look).take()


async def lead(
    store: "Store",
    task: str | None = None,
    *,
    look: Looking | None = None,
    backend: "Callable[[DeploymentRecord], Backend]" = backend_of,
    hooks: Hooks | None = None,
    now: Callable[[], datetime] = utc_now,
    actor: str = ACTOR,
) -> list[Tick]:
    """Tick every deployment that is not done, of one task or of all; one that fails keeps no other from being led.

    Args:
        store: where the rows are.
        task: whose; all when left out.
        look: judges live traffic; the watch when left out.
        backend: opens the backend of a row.
        hooks: approval and tracker; those of the settings when left out.
        now: the clock.
        actor: who, for the record.
    """
    led = _Led(store, look or _the_watch(), backend, hooks or hooks_of_settings(), now, actor)
    by_task: dict[str, list[DeploymentRecord]] = {}
    for record in await asyncio.to_thread(to_lead, store, task):
        by_task.setdefault(record.task, []).append(record)
    found = await asyncio.gather(*(led.one_after_the_other(records) for records in by_task.values()))
    return [one for ticks in found for one in ticks]


class _Led:
    """Ticks the deployments of several tasks beside each other: a slow judge of one keeps no other waiting."""

    def __init__(
        self,
        store: "Store",
        look: Looking,
        backend: "Callable[[DeploymentRecord], Backend]",
        hooks: Hooks,
        now: Callable[[], datetime],
        actor: str,
    ) -> None:
        self.store = store
        self._tick = partial(tick, store, look=look, backend=backend, hooks=hooks, now=now, actor=actor)
        self._room = asyncio.Semaphore(TASKS_AT_ONCE)

    async def one_after_the_other(self, records: Sequence[DeploymentRecord]) -> list[Tick]:
        """Tick the deployments of one task, each as it is by then."""
        async with self._room:
            return [await self._one(record) for record in records]

    async def _one(self, record: DeploymentRecord) -> Tick:
        try:
            newest = await asyncio.to_thread(self.store.deployments.get, record.id)
            return await self._tick(newest or record)
        except Exception as error:
            expected = isinstance(error, ContinuumError)
            logger.warning("task %s: deployment %s is left as it is: %s", record.task, record.id, error, exc_info=not expected)
            return Tick(record, record, "failed", str(error) if expected else type(error).__name__)


def to_lead(store: "Store", task: str | None = None) -> list[DeploymentRecord]:
    """The deployments that are not done, oldest first."""
    unsettled = [record for record in store.deployments.unsettled() if task in (None, record.task)]
    return sorted([*store.deployments.serving(task), *unsettled], key=lambda record: (record.created_at, record.id))


def _the_watch() -> Looking:
    from continuum.deployment.watch.watch import look

    return look


async def _told(means: Means, before: DeploymentRecord, after: DeploymentRecord) -> Tick:
    """A tick that names the event which was written last."""
    events = await asyncio.to_thread(means.store.deployments.events, after.id)
    last = events[-1]
    return Tick(before, after, last.action, last.reason, last.evidence)


class _Turn:
    """One look at a deployment that serves."""

    def __init__(self, means: Means, record: DeploymentRecord, policy: TaskPolicy, look: Looking) -> None:
        self.means = means
        self.record = record
        self.policy = policy.deployment
        self._task_policy = policy
        self._look = look
        self.at = means.now()

    async def take(self) -> Tick:
        """Look, and do what is to be done."""
        record = self.record
        blocked = await asyncio.to_thread(self._blocked)
        if blocked is not None and record.state is DeploymentState.LIVE:
            # Live traffic says nothing against it, and what would take over again may be worse: people decide.
            return await self._alarm(blocked.reason, blocked.evidence)
        if blocked is not None:
            return await self._take_back(blocked)
        if record.state is DeploymentState.LIVE and not self.policy.watch.after_promotion:
            return self._nothing("it is the champion, and the task's policy asks for no watch after the promotion")
        found = await self._look(self.means.store, record, self._task_policy, now=self.at)
        cause = self._cause(found.words, found.evidence)
        if found.action == "rollback":
            return await self._take_back(cause)
        if found.action == "alarm":
            return await self._alarm(found.words, found.evidence)
        if record.state in (DeploymentState.PAUSED, DeploymentState.LIVE):
            return await self._clear(cause) if found.action == "promote" else self._nothing(found.words, found.evidence)
        if found.action != "promote":
            return await self._hold("hold", cause)
        return await self._go_on(cause)

    async def _go_on(self, cause: Cause) -> Tick:
        """The evidence allows a step: take it if the time has come and everybody who is to be asked agrees."""
        record, means = self.record, self.means
        bakes = record.state is DeploymentState.PROMOTING
        share = 1.0 if bakes else next_share(record)
        if share is None:
            return await self._clear(cause, f"it is at the last step of its ramp; {cause.reason}")
        hours = record.bake_hours if bakes else record.ramp_interval_hours
        if self._waited < timedelta(hours=hours):
            return await self._clear(cause, f"the next step waits until {hours:g} h have passed; {cause.reason}")
        # Without a limit the watch says only that the candidate is not surely worse, which lifts no cap.
        shown = record.rollback_on_quality_drop is not None
        try:
            allowed = await asyncio.to_thread(carried, means.store, record, share, live_evidence=shown)
        except DeploymentError as error:
            return await self._alarm(str(error), cause.evidence)
        evidence, values = {**cause.evidence, **allowed.evidence}, dict(allowed.values)
        if not bakes and is_asked(self.policy.approval, record, share):
            said = None if means.hooks.approve is None else await means.hooks.approve(record, share, evidence)
            if said is None or not said.approved:
                words = "`continuum promote` gives it" if said is None else said.words
                asked = self._cause(f"an approval is needed for {share:.0%} of the traffic: {words}", evidence)
                return await self._hold("ask", asked)
            values["approved_traffic"] = share
            evidence["approval"] = said.words
        return await self._step(share, self._cause(cause.reason, evidence), bakes, values)

    async def _step(self, share: float, cause: Cause, bakes: bool, values: Mapping[str, Any]) -> Tick:
        if bakes:
            live = await take_over(self.record, self.means, cause, **values)
            return await self._made(None if live.state is not DeploymentState.LIVE else live)
        return await self._made(await asyncio.to_thread(transitions.step, self.means.store, self.record, share, cause, **values))

    async def _take_back(self, cause: Cause) -> Tick:
        return await self._made(await asyncio.to_thread(transitions.take_back, self.means.store, self.record, cause))

    async def _made(self, changed: DeploymentRecord | None) -> Tick:
        """What comes of a change of traffic: all that is owed after it."""
        if changed is None:
            return self._nothing("somebody else changed it meanwhile; it is looked at again")
        if changed.state is not DeploymentState.ROLLING_BACK:
            await tell_split(changed, self.means)
        return await _told(self.means, self.record, await settle(changed, self.means))

    async def _hold(self, action: str, cause: Cause) -> Tick:
        """A step that is due waits: that is written down once, and told once when it lasts too long."""
        record = self.record
        if self._waited >= timedelta(hours=record.hold_limit_hours) and record.alarm is None:
            return await self._alarm(f"it waits for {self._waited / timedelta(hours=1):.1f} h: {cause.reason}", cause.evidence)
        due = timedelta(hours=record.bake_hours if record.state is DeploymentState.PROMOTING else record.ramp_interval_hours)
        if self._waited < due or await asyncio.to_thread(self._written_since_step, action):
            return self._nothing(cause.reason, cause.evidence)
        return await self._noted(action, cause)

    async def _alarm(self, words: str, evidence: Mapping[str, Any]) -> Tick:
        if self.record.alarm is not None:
            return self._nothing(words, evidence)
        return await self._noted("alarm", self._cause(words, evidence), alarm=words)

    async def _clear(self, cause: Cause, words: str = "") -> Tick:
        if self.record.alarm is None:
            return self._nothing(words or cause.reason, cause.evidence)
        return await self._noted("clear", cause, alarm=None)

    async def _noted(self, action: str, cause: Cause, **values: Any) -> Tick:
        changed = await asyncio.to_thread(transitions.note, self.means.store, self.record, action, cause, **values)
        if changed is None:
            return self._nothing("somebody else changed it meanwhile; it is looked at again")
        return Tick(self.record, changed, action, cause.reason, cause.evidence)

    def _nothing(self, why: str, evidence: Mapping[str, Any] | None = None) -> Tick:
        return Tick(self.record, self.record, "nothing", why, evidence or {})

    def _cause(self, reason: str, evidence: Mapping[str, Any]) -> Cause:
        return Cause(self.means.actor, reason, evidence, self.means.now())

    @property
    def _waited(self) -> timedelta:
        return max(timedelta(0), self.at - self.record.step_at)

    def _blocked(self) -> Cause | None:
        """Why it may not serve any more, where the guard has blocked it since."""
        if self.record.verdict_id is None:
            return None
        try:
            verdict = newest_verdict(self.means.store, self.record)
        except DeploymentError:
            if self.record.state is not DeploymentState.LIVE:
                raise
            return None  # A champion is watched all the same.
        if verdict is None or verdict.status is not VerdictStatus.BLOCKED:
            return None
        why = f"the guard's newest verdict blocks it: {', '.join(verdict.failed_checks) or verdict.id}"
        return self._cause(why, {"verdict_id": verdict.id, "status": verdict.status.value})

    def _written_since_step(self, action: str) -> bool:
        events = self.means.store.deployments.events(self.record.id)
        return any(event.action == action and event.at >= self.record.step_at for event in events)
