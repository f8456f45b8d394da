"""One judgement: who can give one, and what it says.

A judge reads a conversation and an answer and scores the answer by each criterion. The weighted sum is computed here; a judge
that gives no readable scores, even when asked again, gives none at all.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from continuum.config import Settings
from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.criteria import overall, rubric_fingerprint
from continuum.judging.prompt import REPAIR, CriterionScore, answer_form, cleaned, judge_messages, suspicious
from continuum.models.budget import Budget
from continuum.policy import Criterion, TaskPolicy
from continuum.records import Message

if TYPE_CHECKING:
    from continuum.models.endpoint import EndpointModel

TOKENS_PER_CRITERION = 256
TOKENS_AROUND = 256
"""The cap on a judge's answer: a reason of forty words takes some sixty tokens, the rest is room for a model that thinks."""
REASON_CHARACTERS = 600


@dataclass(frozen=True)
class Judgement:
    """What a judge says of one answer."""

    status: Literal["ok", "unparseable", "suspected_injection"] = "ok"
    """`suspected_injection`: something in the content talks to the judge; its scores are kept and count for nothing."""
    scores: dict[str, float] = field(default_factory=dict)
    """Criterion name to a score from 1 to 5; empty when the judge gave none that could be read."""
    reasons: dict[str, str] = field(default_factory=dict)
    overall: float | None = None
    """The weighted mean of the scores; None unless the status is ok."""
    cost_usd: float = 0.0
    """What the calls cost; 0 where the price is not known."""


class Judge(Protocol):
    """Anyone who scores answers. One that is also an async context manager is held open over a batch."""

    name: str

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


class EndpointJudge:
    """A model at an OpenAI-compatible endpoint as the judge; one call an answer, a second one where the first cannot be read.

    Args:
        model: the model's name, or the model.
        base_url: its endpoint; None for OpenAI's own.
        api_key: the endpoint's key.
        budget: what pays for judgements that bring no budget of their own.
    """

    def __init__(
        self,
        model: "str | EndpointModel",
        base_url: str | None = None,
        api_key: SecretStr | None = None,
        budget: Budget | None = None,
    ) -> None:
        from continuum.models.endpoint import EndpointModel  # openai starts here

        self.model = EndpointModel(model, base_url=base_url, api_key=api_key) if isinstance(model, str) else model
        self.name = self.model.name
        self._budget = budget

    async def __aenter__(self) -> Self:
        await self.model.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.model.__aexit__(*error)

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """Score the answer to the conversation by each criterion."""
        messages, ordered = judge_messages(conversation, response, criteria)
        budget, cap = budget or self._budget, TOKENS_PER_CRITERION * len(ordered) + TOKENS_AROUND
        schema = answer_form(ordered)
        completion = await self.model.complete(messages, max_tokens=cap, schema=schema, budget=budget)
        cost = completion.cost_usd or 0.0
        if completion.parsed is None:
            said = Message(role="assistant", content=completion.message.text)
            again = (*messages, said, Message(role="user", content=REPAIR))
            completion = await self.model.complete(again, max_tokens=cap, schema=schema, budget=budget)
            cost += completion.cost_usd or 0.0
        if completion.parsed is None:
            return Judgement("unparseable", cost_usd=cost)
        answers = _by_criterion(completion.parsed, ordered)
        scores = {name: float(answer.score) for name, answer in answers.items()}
        reasons = {name: cleaned(answer.reason)[:REASON_CHARACTERS] for name, answer in answers.items()}
        return judgement_of(conversation, response, criteria, scores, reasons, cost)


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


class RecordedJudge:
    """Judgements from a file, one a line; what is not in it is asked of another judge, if there is one, and added.

    Args:
        path: the JSON lines file; it need not exist yet.
        judge: whom to ask for what is not recorded; None to replay only.
    """

    def __init__(self, path: Path | str, judge: Judge | None = None) -> None:
        self._path = Path(path)
        self._judge = judge
        self._recorded: dict[str, Judgement] = {}
        self._open: list[AsyncExitStack] = []
        self.name = judge.name if judge else "recorded"
        for number, line in enumerate(self._path.read_text("utf-8").splitlines() if self._path.exists() else (), start=1):
            try:
                row = RECORDED.validate_json(line)
            except ValidationError as error:
                raise ConfigurationError(f"line {number} of {self._path} is no recorded judgement; take it out") from error
            self._recorded[row.key] = row.judgement
            self.name = judge.name if judge else row.judge

    async def __aenter__(self) -> Self:
        stack = AsyncExitStack()
        await stack.enter_async_context(held_open(self._judge))
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
        """The recorded judgement, at no cost, or else a new one."""
        key = content_key(conversation, response, criteria)
        if key in self._recorded:
            return self._recorded[key]
        if self._judge is None:
            raise JudgeError(f"{self._path} holds no judgement of this answer by this rubric, and there is no judge to ask")
        judgement = await self._judge.judge(conversation, response, criteria, budget=budget)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        free = Judgement(judgement.status, judgement.scores, judgement.reasons, judgement.overall)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "judge": self.name, "judgement": asdict(free)}) + "\n")
        self._recorded[key] = free
        return judgement


@dataclass(frozen=True)
class RecordedLine:
    """One line of a file of recorded judgements."""

    key: str
    judge: str
    judgement: Judgement


RECORDED = TypeAdapter(RecordedLine)


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


def judge_for_task(policy: TaskPolicy, settings: Settings) -> Judge | None:
    """The judge that the task's policy names, else the one of the environment; None when there is neither.

    Raises:
        ConfigurationError: a judge is named and there is neither an endpoint nor a key for it.
    """
    model = policy.judge.model or settings.judge_model
    return EndpointJudge(model, policy.judge.base_url or settings.judge_base_url, settings.judge_api_key) if model else None


def held_open(judge: Judge | None) -> AbstractAsyncContextManager[object]:
    """The judge with its connections kept open over the block, where it has any."""
    return judge if isinstance(judge, AbstractAsyncContextManager) else nullcontext()


def content_key(conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion]) -> str:
    """A hash of all that a judgement depends on besides the judge."""
    content = [message.model_dump(mode="json", exclude_none=True) for message in (*conversation, response)]
    return hashlib.sha256(json.dumps([rubric_fingerprint(criteria), content], sort_keys=True).encode()).hexdigest()


def _by_criterion(parsed: BaseModel, criteria: Sequence[Criterion]) -> dict[str, CriterionScore]:
    # Fields are numbered in the order of the criteria, see answer_form.
    return {criterion.name: getattr(parsed, f"criterion_{n}") for n, criterion in enumerate(criteria)}
