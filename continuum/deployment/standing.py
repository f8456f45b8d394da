"""Where deployments stand, for people: read from the store, so that every process can show what any other leads."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from continuum.deployment.approval import is_asked
from continuum.deployment.controller import to_lead
from continuum.deployment.settling import policy_of
from continuum.deployment.transitions import ON_TRIAL, next_share
from continuum.deployment.watch.live_arms import Call, calls_of, phases_of
from continuum.errors import ConfigurationError
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState

if TYPE_CHECKING:
    from continuum.store.database import Store

Asked = Literal["none", "promotion", "each_step"]

NEWEST_CALLS = 2000
"""Calls that the figures of a view are made of."""
NOBODY_LOOKED = timedelta(minutes=15)
"""A step that is due for so long without anything being written about it was looked at by nobody."""
HAND = {
    "promote": (*ON_TRIAL, DeploymentState.PENDING, DeploymentState.WARMING),
    "pause": (DeploymentState.CANARY, DeploymentState.PROMOTING),
    "resume": (DeploymentState.PAUSED,),
    "abort": (*ON_TRIAL, DeploymentState.PENDING, DeploymentState.WARMING),
    "rollback": (*ON_TRIAL, DeploymentState.LIVE),
}
"""By what a person does to it, the states in which a deployment of a task is meant."""


@dataclass(frozen=True)
class Arm:
    """What one arm of a deployment did lately, of calls that it was asked for first."""

    calls: int = 0
    failed: int = 0
    median_ms: float | None = None
    p95_ms: float | None = None
    first_chunk_ms: float | None = None
    """Median of the streams."""
    cost_usd: float | None = None
    """Of these calls, as the captures tell it; None where none does."""


@dataclass(frozen=True)
class Standing:
    """One deployment, and all that a view of it shows."""

    record: DeploymentRecord
    next: str
    """What happens next, and what it waits for."""
    events: tuple[DeploymentEvent, ...] = ()
    """Oldest first."""
    arms: Mapping[Literal["candidate", "stable"], Arm] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Of the last look that was written down."""
    evidence_at: datetime | None = None


def standings(store: "Store", task: str | None = None, *, now: datetime) -> list[Standing]:
    """The deployments that are not done, newest first: of one task, or of all.

    Args:
        store: where they are.
        task: whose; all when left out.
        now: the moment.
    """
    return [standing(store, record, now=now) for record in reversed(to_lead(store, task))]


def standing(store: "Store", record: DeploymentRecord, *, now: datetime) -> Standing:
    """One deployment with its events, its figures and the evidence on which it was last decided."""
    events = store.deployments.events(record.id)
    looked = next((event for event in reversed(events) if "quality" in event.evidence), None)
    return Standing(
        record,
        next_of(record, events, _approval(store, record.task), now),
        tuple(events),
        _arms(store, record, events),
        {} if looked is None else looked.evidence,
        None if looked is None else looked.at,
    )


def next_of(record: DeploymentRecord, events: Sequence[DeploymentEvent], approval: Asked, now: datetime) -> str:
    """What happens next to a deployment, in words.

    Args:
        record: the deployment.
        events: its events, oldest first.
        approval: before which steps the task's policy wants somebody to be asked.
        now: the moment.
    """
    if record.state in (DeploymentState.PENDING, DeploymentState.WARMING):
        asked = any(event.action == "ask" for event in events)
        return "an approval is needed to begin: `continuum promote` gives it" if asked else "its server is to load it"
    if record.state is DeploymentState.ROLLING_BACK:
        return "its traffic is gone; its server is to unload it"
    if record.state is DeploymentState.LIVE:
        return "it answers everybody"
    if record.state not in ON_TRIAL:
        return "it is done"
    share = 1.0 if record.state is DeploymentState.PROMOTING else next_share(record)
    if record.state is DeploymentState.PAUSED:
        return "it stays as it is until `continuum resume` or `continuum promote`"
    if share is None:
        return f"it stays at {record.traffic:.0%}, the last step of its ramp"
    bakes = record.state is DeploymentState.PROMOTING
    due = record.step_at + timedelta(hours=record.bake_hours if bakes else record.ramp_interval_hours)
    goes_on = "the champion's place" if bakes else f"{share:.0%} of the traffic"
    asks = not bakes and is_asked(approval, record, share)
    if now < due:
        needs = "if the evidence allows it" + (" and somebody approves" if asks else "")
        return f"{goes_on} from {due:%Y-%m-%d %H:%M} UTC on, {needs}"
    said = [event for event in events if event.at >= due]
    if not said and now - due > NOBODY_LOOKED:
        return f"{goes_on} was due at {due:%Y-%m-%d %H:%M} UTC and nobody looks: run `continuum watch` or the Dagster daemon"
    waits = next((event for event in reversed(said) if event.action in ("hold", "ask")), None)
    return f"{goes_on} is due since {due:%Y-%m-%d %H:%M} UTC" + (f" and waits: {waits.reason}" if waits else "")


