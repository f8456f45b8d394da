"""An evaluation in a process of its own, with models and a judge that write down what they are asked: to be killed by tests."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from continuum.guard.arms import both_arms
from continuum.judging.judge import Capability, Judgement, judgement_of, version_of
from continuum.judging.measures import Measures
from continuum.models.asking import Asking
from continuum.models.budget import Budget
from continuum.records import Checkpoint, Message
from continuum.rubric import Criterion
from continuum.splits.golden_items import GoldenItem
from continuum.store.database import open_store
from tests.builders import assistant, user

TONE = Criterion("tone", 1.0, "Professional and empathetic")
HELPFULNESS = Criterion("helpfulness", 1.0, "Directly addresses the question")


def checkpoint(version: int) -> Checkpoint:
    """A model whose files have a hash, so that its answers are kept."""
    values = {"id": f"c{version}", "task": "support", "version": version, "base_model": "tiny", "uri": "nowhere"}
    return Checkpoint.model_validate(values | {"dataset_id": "d", "manifest": {"adapter_model.safetensors": f"sha-{version}"}})


def golden_items(size: int) -> list[GoldenItem]:
    """Items `question n`, which production answered with its number."""
    return [
        GoldenItem(
            interaction_id=f"golden-{n:04d}",
            messages=(user(f"question {n}"),),
            production=assistant(f"{n % 5 + 1} stars said production"),
            group=f"group-{n}",
        )
        for n in range(size)
    ]


class Noting:
    """Writes each thing it was asked on a line of a file, before it answers; takes its time where it is told to."""

    def __init__(self, log: Path, pause_s: float = 0.0) -> None:
        self.log = log
        self.pause_s = pause_s

    async def note(self, *lines: str) -> None:
        with self.log.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        await asyncio.sleep(self.pause_s)

    def noted(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


class NotingAnswerer(Noting):
    """Answers question n with so many stars as n and the model's version make."""

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
        name, version = (model.name, model.version) if model else ("base", 0)
        numbers = [int(conversation[-1].text.split()[1]) for conversation in conversations]
        await self.note(*(f"{name} {n}" for n in numbers))
        return [None if n % 11 == version else assistant(f"{(n * version) % 5 + 1} stars") for n in numbers]


class NotingJudge(Noting):
    """Scores an answer by the number it begins with, and longer answers a little lower."""

    name = "stars"
    version = version_of("stars")
    capabilities: frozenset[Capability] = frozenset({"criteria", "safety", "approval"})

    async def judge(
        self, conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion], *, budget: Budget | None = None
    ) -> Judgement:
        await self.note(f"{conversation[-1].text} | {response.text}")
        stars = float(response.text.split()[0])
        return judgement_of(conversation, response, criteria, {one.name: stars for one in criteria}, {}, 0.0)


async def evaluate(url: str, folder: Path, size: int, pause_s: float) -> dict[str, object]:
    """Both arms of an evaluation, as JSON; what was asked is in the folder."""
    store = open_store(url)
    answerer, judge = NotingAnswerer(folder / "asked.log", pause_s), NotingJudge(folder / "judged.log", pause_s / 4)
    measures = Measures(("helpfulness", "tone"), (HELPFULNESS, TONE), judge).kept_in(store)
    asking = Asking(answerer, store, "support", chunk=16)
    arms = await both_arms(golden_items(size), checkpoint(2), checkpoint(1), measures=measures, asking=asking, seed=7)
    store.close()
    return {arm.id: [arm.scores, [answer and answer.text for answer in arm.answers]] for arm in arms}


if __name__ == "__main__":
    url, folder, size, pause_s = sys.argv[1:]
    found = asyncio.run(evaluate(url, Path(folder), int(size), float(pause_s)))
    (Path(folder) / "arms.json").write_text(json.dumps(found, sort_keys=True))
