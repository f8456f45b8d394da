"""A judge that scores by a function."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from continuum.errors import JudgeError
from continuum.judging.judge import Capability, Judgement, judgement_of, version_of
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion


class ScriptedJudge:
    """A judge that scores by a function: for tests, and where a rule says what is good.

    Args:
        name: the judge's name.
        score: from the conversation, the answer and a criterion to a score from 1 to 5.
        cost_usd: what one judgement is to cost, taken from the budget.
    """

    def __init__(
        self, name: str, score: Callable[[Sequence[Message], Message, Criterion], float], *, cost_usd: float = 0.0
    ) -> None:
        self.name = name
        self._score = score
        self._cost_usd = cost_usd

    @property
    def version(self) -> str:
        """Changes with the name; a function has no other sign."""
        return version_of("scripted", self.name)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its function stands for is the caller's word."""
        return frozenset({"criteria", "safety", "approval"})

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
            scores = {criterion.name: float(self._score(conversation, response, criterion)) for criterion in criteria}
            if reservation:
                reservation.settle(self._cost_usd)
        if unfit := [name for name, score in scores.items() if not 1 <= score <= 5]:
            raise JudgeError(f"judge {self.name!r} scored {unfit[0]} {scores[unfit[0]]}; scores run from 1 to 5")
        return judgement_of(conversation, response, criteria, scores, {}, self._cost_usd)
