"""The changes that a deployment goes through, each a compare-and-set with its event: who, why and on what evidence.

| action of the event | from | to |
|---|---|---|
| deploy | | pending |
| warm | pending | warming: the backend loads it |
| approve | pending, warming | the same: it may begin |
| begin | warming | canary at its first share, or in the shadow; promoting where that share is all of the traffic |
| promote | canary, paused | canary at the next share of its schedule; promoting where that is all of the traffic |
| live | promoting | live; the champion before is superseded in the same transaction |
| name | live | live; the alias of the registered model follows |
| pause, resume | canary, promoting; paused | paused; back again |
| hold, ask | on trial; ask: also warming | the same: a step that is due waits for evidence, or for an approval |
| alarm, clear | on trial, live | the same: somebody should look; it is well again |
| rollback | on trial, live | rolling_back with no traffic; the champion before is live again at once |
| abort | pending, warming, on trial | rolling_back with no traffic |
| done | rolling_back | rolled_back, or aborted |
| supersede, restore | any; superseded | superseded; live |

Every function returns the row as it is then, or None where somebody else changed one of the rows meanwhile and nothing
was written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.deployment.routing import PRODUCTION
from continuum.serving_records import Change, DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

UNBEGUN = (DeploymentState.PENDING, DeploymentState.WARMING)
ON_TRIAL = (DeploymentState.CANARY, DeploymentState.PAUSED, DeploymentState.PROMOTING)


@dataclass(frozen=True)
class Cause:
    """Who changes a deployment, why, on what evidence, and when."""

    actor: str
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=utc_now)

    def event(self, action: str, seen: DeploymentRecord, to_traffic: float) -> DeploymentEvent:
        """The event of a change that was made for this."""
        return DeploymentEvent(
            deployment_id=seen.id,
            at=self.at,
            actor=self.actor,
            action=action,
            reason=self.reason,
            from_traffic=seen.traffic,
            to_traffic=to_traffic,
            evidence=dict(self.evidence),
        )


def next_share(record: DeploymentRecord) -> float | None:
    """The next share of its schedule; None after the last."""
    return next((share for share in record.ramp_schedule if share > record.traffic), None)


def note(store: "Store", seen: DeploymentRecord, action: str, cause: Cause, **values: Any) -> DeploymentRecord | None:
    """Write down something that does not change the traffic."""
    return store.deployments.change(seen, cause.event(action, seen, seen.traffic), **values)


def begin(store: "Store", seen: DeploymentRecord, share: float, cause: Cause, **values: Any) -> DeploymentRecord | None:
    """Begin the trial: with its first share of the traffic, or with none and its shadow. Older trials of the task end."""
    values |= {"state": _state_at(share), "traffic": share, "step_at": cause.at}
    ended = _superseded(store, seen, (*UNBEGUN, *ON_TRIAL), cause)
    return _last(store.deployments.change_all([*ended, Change(seen, cause.event("begin", seen, share), values)]))


def step(store: "Store", seen: DeploymentRecord, share: float, cause: Cause, **values: Any) -> DeploymentRecord | None:
    """Serve a larger share; what the candidate answered in the shadow, and an alarm, belong to the share before."""
    values |= {"state": _state_at(share), "traffic": share, "shadow": 0.0, "alarm": None, "step_at": cause.at}
    return store.deployments.change(seen, cause.event("promote", seen, share), **values)


def take_over(store: "Store", seen: DeploymentRecord, cause: Cause, **values: Any) -> DeploymentRecord | None:
    """Make it the champion; the one before, and older trials, are superseded in the same transaction."""
    before = store.deployments.champion(seen.task)
    stable = seen.stable_model if before is not None and before.id == seen.id else PRODUCTION if before is None else before.model
    values |= {"state": DeploymentState.LIVE, "traffic": 1.0, "shadow": 0.0, "alarm": None, "step_at": cause.at}
    # What a rollback gives back to is the champion of this moment, which need not be the one of the day it was deployed.
    change = Change(seen, cause.event("live", seen, 1.0), values | {"stable_model": stable})
    # The database holds one champion a task, so the one before steps down first.
    ended = _superseded(store, seen, (*UNBEGUN, *ON_TRIAL, DeploymentState.LIVE), cause)
    return _last(store.deployments.change_all([*ended, change]))


def take_back(store: "Store", seen: DeploymentRecord, cause: Cause, *, action: str = "rollback") -> DeploymentRecord | None:
    """Take all of its traffic away at once; where it was the champion, the one before is live again with the same change."""
    values = {"state": DeploymentState.ROLLING_BACK, "traffic": 0.0, "shadow": 0.0, "alarm": None, "step_at": cause.at}
    changes = [Change(seen, cause.event(action, seen, 0.0), values)]
    previous = _previous(store, seen) if seen.state is DeploymentState.LIVE else None
    if previous is not None:
        restored = Cause(cause.actor, f"{seen.model} ({seen.id}) is rolled back", {}, cause.at).event("restore", previous, 1.0)
        live = {"state": DeploymentState.LIVE, "traffic": 1.0, "alarm": None, "step_at": cause.at}
        changes.append(Change(previous, restored, live))
    changed = store.deployments.change_all(changes)
    return None if changed is None else changed[0]


def finish(store: "Store", seen: DeploymentRecord, cause: Cause, **values: Any) -> DeploymentRecord | None:
    """End what was taken back: aborted where that was asked for, else rolled back."""
    taken = [event.action for event in store.deployments.events(seen.id) if event.action in ("rollback", "abort")]
    aborted = bool(taken) and taken[-1] == "abort"
    return note(store, seen, "done", cause, state=DeploymentState.ABORTED if aborted else DeploymentState.ROLLED_BACK, **values)


def was_champion(store: "Store", record: DeploymentRecord) -> bool:
    """Whether it ever was the task's champion."""
    return any(event.action in ("live", "restore") for event in store.deployments.events(record.id))


