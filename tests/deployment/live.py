"""Live traffic of a deployment, made up: conversations of both arms whose answers are as good as a test says."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from continuum.deployment.watch.watch import Look, look
from continuum.judging.scripted import ScriptedJudge
from continuum.policy import TaskPolicy
from continuum.records import Interaction, Message
from continuum.rubric import Criterion
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from tests.builders import NOON, an_interaction

GOOD, FAIR, POOR = (
    "It arrives on Monday, as the tracking page shows.",
    "It arrives some day next week.",
    "Bananas grow in the tropics.",
)
SCORES = {GOOD: 5.0, FAIR: 3.0, POOR: 1.0}
HOUR = timedelta(hours=1)
LATER = NOON + 12 * HOUR


class CountingJudge(ScriptedJudge):
    """Scores the answers of this file, and counts how often it is asked."""

    def __init__(self, score: Callable[..., float | None] | None = None, *, cost_usd: float = 0.0) -> None:
        super().__init__("scripted", score or by_words, cost_usd=cost_usd)
        self.asked = 0

    async def judge(self, *args: Any, **named: Any) -> Any:
        self.asked += 1
        return await super().judge(*args, **named)


def by_words(conversation: Sequence[Message], response: Message, criterion: Criterion) -> float | None:
    """What an answer of this file is worth."""
    return SCORES[response.text]


def a_policy(*, judge: dict[str, Any] | None = None, watch: dict[str, Any] | None = None, **fields: Any) -> TaskPolicy:
    """A policy under which every conversation of both arms is judged."""
    return TaskPolicy.model_validate(
        {"task": "support", "judge": judge or {}, "deployment": {"watch": {"stable_rate": 1.0} | (watch or {})}} | fields
    )


def a_deployment(store: Store, *, shares: Sequence[float] = (0.5,), live: bool = False, **fields: Any) -> DeploymentRecord:
    """A deployment that began at noon and took a step each hour; `live` an hour after the last."""
    steps = [0.0, *shares]
    last = NOON + HOUR * (len(steps) - 2)
    values: dict[str, Any] = {
        "task": "support",
        "checkpoint_id": "checkpoint",
        "model": "support-v1",
        "stable_model": "production",
        "rollback_on_quality_drop": 0.05,
        "state": DeploymentState.PROMOTING if steps[-1] >= 1 else DeploymentState.CANARY,
        "traffic": steps[-1],
        "created_at": NOON,
        "step_at": last + HOUR if live else last,
    }
    if live:
        values["state"] = DeploymentState.LIVE
    record = DeploymentRecord(**(values | fields))
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, at=NOON, actor="test", action="deploy"))
    for number, (before, after) in enumerate(pairwise(steps)):
        _write(store, record, "promote" if number else "begin", before, after, NOON + HOUR * number)
    if live:
        _write(store, record, "live", 1.0, 1.0, last + HOUR)
    found = store.deployments.get(record.id)
    assert found is not None
    return found


def _write(store: Store, record: DeploymentRecord, action: str, before: float, after: float, at: datetime) -> None:
    seen = store.deployments.get(record.id)
    assert seen is not None
    event = DeploymentEvent(deployment_id=record.id, at=at, actor="test", action=action, from_traffic=before, to_traffic=after)
    assert store.deployments.change(seen, event) is not None


def conversations(
    record: DeploymentRecord,
    arm: str,
    answers: Iterable[str],
    *,
    at: datetime = NOON,
    named: str = "",
    kinds: int = 10,
    **fields: Any,
) -> list[Interaction]:
    """One conversation with one answer each, a second apart, from ten seconds after `at` on, of so many kinds of questions."""
    canary = arm == "candidate"
    return [
        an_interaction(
            f"Where is parcel {n % kinds} of {named or arm}?",
            answer,
            **{
                "id": f"{named or arm}-{at:%d%H}-{n}",
                "conversation_id": f"{named or arm}-{at:%d%H}-{n}",
                "started_at": at + timedelta(seconds=10 + n),
                "deployment_id": record.id,
                "variant": "canary" if canary else "stable",
                "model": record.model if canary else "gpt-4",
                "latency_ms": 300.0 if canary else 200.0,
            }
            | fields,
        )
        for n, answer in enumerate(answers)
    ]


def both(record: DeploymentRecord, candidate: Iterable[str], stable: Iterable[str], **fields: Any) -> list[Interaction]:
    """Conversations of both arms."""
    return conversations(record, "candidate", candidate, **fields) + conversations(record, "stable", stable, **fields)


def mixed(count: int, poor: float) -> list[str]:
    """So many answers, of which a share is poor, spread evenly."""
    return [POOR if int((n + 1) * poor + 1e-9) > int(n * poor + 1e-9) else GOOD for n in range(count)]


async def seen(
    store: Store,
    record: DeploymentRecord,
    traffic: list[Interaction],
    *,
    policy: TaskPolicy | None = None,
    judge: Any = None,
) -> Look:
    """The last of as many looks as it takes to judge all of it, as far as it can be."""
    store.interactions.add(traffic)
    waiting = len(traffic) + 1
    while True:
        found = await look(store, record, policy or a_policy(), now=LATER, judge=judge or CountingJudge())
        if found.evidence.get("judge", {}).get("waiting", 0) in (0, waiting):
            return found
        waiting = found.evidence["judge"]["waiting"]
