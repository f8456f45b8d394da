"""Several judges as one: the mean of their scores."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import fmean
from typing import Self

from continuum.errors import ConfigurationError
from continuum.judging.criteria import overall
from continuum.judging.judge import Capability, Judge, Judgement, held_open, version_of
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion


class Jury:
    """Judges who are all asked; a judge whose answer cannot be read is left out of the mean.

    Args:
        judges: at least two, best of different model families: models favour answers of their own kind.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        if len(judges) < 2 or len({judge.name for judge in judges}) < len(judges):
            raise ConfigurationError(f"a jury needs two or more different judges, found {[judge.name for judge in judges]}")
        self.judges = tuple(judges)
        self._open: list[AsyncExitStack] = []
        self.name = "jury(" + ",".join(sorted(judge.name for judge in judges)) + ")"

    @property
    def version(self) -> str:
        """Changes with each of the judges."""
        return version_of("jury", sorted(judge.version for judge in self.judges))

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What all of them can do."""
        return frozenset.intersection(*(judge.capabilities for judge in self.judges))

    async def __aenter__(self) -> Self:
        stack = AsyncExitStack()
        for judge in self.judges:
            await stack.enter_async_context(held_open(judge))
        self._open.append(stack)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.pop().aclose()

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """The mean score of the judges by each criterion; suspected as soon as one of them suspects."""
        asked = [judge.judge(conversation, response, criteria, budget=budget) for judge in self.judges]
        given = await asyncio.gather(*asked, return_exceptions=True)
        failed = [judgement for judgement in given if isinstance(judgement, BaseException)]
        if failed:
            raise failed[0]
        judgements = [judgement for judgement in given if isinstance(judgement, Judgement)]
        cost = sum(judgement.cost_usd for judgement in judgements)
        read = [judgement for judgement in judgements if judgement.scores]
        if not read:
            return Judgement("unparseable", cost_usd=cost)
        scores = {c.name: fmean(judgement.scores[c.name] for judgement in read) for c in criteria}
        reasons = {c.name: " | ".join(filter(None, (j.reasons.get(c.name) for j in read))) for c in criteria}
        if any(judgement.status == "suspected_injection" for judgement in read):
            return Judgement("suspected_injection", scores, reasons, None, cost)
        return Judgement("ok", scores, reasons, overall(scores, criteria), cost)