def _state_at(share: float) -> DeploymentState:
    return DeploymentState.PROMOTING if share >= 1 else DeploymentState.CANARY


def _superseded(store: "Store", newer: DeploymentRecord, states: Iterable[DeploymentState], cause: Cause) -> list[Change]:
    """The changes that end the task's other deployments in these states: those that are older, and any champion."""
    changes = []
    for other in store.deployments.of(newer.task):
        older = (other.created_at, other.id) < (newer.created_at, newer.id) or other.state is DeploymentState.LIVE
        if other.state in states and older and other.id != newer.id:
            why = Cause(cause.actor, f"{newer.model} ({newer.id}) takes its place", {}, cause.at)
            values = {"state": DeploymentState.SUPERSEDED, "traffic": 0.0, "shadow": 0.0, "alarm": None}
            changes.append(Change(other, why.event("supersede", other, 0.0), values))
    return changes


def _previous(store: "Store", live: DeploymentRecord) -> DeploymentRecord | None:
    """The deployment that was the champion when this one took over, if there was one.

    One whose model learned from what was erased does not come back: the one before it does.
    """
    out = store.erasures.out_of_service(live.task)
    others, named, passed = store.deployments.of(live.task), live.stable_model, {live.id}
    while named != PRODUCTION:
        before = next((one for one in others if one.model == named and one.id not in passed and _stepped_down(store, one)), None)
        if before is None or before.checkpoint_id not in out:
            return before
        passed.add(before.id)
        named = before.stable_model
    return None


def _stepped_down(store: "Store", record: DeploymentRecord) -> bool:
    superseded = record.state is DeploymentState.SUPERSEDED
    return superseded and any(event.to_traffic >= 1 for event in store.deployments.events(record.id))


def _last(changed: list[DeploymentRecord] | None) -> DeploymentRecord | None:
    return None if changed is None else changed[-1]
