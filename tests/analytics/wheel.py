"""A task whose wheel has turned a few times: versions, verdicts by the real guard, deployments, traffic and what people said."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from continuum.dataset import Dataset
from continuum.guard.guard import RegressionGuard
from continuum.judging.scripted import ScriptedJudge
from continuum.policy import TaskPolicy
from continuum.records import Annotation, Checkpoint, DatasetRecord, Feedback, Interaction, Message, Verdict
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.splits.golden_growth import hold_out
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from tests.builders import NOON, an_example, an_interaction, assistant

TASK = "support"
STARS = {"base": 2.4, "v1": 3.1, "v2": 3.5, "v3": 3.7, "v4": 3.6}
"""How good each model is on average, in stars."""
PRODUCTION_STARS = 3.3
INTENTS = ("billing", "shipping", "returns", "<b>bold</b>")


def stars_of(model: str, question: str, mean: float) -> int:
    """How many stars a model's answer to a question has: always the same, around the model's mean."""
    drawn = int(sha256(f"{model} {question}".encode()).hexdigest()[:8], 16) / 2**32
    hard = int(sha256(question.encode()).hexdigest()[:8], 16) / 2**32
    return max(1, min(5, round(mean + (drawn - 0.5) * 1.6 + (hard - 0.5) * 1.6)))


class Starred:
    """Answers with as many stars as the model is worth; counts the questions that each model was asked."""

    settings = {"decoding": "stars"}

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
        name = f"v{model.version}" if model else "base"
        self.asked[name] = self.asked.get(name, 0) + len(conversations)
        return [assistant(f"{stars_of(name, said[-1].text, STARS[name])} stars") for said in conversations]


def star_judge() -> ScriptedJudge:
    """Says the stars that an answer names."""
    return ScriptedJudge("stars", lambda conversation, response, criterion: float(response.text[0]))


def captured(store: Store, count: int, start: int = 0, **fields: object) -> list[Interaction]:
    """Questions that production answered, of four intents, for 3 cents and about 800 ms each, judged for a cent each."""
    rows = []
    for n in range(start, start + count):
        question = f"Question {n}: what about order {n * 7} to town {n * 13}?"
        values = {
            "conversation_id": f"conversation-{n}",
            "started_at": NOON + timedelta(minutes=n),
            "cost_usd": 0.03,
            "latency_ms": 700.0 + (n * 37) % 211,
            "tags": {"intent": INTENTS[n % len(INTENTS)]},
        }
        said = f"{stars_of('production', question, PRODUCTION_STARS)} stars"
        rows.append(an_interaction(question, said, **{**values, **fields}))
    store.interactions.add(rows)
    store.annotations.add(
        Annotation(
            interaction_id=row.id,
            task=TASK,
            judge="stars",
            rubric="r",
            overall=float((row.response or assistant("1")).text[0]),
            cost_usd=0.01,
            created_at=row.started_at,
        )
        for row in rows
    )
    return rows


def begin(store: Store, questions: int = 400) -> TaskPolicy:
    """Register the task, capture traffic and hold some of it out."""
    policy = TaskPolicy.model_validate(
        {
            "task": TASK,
            "base_model": "tiny",
            "judge": {"model": "stars"},
            "splits": {"golden": 0.2},
            "guard": {"capability": False},
        }
    )
    store.tasks.register(policy)
    captured(store, questions)
    assert hold_out(store, policy) is not None
    return policy


def train(
    store: Store, version: int, examples: int = 100, looked_at: int = 400, folder: Path | None = None, run: str | None = None
) -> Checkpoint:
    """A version that is continued from the one before on examples of its own; with a folder they are written there."""
    if folder is not None:
        rows = [
            an_example(
                f"{'Refund' if n % 2 else 'Parcel'} {n}: what about order {n * 7} to town {n * 13}?",
                "5 stars",
                interaction_id=f"trained-{version}-{n}",
            )
            for n in range(examples)
        ]
        named = {"task": TASK, "name": f"{TASK}_training_v{version}", "fingerprint": f"data{version}"}
        Dataset(rows, named).write(folder)
    record = DatasetRecord(
        id=f"data{version}",
        task=TASK,
        name=f"{TASK}_training_v{version}",
        version=version,
        uri=str(folder or "nowhere"),
        manifest={"source_interactions": looked_at},
    )
    store.datasets.add(record, [DatasetItem(interaction_id=f"trained-{version}-{n}", split="train") for n in range(examples)])
    made = Checkpoint(
        id=f"c{version}",
        task=TASK,
        version=version,
        base_model="tiny",
        uri="nowhere",
        manifest={"adapter.safetensors": f"{version:064d}"},
        dataset_id=record.id,
        parent_id=f"c{version - 1}" if version > 1 else None,
        metrics={"seconds": 60.0},
        mlflow_run_id=run,
        created_at=NOON + timedelta(days=version),
    )
    store.checkpoints.add(made)
    return made


async def judged(store: Store, model: Checkpoint, answerer: Starred | None = None) -> Verdict:
    """The guard's verdict on a version, against whatever serves."""
    policy = store.tasks.get(TASK).policy
    guard = RegressionGuard.for_task(policy, judge=star_judge(), answerer=answerer or Starred(), store=store)
    return await guard.evaluate(model)


def live(store: Store, model: Checkpoint, verdict: Verdict | None) -> DeploymentRecord:
    """A version that has taken over all of the traffic from whatever served."""
    before = store.deployments.champion(TASK)
    if before is not None:
        event = DeploymentEvent(deployment_id=before.id, actor="test", action="supersede")
        assert store.deployments.change(before, event, state=DeploymentState.SUPERSEDED, traffic=0.0)
    record = DeploymentRecord(
        task=TASK,
        checkpoint_id=model.id,
        model=model.name,
        stable_model=before.model if before else "production",
        verdict_id=verdict.id if verdict else None,
        state=DeploymentState.LIVE,
        traffic=1.0,
        created_at=model.created_at,
    )
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="test", action="promote", to_traffic=1.0))
    return record


def served(
    store: Store, deployment: DeploymentRecord, count: int, *, latency_ms: float = 300.0, start: int = 10_000
) -> list[Interaction]:
    """Calls that a deployed version answered, each in its own conversation."""
    return captured(
        store,
        count,
        start,
        model=deployment.model,
        deployment_id=deployment.id,
        variant="canary",
        latency_ms=latency_ms,
        cost_usd=None,
    )


def praised(store: Store, rows: Sequence[Interaction], score: float) -> None:
    """Feedback of people on some calls."""
    store.feedback.add(Feedback(interaction_id=row.id, score=score) for row in rows)


async def turned(store: Store, versions: int, folder: Path | None = None) -> None:
    """A wheel that has turned so often: each version guarded, promoted, and given traffic; the golden dataset has grown since.

    Args:
        store: where.
        versions: how many turns.
        folder: below which the training sets are written; None for nowhere.
    """
    policy = begin(store)
    for version in range(1, versions + 1):
        model = train(store, version, examples=100 * version, folder=folder / f"v{version}" if folder else None)
        deployment = live(store, model, await judged(store, model))
        calls = served(store, deployment, 120, latency_ms=300.0 + 10 * version, start=10_000 * version)
        praised(store, calls[:20], 5.0 if version > 1 else 2.0)
    praised(store, list(store.interactions.scan(TASK))[:30], 4.0)
    captured(store, 400, 500_000)
    assert hold_out(store, policy) is not None
