"""A deployment in hand: what it serves now, and the five things that can be done to it.

Each change is a compare-and-set on the store's row, with an event that says who made it, why and on what evidence. The
gateway reads the same rows, so a change is felt within its polling interval, and a restart loses nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from continuum.deployment.routing import PRODUCTION
from continuum.errors import ConfigurationError, DeploymentError
from continuum.records import Verdict, VerdictStatus
from continuum.serving_records import Change, DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker

ATTEMPTS = 5
"""How often a change that holds whatever the row has become is tried against others who change the same row."""
ON_TRIAL = (DeploymentState.CANARY, DeploymentState.PAUSED)


class Deployment:
    """A handle on one deployment; `record` is the row as this handle last saw it."""

    def __init__(
        self,
        record: DeploymentRecord,
        *,
        store: "Store",
        tracker: "Tracker | None" = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.record = record
        self._store = store
        self._tracker = tracker
        self._now = now

    @classmethod
    def open(cls, deployment_id: str, *, store: "Store | None" = None, tracker: "Tracker | None" = None) -> "Deployment":
        """The deployment of this id, in whichever process it was begun.

        Raises:
            ConfigurationError: there is none.
        """
        opened = store or default_store()
        record = opened.deployments.get(deployment_id)
        if record is None:
            raise ConfigurationError(f"there is no deployment {deployment_id!r}; `continuum status` lists those there are")
        return cls(record, store=opened, tracker=tracker)

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

        Args:
            reason: why; a reason lets a person step before `ramp_interval_hours` have passed, and is recorded.
            actor: who, for the record.

        Raises:
            DeploymentError: it is not on trial, was changed meanwhile, the interval has not passed and no reason is given,
                there is no further step, or the evidence does not carry the next one.
        """
        await asyncio.to_thread(self._promote, reason, actor)

    async def pause(self, *, reason: str = "", actor: str = "sdk") -> None:
        """Hold the traffic where it is; `promote` goes on from there.

        Raises:
            DeploymentError: it is not on trial.
        """
        await asyncio.to_thread(self._settle, "pause", DeploymentState.PAUSED, ON_TRIAL, reason, actor)

    async def abort(self, *, reason: str = "", actor: str = "sdk") -> None:
        """End a trial: all traffic goes to the stable model.

        Raises:
            DeploymentError: it is not on trial; a live model is taken back with `rollback`.
        """
        await asyncio.to_thread(self._settle, "abort", DeploymentState.ABORTED, ON_TRIAL, reason, actor)

    async def rollback(self, *, reason: str = "", actor: str = "sdk") -> None:
        """Point the traffic back to the champion before this one, or to production where there was none.

        Works on trial and when live, and does nothing when it was rolled back already.

        Raises:
            DeploymentError: it does not serve, so there is nothing to take back.
        """
        await asyncio.to_thread(self._rollback, reason, actor)

    async def refresh(self) -> None:
        """Read the row again."""
        self.record = await asyncio.to_thread(self._read)

    def go_live(self, *, actor: str) -> None:
        """Give it all of the traffic at once, as blue-green does; the deployer has asked whether it may.

        Raises:
            DeploymentError: it was changed meanwhile.
        """
        self._step(self.record, 1.0, self._event("promote", actor, f"strategy {self.record.strategy}", self.record, 1.0))

    # --- what happens in the thread ------------------------------------------------------------------------------------

    def _promote(self, reason: str, actor: str) -> None:
        seen = self.record
        if seen.state not in ON_TRIAL:
            raise DeploymentError(f"{self.record.model} is {seen.state}; only a canary can be promoted")
        step = next((step for step in seen.ramp_schedule if step > seen.traffic), None)
        if step is None:
            raise DeploymentError(
                f"{seen.model} is at {seen.traffic:.0%}, the last step of its ramp {list(seen.ramp_schedule)}; "
                "deploy it with a ramp_schedule that goes on"
            )
        waited = self._since_last_step(seen)
        interval = timedelta(hours=seen.ramp_interval_hours)
        if waited < interval and not reason:
            raise DeploymentError(
                f"{seen.model} took its last step {waited} ago and steps are at least {seen.ramp_interval_hours:g} h apart; "
                "wait, or step now with promote(reason=...), which is recorded"
            )
        verdict = self._verdict_for(seen, step)
        evidence: dict[str, Any] = {"hours_since_last_step": round(waited / timedelta(hours=1), 3)}
        if waited < interval:
            evidence["interval_skipped"] = True
        values: dict[str, Any] = {"state": DeploymentState.CANARY}
        if verdict is not None:
            evidence |= {"verdict_id": verdict.id, "status": verdict.status.value, "max_traffic": verdict.max_traffic}
            values |= {"verdict_id": verdict.id, "max_traffic": verdict.max_traffic}
        self._step(seen, step, self._event("promote", actor, reason, seen, step, evidence), **values)

    def _step(self, seen: DeploymentRecord, step: float, event: DeploymentEvent, **values: Any) -> None:
        """Serve `step` of the traffic; with all of it the model takes over from the champion before."""
        changes = [Change(seen, event, values | {"traffic": step})]
        if step >= 1:
            # The database holds one champion a task, so the one before steps down first, in the same transaction.
            champion = self._store.deployments.champion(seen.task)
            changes = [Change(seen, event, values | {"traffic": step, "state": DeploymentState.LIVE})]
            if champion is not None and champion.id != seen.id:
                changes.insert(0, _superseded(champion, seen, event.actor))
        done = self._store.deployments.change_all(changes)
        changed = None if done is None else done[-1]
        if changed is None:
            self.record = self._read()
            raise DeploymentError(
                f"{seen.model} was changed meanwhile: it is {self.record.state} at {self.record.traffic:.0%}; "
                "look at it and decide again"
            )
        self.record = changed
        if changed.state is DeploymentState.LIVE:
            supersede_older(self._store, changed, ON_TRIAL, actor=event.actor)
            self._name_champion(changed)

    def _verdict_for(self, seen: DeploymentRecord, step: float) -> Verdict | None:
        """The newest verdict on the candidate, if it carries the step; None when nothing guards the deployment."""
        if seen.verdict_id is None:
            return None
        verdict = self._store.verdicts.latest(seen.checkpoint_id)
        if verdict is None or not verdict.approved or verdict.status is VerdictStatus.BLOCKED:
            word = "there is no verdict any more" if verdict is None else f"the newest verdict is {verdict.status}"
            raise DeploymentError(f"{seen.model} cannot be promoted: {word}; roll it back, or evaluate it again")
        if step > verdict.max_traffic:
            needed = f"about {verdict.required_examples} golden examples" if verdict.required_examples else "more golden examples"
            raise DeploymentError(
                f"{seen.model} may serve at most {verdict.max_traffic:.0%} on an {verdict.status} verdict, the next step is "
                f"{step:.0%}; a verdict on {needed} would decide: run the guard again when there are so many, then promote"
            )
        return verdict

    def _since_last_step(self, seen: DeploymentRecord) -> timedelta:
        steps = [event.at for event in self._store.deployments.events(seen.id) if event.to_traffic != event.from_traffic]
        return max(timedelta(0), self._now() - max(steps, default=seen.created_at))

    def _settle(
        self, action: str, state: DeploymentState, allowed: tuple[DeploymentState, ...], reason: str, actor: str
    ) -> DeploymentRecord:
        """Bring the row to `state`, from whatever it has become meanwhile, if that is one of `allowed`."""
        for _ in range(ATTEMPTS):
            seen = self.record = self._read()
            if seen.state is state:
                return seen
            if seen.state not in allowed:
                raise DeploymentError(f"{seen.model} is {seen.state}; {action} needs it to be {' or '.join(allowed)}")
            traffic = seen.traffic if state is DeploymentState.PAUSED else 0.0
            event = self._event(action, actor, reason, seen, traffic)
            changed = self._store.deployments.change(seen, event, state=state, traffic=traffic)
            if changed is not None:
                self.record = changed
                return changed
        raise DeploymentError(f"{self.record.model} was changed by others {ATTEMPTS} times in a row; {action} it again")

    def _rollback(self, reason: str, actor: str) -> None:
        for _ in range(ATTEMPTS):
            seen = self.record = self._read()
            if seen.state is not DeploymentState.LIVE:
                self._settle("rollback", DeploymentState.ROLLED_BACK, ON_TRIAL, reason, actor)
                return
            values = {"state": DeploymentState.ROLLED_BACK, "traffic": 0.0}
            changes = [Change(seen, self._event("rollback", actor, reason, seen, 0.0), values)]
            previous = self._previous(seen)
            if previous is not None:
                restored = self._event("restore", actor, f"{seen.model} is rolled back", previous, 1.0)
                changes.append(Change(previous, restored, {"state": DeploymentState.LIVE, "traffic": 1.0}))
            changed = self._store.deployments.change_all(changes)
            if changed is not None:
                self.record = changed[0]
                if previous is not None:
                    self._name_champion(changed[1])
                return
        raise DeploymentError(f"{self.record.model} was changed by others {ATTEMPTS} times in a row; rollback it again")

    def _previous(self, live: DeploymentRecord) -> DeploymentRecord | None:
        """The deployment that was the champion when this one took over, if there was one."""
        if live.stable_model == PRODUCTION:
            return None
        for previous in self._store.deployments.of(live.task):
            if previous.model != live.stable_model or previous.state is not DeploymentState.SUPERSEDED:
                continue
            if any(event.to_traffic >= 1 for event in self._store.deployments.events(previous.id)):
                return previous
        return None

    def _name_champion(self, live: DeploymentRecord) -> None:
        checkpoint = self._store.checkpoints.get(live.checkpoint_id)
        if checkpoint is not None and checkpoint.mlflow_version is not None:
            tracker = self._tracker or _open_tracker()
            tracker.set_alias(live.task, "champion", checkpoint.mlflow_version)

    def _event(
        self,
        action: str,
        actor: str,
        reason: str,
        seen: DeploymentRecord,
        to_traffic: float,
        evidence: dict[str, Any] | None = None,
    ) -> DeploymentEvent:
        return DeploymentEvent(
            deployment_id=seen.id,
            at=self._now(),
            actor=actor,
            action=action,
            reason=reason,
            from_traffic=seen.traffic,
            to_traffic=to_traffic,
            evidence=evidence or {},
        )

    def _read(self) -> DeploymentRecord:
        record = self._store.deployments.get(self.id)
        if record is None:
            raise DeploymentError(f"deployment {self.id} is no longer in the store")
        return record


def supersede_older(
    store: "Store", newer: DeploymentRecord, states: tuple[DeploymentState, ...], *, actor: str
) -> list[DeploymentRecord]:
    """Take the task's older deployments in these states out of service; returns those that were."""
    superseded = []
    for older in store.deployments.serving(newer.task):
        if older.state not in states or (older.created_at, older.id) >= (newer.created_at, newer.id):
            continue
        changed = store.deployments.change_all([_superseded(older, newer, actor)])
        if changed is not None:
            superseded.extend(changed)
    return superseded


def _superseded(older: DeploymentRecord, newer: DeploymentRecord, actor: str) -> Change:
    event = DeploymentEvent(
        deployment_id=older.id,
        actor=actor,
        action="supersede",
        reason=f"{newer.model} ({newer.id}) takes its place",
        from_traffic=older.traffic,
        to_traffic=0.0,
    )
    return Change(older, event, {"state": DeploymentState.SUPERSEDED, "traffic": 0.0})


def _open_tracker() -> "Tracker":
    from continuum.config import load_settings
    from continuum.tracking.tracker import open_tracker

    return open_tracker(load_settings())
