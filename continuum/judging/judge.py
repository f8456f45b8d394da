"""One judgement: who can give one, and what it says.

A judge reads a conversation and an answer and scores the answer by each criterion. The weighted sum is computed here; a judge
that gives no readable scores, even when asked again, gives none at all.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

from continuum.errors import JudgeError
from continuum.judging.criteria import overall, rubric_fingerprint
from continuum.judging.injection import degenerate, suspicious
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion

Capability = Literal["criteria", "reasons", "uncertainty", "pairwise", "safety", "approval"]
"""What a judge can do: score each criterion and not only the whole; say why; say how sure it is; compare two answers; be asked
about safety; decide over a deployment alone."""

NOT_ASKED = "not asked: "
"""Begins the reasons of a score that was given without a call."""


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
    escalated: bool = False
    """A cheap judge was not sure, so a dear one decided."""
    votes: dict[str, dict[str, float]] = field(default_factory=dict)
    """What each judge of a jury said, by its name: its scores, and under `overall` their weighted mean."""


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
    """`tie` as well where the two orders disagree, and where something in the content talks to the judge."""
    consistent: bool
    """Whether both orders said the same."""
    reasons: tuple[str, ...] = ()
    cost_usd: float = 0.0
    status: Literal["ok", "suspected_injection"] = "ok"
    """`suspected_injection`: something in the content talks to the judge; nobody was asked, and the tie counts for nothing."""


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
    *,
    std: float | None = None,
    served_by: str | None = None,
) -> Judgement:
    """The judgement that these scores make; content that talks to the judge takes its overall score away.

    Args:
        conversation: what was answered.
        response: the answer.
        criteria: what was asked for.
        scores: by criterion; those that do not apply are left out.
        reasons: by criterion.
        cost_usd: what the calls cost.
        std: how unsure the judge is of the overall score.
        served_by: the model that answered.

    Raises:
        JudgeError: a score does not lie between 1 and 5.
    """
    given = checked(scores)
    if suspicious(conversation, response):
        return Judgement("suspected_injection", given, dict(reasons), None, cost_usd, std, served_by)
    if not given:
        return Judgement("not_applicable", {}, dict(reasons), None, cost_usd, None, served_by)
    return Judgement("ok", given, dict(reasons), overall(given, criteria), cost_usd, std, served_by)


def floor_of(conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion]) -> Judgement | None:
    """The lowest score by each criterion where there is nothing in the answer that could be judged; None where there is.

    A judge who is asked about an opener, or about nothing, sometimes praises what it expects to follow; so nobody is asked.
    """
    why = degenerate(response, conversation)
    if why is None:
        return None
    lowest, reasons = {c.name: 1.0 for c in criteria}, {c.name: f"{NOT_ASKED}{why}" for c in criteria}
    return replace(judgement_of(conversation, response, criteria, lowest, reasons, 0.0), floored=True)


def checked(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores, each of which is on the scale.

    Raises:
        JudgeError: one is not.
    """
    for name, score in scores.items():
        if not (math.isfinite(score) and 1 <= score <= 5):
            raise JudgeError(f"a judge scored {name!r} {score}; scores run from 1 to 5")
    return dict(scores)


@runtime_checkable
class PaidJudge(Protocol):
    """A judge some model of which costs money."""

    def must_be_priced(self) -> None:
        """Refuse a budget that could not be kept.

        Raises:
            ConfigurationError: no price is known for a model that it would ask.
        """
        ...


def must_be_priced(judge: Judge) -> None:
    """Refuse a budget for a judge some model of which has no price; before its first request, not after some of them.

    Raises:
        ConfigurationError: no price is known for a model that it would ask.
    """
    if isinstance(judge, PaidJudge):
        judge.must_be_priced()


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
