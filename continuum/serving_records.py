"""Who serves a task's traffic: the records of deployments, and of every change to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

from continuum.ids import new_id
from continuum.records import Record
from continuum.timespan import utc_now


class DeploymentState(StrEnum):
    """Where a deployment stands."""

    PENDING = "pending"
    """Decided on; nothing is asked of the backend yet."""
    WARMING = "warming"
    """The backend loads it; it gets no traffic."""
    CANARY = "canary"
    """On trial: a share of the traffic, or of its shadow, is its own."""
    PAUSED = "paused"
    """On trial, and held where it is until somebody says otherwise."""
    PROMOTING = "promoting"
    """It serves all of the traffic, and the champion before it stands ready to take over again."""
    LIVE = "live"
    """The champion."""
    ROLLING_BACK = "rolling_back"
    """Its traffic is taken away; what hangs on it (the alias, the backend) is still being put back."""
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"


class DeploymentRecord(Record):
    """The store's row of a deployment, and the gateway's route: the share of a task's traffic that goes to the candidate."""

    id: str = Field(default_factory=new_id)
    task: str
    checkpoint_id: str
    model: str
    """The name under which the candidate answers."""
    stable_model: str
    """The name that answers the rest: `production`, or the model of the champion."""
    verdict_id: str | None = None
    """None for a deployment that nothing guarded."""
    strategy: str = "canary"
    backend: str = "local"
    backend_url: str = ""
    """Base URL of the OpenAI-compatible server that holds the adapter."""
    state: DeploymentState = DeploymentState.CANARY
    traffic: float = Field(default=0.0, ge=0, le=1)
    """Share of the task's traffic that the candidate serves."""
    max_traffic: float = Field(default=1.0, ge=0, le=1)
    ramp_schedule: tuple[float, ...] = ()
    ramp_interval_hours: float = 2.0
    rollback_on_quality_drop: float | None = None
    shadow: float = Field(default=0.0, ge=0, le=1)
    """Share of the task's traffic that the candidate answers once more, for nobody to read but the watch."""
    bake_hours: float = Field(default=1.0, ge=0)
    """How long a blue-green deployment serves everybody before it is the champion."""
    hold_limit_hours: float = Field(default=24.0, gt=0)
    """How long a step may wait for evidence before somebody is told."""
    step_at: AwareDatetime = Field(default_factory=utc_now)
    """When the present share of the traffic, or of its shadow, began."""
    approved_traffic: float = Field(default=0.0, ge=0, le=1)
    """Up to which share a person, or the approval hook, has agreed."""
    alarm: str | None = None
    """What somebody should look at: a hold that lasts too long, a split that is not as configured, a watch without a signal."""
    version: int = 0
    """Grows by one with each change; a change names the version it was decided on."""
    created_at: AwareDatetime = Field(default_factory=utc_now)
    updated_at: AwareDatetime = Field(default_factory=utc_now)


class DeploymentEvent(Record):
    """One change of a deployment: who did it, why, and on what evidence."""

    deployment_id: str
    sequence: int = 0
    at: AwareDatetime = Field(default_factory=utc_now)
    actor: str
    action: str
    reason: str = ""
    from_traffic: float = 0.0
    to_traffic: float = 0.0
    evidence: dict[str, Any] = {}


@dataclass(frozen=True)
class Change:
    """One deployment, as a decision saw it, and what it is to become."""

    seen: DeploymentRecord
    event: DeploymentEvent
    values: Mapping[str, Any]
