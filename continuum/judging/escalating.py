"""A cheap judge first, a dear one where the cheap one is not sure."""

import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Self

from continuum.errors import ConfigurationError
from continuum.judging.judge import Capability, Judge, Judgement, PairwiseJudge, Preference, held_open, must_be_priced, version_of
from continuum.judging.jury import can_be_asked
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion

MARGIN = 0.5


class EscalatingJudge:
    """A cheap judge is asked about each answer, and a dear one besides where the cheap one's word does not settle it.

    The dear one decides where the cheap one gave nothing readable or found nothing that applies, is less sure than
    `unsure_above`, or scores so near a threshold that its error could change which side the answer falls on; and where the
    rubric holds safety and only the dear one can be asked about it. Suspected injection is final: that the content talks to a
    judge is seen in the content, and the next judge would only read it too. An error is no doubt: a cheap judge that cannot be
    asked fails the judgement, or its outage would be paid for at the dear one's price.

    Args:
        cheap: who is asked first.
        dear: who is asked where that does not settle it.
        unsure_above: the standard deviation of the overall score above which the cheap judge counts as unsure, as it does where
            it says none; None leaves it out of account.
        near: the overall score that decides over something, such as the quality that curation asks for; None for none.
        margin: how near to it is near.

    Raises:
        ConfigurationError: nothing could ever make the cheap judge unsure, a number makes no sense, or both are one judge.
    """

    def __init__(
        self,
        cheap: Judge,
        dear: Judge,
        *,
        unsure_above: float | None = None,
        near: float | None = None,
        margin: float = MARGIN,
    ) -> None:
        if cheap.name == dear.name:
            raise ConfigurationError(f"both judges are {cheap.name!r}; escalate to another judge")
        if unsure_above is None and near is None:
            raise ConfigurationError("give unsure_above or near, or there is no doubt that the dear judge could settle")
        if unsure_above is not None and "uncertainty" not in cheap.capabilities:
            raise ConfigurationError(
                f"judge {cheap.name!r} does not say how sure it is, so unsure_above means nothing; give near instead"
            )
        numbers = {"unsure_above": unsure_above, "margin": margin, "near": near}
        if unfit := [(name, n) for name, n in numbers.items() if n is not None and not (math.isfinite(n) and n >= 0)]:
            raise ConfigurationError(f"{unfit[0][0]} is {unfit[0][1]}; it must be zero or more, on the scale of the scores")
        self.cheap = cheap
        self.dear = dear
        self.unsure_above = unsure_above
        self.near = near
        self.margin = margin
        self.judged = 0
        """Answers judged so far."""
        self.escalated = 0
        """Those of them that the dear judge decided."""
        self._open: list[AsyncExitStack] = []
        self.name = f"escalating({cheap.name},{dear.name})"

    @property
    def version(self) -> str:
        """Changes with either judge, and with what makes the cheap one unsure."""
        return version_of("escalating", self.cheap.version, self.dear.version, self.unsure_above, self.near, self.margin)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What both can do, since either may decide alone; two answers are always compared by the dear one."""
        both = self.cheap.capabilities & self.dear.capabilities - {"pairwise"}
        # Where only the dear one can be asked about safety, it is the one who is asked.
        return both | (self.dear.capabilities & {"pairwise", "safety"})

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(held_open(self.cheap))
            await stack.enter_async_context(held_open(self.dear))
            self._open.append(stack.pop_all())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.pop().aclose()

    def must_be_priced(self) -> None:
        """Refuse a budget that could not be kept.

        Raises:
            ConfigurationError: no price is known for one of the judges.
        """
        for judge in (self.cheap, self.dear):
            must_be_priced(judge)

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """What the cheap judge says, or where that settles nothing the dear one; the costs of both are added."""
        cost = 0.0
        if all(can_be_asked(self.cheap, criterion) for criterion in criteria):
            first = await self.cheap.judge(conversation, response, criteria, budget=budget)
            if not self.in_doubt(first):
                self.judged += 1
                return first
            cost = first.cost_usd
        second = await self.dear.judge(conversation, response, criteria, budget=budget)
        self.judged += 1
        self.escalated += 1
        return replace(second, cost_usd=cost + second.cost_usd, escalated=True, cached=second.cached and cost == 0)

    async def compare(
        self,
        conversation: Sequence[Message],
        first: Message,
        second: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Preference:
        """Which answer the dear judge prefers."""
        if "pairwise" not in self.dear.capabilities or not isinstance(self.dear, PairwiseJudge):
            raise ConfigurationError(f"judge {self.dear.name!r} cannot compare two answers; escalate to one who can")
        return await self.dear.compare(conversation, first, second, criteria, budget=budget)

    def in_doubt(self, judgement: Judgement) -> bool:
        """Whether a judgement of the cheap judge leaves it to the dear one."""
        if judgement.status == "suspected_injection" or judgement.floored:
            return False
        if judgement.overall is None:
            return True
        unsure = self.unsure_above is not None and (judgement.std is None or judgement.std > self.unsure_above)
        return unsure or (self.near is not None and abs(judgement.overall - self.near) <= self.margin)
