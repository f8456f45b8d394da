"""Golden items, a model that answers by rule, and a judge that reads the score out of the answer."""

from collections.abc import Callable, Sequence

import pytest

from continuum.judging.scripted import ScriptedJudge
from continuum.records import Checkpoint, Message
from continuum.rubric import Criterion
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.splits.golden import GoldenDataset, GoldenItem
from continuum.store.database import Store
from tests.builders import assistant, user

Answers = Callable[[int], str | None]


class RuledAnswerer:
    """Answers golden item n by a function of n, one function a model; counts what it was asked."""

    def __init__(self, rules: dict[str, Answers]) -> None:
        self.rules = rules
        self.asked: list[str] = []

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
        name = model.name if model else "base"
        self.asked.append(name)
        numbers = [int(conversation[-1].text.split()[1]) for conversation in conversations]
        answers = [self.rules[name](n) for n in numbers]
        return [None if text is None else assistant(text) for text in answers]


def scored(stars: int) -> str:
    """An answer that the judge below scores so many stars."""
    return f"{stars} stars: it is on its way"


def read_stars(conversation: Sequence[Message], response: Message, criterion: Criterion) -> float:
    return float(response.text.split()[0])


@pytest.fixture
def judge() -> ScriptedJudge:
    """Scores an answer by the number it starts with."""
    return ScriptedJudge("stars", read_stars)


def golden_set(size: int, production: Answers, *, group_size: int = 1, reference: Answers | None = None) -> GoldenDataset:
    """Items `question n`; production answered by rule, and references where a rule is given."""

    def message(text: str | None) -> Message | None:
        return None if text is None else assistant(text)

    items = tuple(
        GoldenItem(
            interaction_id=f"golden-{n:04d}",
            messages=(user(f"question {n}"),),
            production=message(production(n)),
            reference=message(reference(n)) if reference else None,
            group=f"group-{n // group_size:04d}",
        )
        for n in range(size)
    )
    return GoldenDataset("support_golden_v1", "support", 1, "golden-fingerprint", items, {})


def a_checkpoint(version: int = 1, **fields: object) -> Checkpoint:
    values = {"id": f"c{version}", "task": "support", "version": version, "base_model": "tiny", "uri": "nowhere"}
    return Checkpoint.model_validate(values | {"dataset_id": f"data{version}"} | fields)


def crown(store: Store, checkpoint: Checkpoint) -> None:
    """Make a checkpoint the champion."""
    store.checkpoints.add(checkpoint)
    deployment = DeploymentRecord(
        task=checkpoint.task,
        checkpoint_id=checkpoint.id,
        model=checkpoint.name,
        stable_model="production",
        state=DeploymentState.LIVE,
        traffic=1.0,
    )
    store.deployments.add(deployment, DeploymentEvent(deployment_id=deployment.id, actor="test", action="deploy"))
