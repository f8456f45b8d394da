"""The demo's exam: held-out questions in words that no training text holds, answered by each model and judged alike."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from continuum.config import load_settings
from continuum.demo.world import Question, World
from continuum.errors import ConfigurationError
from continuum.judging.judge import Judge
from continuum.judging.model_judge import judge_for_task
from continuum.models.answering import Answerer
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint, Message

AT_ONCE = 16
CUSTOMERS = ("shop", "speaker")
"""Groups of questions that customers ask; quality is measured on these, what else an assistant should know is only counted."""


@dataclass(frozen=True)
class Result:
    """How one model did."""

    name: str
    quality: float
    """Mean judged score of the answers to customers, 1 to 5."""
    margin: float
    """Half the width of its 95 % confidence interval."""
    right: dict[str, float]
    """Kind of question to the share answered right, 0 to 1, by the made-up world's own truth.

    The kinds are shop, speaker, rules (the constitutional constraints put to the test) and small talk.
    """
    answers: dict[str, str]
    """Question to answer."""


class Exam:
    """The same questions and the same judge for every model."""

    def __init__(self, world: World, policy: TaskPolicy, *, at_most: int) -> None:
        judge = judge_for_task(policy, load_settings())
        if judge is None:
            raise ConfigurationError("the exam needs a judge, and the task's policy names none")
        self.world = world
        self.questions = _spread(world.exam(), at_most)
        self._judge: Judge = judge
        self._criteria = policy.judge.criteria

    @property
    def conversations(self) -> list[tuple[Message, ...]]:
        """The questions as models take them."""
        return [(Message(role="user", content=question.text),) for question in self.questions]

    async def take(self, name: str, model: Checkpoint | None, answerer: Answerer) -> Result:
        """Have a local model sit the exam."""
        return await self.mark(name, await answerer.answer(model, self.conversations))

    async def mark(self, name: str, answers: Sequence[Message | None]) -> Result:
        """Judge the answers, and count those that are right."""
        given = [answer or Message(role="assistant", content="") for answer in answers]
        gate = asyncio.Semaphore(AT_ONCE)

        async def judged(question: tuple[Message, ...], answer: Message) -> float | None:
            async with gate:
                return (await self._judge.judge(question, answer, self._criteria)).overall

        marked = list(zip(self.questions, self.conversations, given, strict=True))
        said = await asyncio.gather(*(judged(asked, answer) for question, asked, answer in marked if question.group in CUSTOMERS))
        scores = [score for score in said if score is not None]
        right: dict[str, list[bool]] = defaultdict(list)
        for question, _, answer in marked:
            right[self._kind(question)].append(self._is_right(question, answer.text))
        return Result(
            name=name,
            quality=round(mean(scores), 3),
            margin=round(1.96 * stdev(scores) / len(scores) ** 0.5, 3),
            right={group: round(mean(marks), 3) for group, marks in right.items()},
            answers={question.text: answer.text for question, answer in zip(self.questions, given, strict=True)},
        )

    def _is_right(self, question: Question, answer: str) -> bool:
        """A rule can be kept in many words; a fact of the shop is right or not."""
        if self._kind(question) == "rules":
            return bool(answer) and self.world.keeps_rules(question.text, answer)
        return self.world.quality(question.text, answer) == "right"

    def _kind(self, question: Question) -> str:
        if question.group in CUSTOMERS:
            return question.group
        return "rules" if self.world.constraint_of(question.text) else "small talk"


def _spread(questions: Sequence[Question], at_most: int) -> list[Question]:
    """At most so many of each group, evenly spread, so that every intent is asked."""
    groups: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        groups[question.group].append(question)
    chosen: list[Question] = []
    for members in groups.values():
        step = max(1.0, len(members) / at_most)
        chosen += [members[int(n * step)] for n in range(min(at_most, len(members)))]
    return chosen
