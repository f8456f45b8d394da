"""Which model answers a request: a sticky split of a task's traffic, computed from the deployments in the store.

Whoever asks keeps their model while the split stands, and a ramp only ever adds people to the candidate. No state is
kept for this: every gateway that reads the same rows sends the same person to the same model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Literal

from continuum.serving_records import DeploymentRecord, DeploymentState

PRODUCTION = "production"
"""The arm that Continuum did not train: the provider the application used before."""


@dataclass(frozen=True)
class Arm:
    """One model that may answer."""

    model: str
    """`production`, or the name under which a tuned model is served."""
    base_url: str | None
    """Where the tuned model is served; None for production, whose address is the gateway's own configuration."""
    variant: Literal["stable", "canary"]


@dataclass(frozen=True)
class Choice:
    """Who answers one request: the first arm, and behind it those that step in while nothing has been sent yet."""

    deployment_id: str | None
    arms: tuple[Arm, ...]


@dataclass(frozen=True)
class Route:
    """How a task's traffic is split."""

    deployment_id: str | None = None
    traffic: float = 0.0
    """Share of the units that the candidate answers."""
    candidate: Arm | None = None
    stable: tuple[Arm, ...] = (Arm(PRODUCTION, None, "stable"),)
    """Who answers the rest; each steps in for the one before it, production for all."""

    def choose(self, unit: str) -> Choice:
        """The arms for a unit: whoever or whatever must not see two models in turn."""
        if self.candidate is not None and self.deployment_id is not None and position(self.deployment_id, unit) < self.traffic:
            return Choice(self.deployment_id, (self.candidate, *self.stable))
        return Choice(self.deployment_id, self.stable)


class RouteTable:
    """The routes of all tasks at one moment; a task without a deployment is answered by production."""

    def __init__(self, routes: Mapping[str, Route] = MappingProxyType({})) -> None:
        self.routes = dict(routes)

    @classmethod
    def of(cls, serving: Iterable[DeploymentRecord]) -> "RouteTable":
        """The routes that these deployments make; `serving` is newest first, as the store gives it."""
        by_task: dict[str, list[DeploymentRecord]] = {}
        for deployment in serving:
            by_task.setdefault(deployment.task, []).append(deployment)
        return cls({task: _route(deployments) for task, deployments in by_task.items()})

    def route(self, task: str) -> Route:
        """The route of a task."""
        return self.routes.get(task, Route())


def _route(newest_first: Sequence[DeploymentRecord]) -> Route:
    newest = newest_first[0]
    # The rest goes to the champion of this moment, which is what `stable_model` names unless that one was rolled back since.
    champion = next((deployment for deployment in newest_first if deployment.state is DeploymentState.LIVE), None)
    production = Arm(PRODUCTION, None, "stable")
    stable = (production,) if champion is None else (Arm(champion.model, champion.backend_url, "stable"), production)
    if newest.state is DeploymentState.LIVE:
        return Route(deployment_id=newest.id, stable=stable)
    return Route(newest.id, newest.traffic, Arm(newest.model, newest.backend_url, "canary"), stable)


def position(deployment_id: str, unit: str) -> float:
    """Where a unit stands in a deployment's order, in [0, 1): below the traffic share it gets the candidate.

    The order is keyed by the deployment, so that the same people are not the first to try every candidate.
    """
    digest = blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8, key=deployment_id.encode()[:64]).digest()
    # 53 bits are what a float holds exactly; with 64 the largest digests would round up to 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def unit_of(body: Mapping[str, Any], *, conversation_id: str | None, user_id: str | None) -> str:
    """What stays with one model: the conversation, else the user, else the conversation's first question.

    The first question is sent again with each turn, so a conversation without an id keeps its model too. What stands
    before it, a system prompt, is not looked at: it is often the same for everybody, or holds the time of day.
    """
    if conversation_id:
        return f"conversation:{conversation_id}"
    if user_id:
        return f"user:{user_id}"
    messages = [message for message in body.get("messages") or () if isinstance(message, Mapping)]
    opening = next((message for message in messages if message.get("role") == "user"), messages[0] if messages else {})
    return f"opening:{opening.get('content')!r}"
