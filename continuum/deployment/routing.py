"""Which model answers a request: a sticky split of a task's traffic, computed from the deployments in the store.

Whoever asks keeps their model while the split stands, and a ramp only ever adds people to the candidate. No state is
kept for this: every gateway that reads the same rows sends the same person to the same model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Literal

from continuum.serving_records import DeploymentRecord, DeploymentState

PRODUCTION = "production"
"""The arm that Continuum did not train: the provider the application used before."""
ArmName = Literal["canary", "stable", "production"]
"""How a request may name an arm, and how arms are counted: the candidate, the champion, the provider."""


@dataclass(frozen=True)
class Arm:
    """One model that may answer."""

    model: str
    """`production`, or the name under which a tuned model is served."""
    base_url: str | None
    """Where the tuned model is served; None for production, whose address is the gateway's own configuration."""
    variant: Literal["stable", "canary"]

    @property
    def name(self) -> ArmName:
        """What it is called where arms are counted."""
        return "production" if self.base_url is None else self.variant


PRODUCTION_ARM = Arm(PRODUCTION, None, "stable")


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
    stable: tuple[Arm, ...] = (PRODUCTION_ARM,)
    """Who answers the rest; each steps in for the one before it, production for all."""
    shadow: float = 0.0
    """Share of the units whose questions the candidate answers once more, unseen."""

    @property
    def tuned(self) -> tuple[Arm, ...]:
        """The arms that are models of ours."""
        arms = self.stable if self.candidate is None else (self.candidate, *self.stable)
        return tuple(arm for arm in arms if arm.base_url is not None)

    def choose(self, unit: str) -> Choice:
        """The arms for a unit: whoever or whatever must not see two models in turn."""
        if self.candidate is not None and self.deployment_id is not None and position(self.deployment_id, unit) < self.traffic:
            return Choice(self.deployment_id, (self.candidate, *self.stable))
        return Choice(self.deployment_id, self.stable)

    def named(self, arm: ArmName) -> Choice | None:
        """The arms for a request that names the first of them; None where there is no such arm."""
        if arm == "canary":
            return None if self.candidate is None else Choice(self.deployment_id, (self.candidate, *self.stable))
        return Choice(self.deployment_id, self.stable if arm == "stable" else (PRODUCTION_ARM,))


TO_PRODUCTION = Route()
"""Of a task without a deployment."""


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
        return self.routes.get(task, TO_PRODUCTION)


def _route(newest_first: Sequence[DeploymentRecord]) -> Route:
    newest = newest_first[0]
    # The rest goes to the champion of this moment, which is what `stable_model` names unless that one was rolled back since.
    champion = next((deployment for deployment in newest_first if deployment.state is DeploymentState.LIVE), None)
    stable = (PRODUCTION_ARM,)
    if champion is not None:
        stable = (Arm(champion.model, champion.backend_url, "stable"), PRODUCTION_ARM)
    if newest.state is DeploymentState.LIVE:
        return Route(deployment_id=newest.id, stable=stable)
    return Route(newest.id, newest.traffic, Arm(newest.model, newest.backend_url, "canary"), stable, newest.shadow)


def position(deployment_id: str, unit: str) -> float:
    """Where a unit stands in a deployment's order, in [0, 1): below the traffic share it gets the candidate.

    The order is keyed by the deployment, so that the same people are not the first to try every candidate.
    """
    digest = blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8, key=deployment_id.encode()[:64]).digest()
    # 53 bits are what a float holds exactly; with 64 the largest digests would round up to 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def unit_of(
    body: Mapping[str, Any],
    *,
    conversation_id: str | None,
    user_id: str | None,
    opening: "Callable[[Mapping[str, Any]], Any] | None" = None,
) -> str:
    """What stays with one model: the conversation, else the user, else the conversation's first question.

    The first question is sent again with each turn, so a conversation without an id keeps its model too. What stands
    before it, a system prompt, is not looked at: it is often the same for everybody, or holds the time of day.
    """
    if conversation_id:
        return f"conversation:{conversation_id}"
    if user_id:
        return f"user:{user_id}"
    return f"opening:{(opening or chat_opening)(body)!r}"


def chat_opening(body: Mapping[str, Any]) -> Any:
    """The first question of a chat, or its first message where nobody asks."""
    return first_question(body.get("messages") or ())


def first_question(messages: Iterable[Any]) -> Any:
    """The first question among messages, or the first of them where nobody asks."""
    found = [message for message in messages if isinstance(message, Mapping)]
    opening = next((message for message in found if message.get("role") == "user"), found[0] if found else {})
    return opening.get("content")