def chosen(store: "Store", item: str, action: str) -> DeploymentRecord:
    """The deployment that a person means: by its id, by the model it serves, or as the one of a task that the action fits.

    A task's name means its trial. Its champion is meant by the model's name or the id: whoever takes a trial back twice, because
    the first time was interrupted, must not take the healthy model back.

    Args:
        store: where they are.
        item: id of a deployment, name of a task, or name of a model.
        action: `promote`, `pause`, `resume`, `abort` or `rollback`.

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    if (found := store.deployments.get(item)) is not None:
        return found
    known = store.deployments.of(item) or _of_model(store, item)
    if not known:
        raise ConfigurationError(f"{item!r:.120} is no deployment, and no task or model with one; see: continuum deployments")
    fitting = [one for one in known if one.state in HAND[action]]
    trials = [one for one in fitting if one.state is not DeploymentState.LIVE]
    if not trials and action in ("abort", "rollback"):
        trials = [one for one in known if one.state is DeploymentState.ROLLING_BACK]
    if not trials and not store.deployments.of(item):
        trials = fitting
    if not trials:
        newest = known[0]
        champion = next((one for one in known if one.state is DeploymentState.LIVE), None)
        instead = "" if champion is None else f"; `continuum rollback {champion.model}` takes the champion back"
        raise ConfigurationError(
            f"{item!r:.120} has nothing to {action}: its newest deployment, of {newest.model}, is {newest.state}{instead}"
        )
    if len(trials) > 1:
        told = ", ".join(f"{one.id} ({one.model}, {one.state})" for one in trials)
        raise ConfigurationError(f"{item!r:.120} has {len(trials)} deployments to {action}; name one by its id: {told}")
    return trials[0]


def _of_model(store: "Store", model: str) -> list[DeploymentRecord]:
    checkpoint = store.checkpoints.get(model)
    return [] if checkpoint is None else [one for one in store.deployments.of(checkpoint.task) if one.model == model]


def _approval(store: "Store", task: str) -> Asked:
    try:
        return policy_of(store, task).deployment.approval
    except ConfigurationError:
        return "none"  # A policy that cannot be read is told of where it is used.


def _arms(
    store: "Store", record: DeploymentRecord, events: Sequence[DeploymentEvent]
) -> dict[Literal["candidate", "stable"], Arm]:
    from continuum.store.live_rows import LiveRows  # SQLAlchemy starts here

    rows = LiveRows(store.engine).of(record.id, most=NEWEST_CALLS)
    costs = {row.id: row.cost_usd for row in rows}
    calls = calls_of(record, rows, phases_of(record, events), lambda row: row.id)
    if record.state is DeploymentState.LIVE:
        calls = [call for call in calls if call.at >= record.step_at]
    return {
        arm: _figures([call for call in calls if call.arm == arm], costs)
        for arm in ("candidate", "stable")
        if any(call.arm == arm for call in calls)
    }


def _figures(calls: Sequence[Call], costs: Mapping[str, float | None]) -> Arm:
    latencies = [call.latency_ms for call in calls if call.answered and call.latency_ms is not None]
    firsts = [call.first_chunk_ms for call in calls if call.answered and call.first_chunk_ms is not None]
    told = [cost for call in calls if (cost := costs[call.id]) is not None]
    return Arm(
        calls=len(calls),
        failed=sum(call.failed for call in calls),
        median_ms=statistics.median(latencies) if latencies else None,
        p95_ms=statistics.quantiles(latencies, n=20, method="inclusive")[-1] if len(latencies) > 1 else None,
        first_chunk_ms=statistics.median(firsts) if firsts else None,
        cost_usd=sum(told) if told else None,
    )
