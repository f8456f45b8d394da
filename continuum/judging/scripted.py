"""A judge that scores by a function."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from continuum.errors import JudgeError
from continuum.judging.judge import Capability, Judgement, Preference, judgement_of, version_of
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion

ALIKE = 1e-9
"""Scores that lie closer than this are equal but for rounding."""


class ScriptedJudge:
    """A judge that scores by a function: for tests, and where a rule says what is good.

    Args:
        name: the judge's name.
        score: from the conversation, the answer and a criterion to a score from 1 to 5, or None where it does not apply.
        cost_usd: what one judgement is to cost, taken from the budget.
        std: how unsure it is to say it is, of every answer.
    """

    def __init__(
        self,
        name: str,
        score: Callable[[Sequence[Message], Message, Criterion], float | None],
        *,
        cost_usd: float = 0.0,
        std: float | None = None,
    ) -> None:
        self.name = name
        self._score = score
        self._cost_usd = cost_usd
        self._std = std

    @property
    def version(self) -> str:
        """Changes with the name; a function has no other sign."""
        return version_of("scripted", self.name)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its function stands for is the caller's word."""
        able: set[Capability] = {"criteria", "pairwise", "safety", "approval"}
        if self._std is not None:
            able.add("uncertainty")
        return frozenset(able)

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """Score the answer by the function."""
        async with budget.reserve(self._cost_usd) if budget else nullcontext() as reservation:
            given = {criterion.name: self._score(conversation, response, criterion) for criterion in criteria}
            if reservation:
                reservation.settle(self._cost_usd)
        scores = {name: float(score) for name, score in given.items() if score is not None}
        try:
            return judgement_of(conversation, response, criteria, scores, {}, self._cost_usd, std=self._std)
        except JudgeError as error:
            raise JudgeError(f"judge {self.name!r}: {error}") from error

    async def compare(
        self,
        conversation: Sequence[Message],
        first: Message,
        second: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Preference:
        """The answer with the higher overall score; a rule does not mind which stands first."""
        judgements = [await self.judge(conversation, answer, criteria, budget=budget) for answer in (first, second)]
        cost = sum(judgement.cost_usd for judgement in judgements)
        if any(judgement.status == "suspected_injection" for judgement in judgements):
            why = "something in the content talks to the judge"
            return Preference("tie", False, (why,), cost, "suspected_injection")
        a, b = (judgement.overall for judgement in judgements)
        if a is None or b is None or abs(a - b) < ALIKE:
            return Preference("tie", True, (), cost)
        return Preference("first" if a > b else "second", True, (), cost)
