"""One judgement: who can give one, and what it says.

A judge reads a conversation and an answer and scores the answer by each criterion. The weighted sum is computed here; a judge
that gives no readable scores, even when asked again, gives none at all.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from continuum.judging.criteria import overall, rubric_fingerprint
from continuum.judging.injection import suspicious
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion

Capability = Literal["criteria", "reasons", "uncertainty", "pairwise", "safety", "approval"]
"""What a judge can do: score each criterion and not only the whole; say why; say how sure it is; compare two answers; be asked
about safety; decide over a deployment alone."""


@dataclass(frozen=True)
class Judgement:
    """What a judge says of one answer."""

    status: Literal["ok", "unparseable", "suspected_injection", "not_applicable"] = "ok"
    """`suspected_injection`: something in the content talks to the judge; its scores are kept and count for nothing.
    `not_applicable`: not one criterion applies to the answer."""
    scores: dict[str, float] = field(default_factory=dict)
    """Criterion name to a score from 1 to 5; empty when the judge gave none that could be read, without the criteria that do
    not apply."""
    reasons: dict[str, str] = field(default_factory=dict)
    overall: float | None = None
    """The weighted mean of the scores that there are; None unless the status is ok."""
    cost_usd: float = 0.0
    """What the calls cost; 0 where the price is not known."""
    std: float | None = None
    """Standard deviation of `overall`, on the scale of the scores; None where the judge does not know it."""
    served_by: str | None = None
    """The model that answered, by its own account, with the provider's fingerprint of it; a change of it is a change of judge."""
    cached: bool = False
    """It was given before, and cost nothing this time."""
    floored: bool = False
    """The lowest score without a call: there is nothing in the answer that could be judged."""


class Judge(Protocol):
    """Anyone who scores answers. One that is also an async context manager is held open over a batch."""

    @property
    def name(self) -> str:
        """What the judge is called wherever its scores show."""
        ...

    @property
    def version(self) -> str:
        """Sixteen hex digits that change with whatever changes its scores: model, endpoint, prompt, sampling, weights."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do; who needs more refuses it."""
        ...

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """Score the answer to the conversation by each criterion; what it costs is taken from the budget.

        Raises:
            BudgetExhausted: the budget does not cover the judgement.
            JudgeError: the judge could not be asked.
        """
        ...


@dataclass(frozen=True)
class Preference:
    """Which of two answers is better, asked in both orders."""

    preferred: Literal["first", "second", "tie"]
    """`tie` as well where the two orders disagree."""
    consistent: bool
    """Whether both orders said the same."""
    reasons: tuple[str, ...] = ()
    cost_usd: float = 0.0


@runtime_checkable
class PairwiseJudge(Protocol):
    """A judge with the capability `pairwise`."""

    async def compare(
        self,
        conversation: Sequence[Message],
        first: Message,
        second: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Preference:
        """Say which answer is better, each standing first once.

        Raises:
            BudgetExhausted: the budget does not cover both calls.
            JudgeError: the judge could not be asked, or gave nothing readable.
        """
        ...


def judgement_of(
    conversation: Sequence[Message],
    response: Message,
    criteria: Sequence[Criterion],
    scores: Mapping[str, float],
    reasons: Mapping[str, str],
    cost_usd: float,
) -> Judgement:
    """The judgement that these scores make; content that talks to the judge takes its overall score away."""
    if suspicious(conversation, response):
        return Judgement("suspected_injection", dict(scores), dict(reasons), None, cost_usd)
    return Judgement("ok", dict(scores), dict(reasons), overall(scores, criteria), cost_usd)


def held_open(judge: Judge | None) -> AbstractAsyncContextManager[object]:
    """The judge with its connections kept open over the block, where it has any."""
    return judge if isinstance(judge, AbstractAsyncContextManager) else nullcontext()


def content_key(conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion]) -> str:
    """A hash of all that a judgement depends on besides the judge."""
    content = [message.model_dump(mode="json", exclude_none=True) for message in (*conversation, response)]
    return hashlib.sha256(json.dumps([rubric_fingerprint(criteria), content], sort_keys=True).encode()).hexdigest()


def version_of(*parts: object) -> str:
    """Sixteen hex digits of whatever makes a judge what it is."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
