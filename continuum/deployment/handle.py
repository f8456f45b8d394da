"""A deployment in hand: what it serves now, and what can be done to it from any process.

Each change is a compare-and-set on the store's row, with an event that says who made it, why and on what evidence. The
gateway reads the same rows, so a change is felt within its polling interval, and a restart loses nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from continuum.deployment import transitions
from continuum.deployment.clearance import BY_HAND, carried
from continuum.deployment.settling import Hooks, Means, backend_of, hooks_of_settings, settle, tell_split
from continuum.deployment.transitions import ON_TRIAL, UNBEGUN, Cause, next_share
from continuum.errors import ConfigurationError, DeploymentError
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.store import default_store
from continuum.timespan import rounded, utc_now

if TYPE_CHECKING:
    from continuum.deployment.backends.protocol import Backend
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker

ATTEMPTS = 5
"""How often a change that holds whatever the row has become is tried against others who change the same row."""
CAN_PAUSE = (DeploymentState.CANARY, DeploymentState.PROMOTING)


class Deployment:
    """A handle on one deployment; `record` is the row as this handle last saw it.

    `on_change` is called as soon as the traffic is taken away; to have the model unloaded may take minutes after that.
    """

    def __init__(
        self,
        record: DeploymentRecord,
        *,
        store: "Store",
        tracker: "Tracker | None" = None,
        now: Callable[[], datetime] = utc_now,
        hooks: Hooks | None = None,
        backend: "Callable[[DeploymentRecord], Backend]" = backend_of,
        on_change: Callable[[DeploymentRecord], None] = lambda record: None,
    ) -> None:
        self.record = record
        self._on_change = on_change
        self._store = store
        self._tracker = tracker
        self._now = now
        self._hooks = hooks
        self._backend = backend

    @classmethod
    def open(
        cls,
        deployment_id: str,
        *,
        store: "Store | None" = None,
        tracker: "Tracker | None" = None,
        now: Callable[[], datetime] = utc_now,
        hooks: Hooks | None = None,
    ) -> "Deployment":
        """The deployment of this id, in whichever process it was begun.

        Raises:
            ConfigurationError: there is none.
        """
        opened = store or default_store()
        record = opened.deployments.get(deployment_id)
        if record is None:
            raise ConfigurationError(f"there is no deployment {deployment_id!r}; `continuum deployments` lists those there are")
        return cls(record, store=opened, tracker=tracker, now=now, hooks=hooks)

    def __repr__(self) -> str:
        return f"Deployment({self.record.model!r}, {self.state}, {self.current_traffic_split:.0%}, id={self.id!r})"

    @property
    def id(self) -> str:
        """The deployment's id."""
        return self.record.id

    @property
    def state(self) -> DeploymentState:
        """Where it stands, as this handle last saw it."""
        return self.record.state

    @property
    def current_traffic_split(self) -> float:
        """Share of the task's traffic that its model serves, 0 to 1, as this handle last saw it."""
        return self.record.traffic

    async def promote(self, *, reason: str = "", actor: str = "sdk") -> None:
        """Take the next step of the ramp; a step to all of the traffic makes the model the champion.

        It is a person's approval of that step as well. A blue-green deployment that bakes becomes the champion, and one that
        waits for the approval of its first share begins.

        Args:
            reason: why; a reason lets a person step before `ramp_interval_hours` or `bake_hours` have passed, and is recorded.
            actor: who, for the record.

        Raises:
            DeploymentError: it is not on trial, was changed meanwhile, the interval has not passed and no reason is given,
                there is no further step, or the verdict does not carry the next one.
        """
        means = self.means(actor)
        self.record = await asyncio.to_thread(self._promote, reason, actor)
        if self.state not in UNBEGUN:
            await tell_split(self.record, means)
        self.record = await settle(self.record, means)

    async def pause(self, *, reason: str = "", actor: str = "sdk") -> None:
        """Hold the traffic where it is, until `resume` or `promote`; the watch still takes it back where it does harm.

        Raises:
            DeploymentError: it is not on trial.
        """
        paused = DeploymentState.PAUSED
        self.record = await asyncio.to_thread(self._insist, "pause", CAN_PAUSE, (paused,), reason, actor)

    async def resume(self, *, reason: str = "", actor: str = "sdk") -> None:
        """Go on with a trial that was paused; the next step is taken when the time and the evidence allow it.

        Raises:
            DeploymentError: it is not paused.
        """
        resumed = await asyncio.to_thread(self._insist, "resume", (DeploymentState.PAUSED,), CAN_PAUSE, reason, actor)
        self.record = await settle(resumed, self.means(actor))

    async def abort(self, *, reason: str = "", actor: str = "sdk") -> None:
        """End a trial, or what is to become one: all traffic goes to the stable model.

        Raises:
            DeploymentError: it is not on trial; a live model is taken back with `rollback`.
        """
        done = (DeploymentState.ABORTED, DeploymentState.ROLLING_BACK)
        await self._end("abort", (*UNBEGUN, *ON_TRIAL), done, reason, actor)

    async def rollback(self, *, reason: str = "", actor: str = "sdk") -> None:
        """Point the traffic back to the champion before this one, or to production where there was none.

        Works on trial and when live, and does nothing when it was rolled back already.

        Raises:
            DeploymentError: it does not serve, so there is nothing to take back.
        """
        done = (DeploymentState.ROLLED_BACK, DeploymentState.ROLLING_BACK)
        await self._end("rollback", (DeploymentState.LIVE, *ON_TRIAL), done, reason, actor)

    async def refresh(self) -> None:
        """Read the row again."""
        self.record = await asyncio.to_thread(self._read)

    def means(self, actor: str) -> Means:
        """What it is led with by this handle."""
        hooks, tracker = self._hooks or hooks_of_settings(), self._tracker
        if tracker is not None:
            hooks = replace(hooks, tracker=lambda: tracker)
        return Means(self._store, self._backend, hooks, self._now, actor)

    # --- what happens in the thread ------------------------------------------------------------------------------------

    def _promote(self, reason: str, actor: str) -> DeploymentRecord:
        seen = self.record
        if seen.state in UNBEGUN:
            return self._approve_beginning(seen, reason, actor)
        if seen.state not in ON_TRIAL:
            raise DeploymentError(f"{seen.model} is {seen.state}; only a canary can be promoted{_take_it_back(seen)}")
        bakes = seen.traffic >= 1
        share = 1.0 if bakes else next_share(seen)
        if share is None:
            raise DeploymentError(
                f"{seen.model} is at {seen.traffic:.0%}, the last step of its ramp; give the task one that goes on, such as "
                f"`continuum tasks set {seen.task} 'deployment.ramp_schedule=[{seen.traffic:g}, 1.0]'`, and deploy it again"
            )
        waited = max(timedelta(0), self._now() - seen.step_at)
        hours = seen.bake_hours if bakes else seen.ramp_interval_hours
        if waited < timedelta(hours=hours) and not reason:
            raise DeploymentError(
                f"{seen.model} took its last step {rounded(waited)} ago and steps are at least {hours:g} h apart; wait, or step "
                "now by telling why, which is recorded: `continuum promote ... --reason TEXT`, in Python promote(reason=...)"
            )
        allowed = carried(self._store, seen, share, live_evidence=False)
        evidence: dict[str, Any] = {"hours_since_last_step": round(waited / timedelta(hours=1), 3), **allowed.evidence}
        if waited < timedelta(hours=hours):
            evidence["interval_skipped"] = True
        cause = Cause(actor, reason, evidence, self._now())
        values = {**allowed.values, "approved_traffic": max(share, seen.approved_traffic)}
        if bakes:
            return self._made(transitions.take_over(self._store, seen, cause, **values))
        return self._made(transitions.step(self._store, seen, share, cause, **values))

    def _approve_beginning(self, seen: DeploymentRecord, reason: str, actor: str) -> DeploymentRecord:
        cause = Cause(actor, reason, {}, self._now())
        return self._made(transitions.note(self._store, seen, "approve", cause, approved_traffic=seen.ramp_schedule[0]))

    def _made(self, changed: DeploymentRecord | None) -> DeploymentRecord:
        if changed is None:
            self.record = self._read()
            raise DeploymentError(
                f"{self.record.model} was changed meanwhile: it is {self.record.state} at {self.record.traffic:.0%}; "
                "look at it and decide again"
            )
        return changed

    async def _end(
        self,
        action: str,
        allowed: tuple[DeploymentState, ...],
        done: tuple[DeploymentState, ...],
        reason: str,
        actor: str,
    ) -> None:
        taken = self.record = await asyncio.to_thread(self._insist, action, allowed, done, reason, actor)
        self._on_change(taken)
        self.record = await settle(taken, self.means(actor))

    def _insist(
        self,
        action: str,
        allowed: tuple[DeploymentState, ...],
        done: tuple[DeploymentState, ...],
        reason: str,
        actor: str,
    ) -> DeploymentRecord:
        """Make a change to whatever the row has become meanwhile, if that is one of `allowed`; nothing where it is `done`."""
        for _ in range(ATTEMPTS):
            seen = self.record = self._read()
            if seen.state in done:
                return seen
            if seen.state not in allowed:
                needed = f"{action} needs it to be {' or '.join(allowed)}"
                raise DeploymentError(f"{seen.model} is {seen.state}; {needed}{_take_it_back(seen)}")
            # What somebody ended may be deployed again on the same verdict; what the watch found worse may not.
            evidence = {BY_HAND: True} if action in ("abort", "rollback") else {}
            changed = self._change(action, seen, Cause(actor, reason, evidence, self._now()))
            if changed is not None:
                return changed
        raise DeploymentError(f"{self.record.model} was changed by others {ATTEMPTS} times in a row; {action} it again")

    def _change(self, action: str, seen: DeploymentRecord, cause: Cause) -> DeploymentRecord | None:
        if action in ("abort", "rollback"):
            return transitions.take_back(self._store, seen, cause, action=action)
        state = DeploymentState.PAUSED
        if action == "resume":
            state = DeploymentState.PROMOTING if seen.traffic >= 1 else DeploymentState.CANARY
        return transitions.note(self._store, seen, action, cause, state=state)

    def _read(self) -> DeploymentRecord:
        record = self._store.deployments.get(self.id)
        if record is None:
            raise DeploymentError(f"deployment {self.id} is no longer in the store")
        return record


def _take_it_back(seen: DeploymentRecord) -> str:
    """What to do instead with a champion, which is no trial any more."""
    if seen.state is not DeploymentState.LIVE:
        return ""
    return f"; it is the champion, which `continuum rollback {seen.model}` takes back"
