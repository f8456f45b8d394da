"""A chat model as the judge."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

from pydantic import BaseModel, SecretStr

from continuum.config import Settings
from continuum.errors import JudgeError
from continuum.judging.criteria import PROMPT_VERSION
from continuum.judging.injection import cleaned, has_content, suspicious
from continuum.judging.judge import Capability, Judge, Judgement, Preference, floor_of, judgement_of, version_of
from continuum.judging.jury import Jury
from continuum.judging.prompt import (
    REPAIR,
    REPAIR_OF_TWO,
    Comparison,
    CriterionScore,
    answer_form,
    comparison_messages,
    judge_messages,
)
from continuum.models.budget import Budget
from continuum.models.chat import ChatModel, Completion
from continuum.policy import TaskPolicy
from continuum.records import Message
from continuum.rubric import Criterion

if TYPE_CHECKING:
    from continuum.models.endpoint import EndpointModel

TOKENS_PER_CRITERION = 256
TOKENS_AROUND = 256
"""The cap on a judge's answer: a reason of forty words takes some sixty tokens, the rest is room for a model that thinks."""
MORE_ROOM = 4
"""A judge that filled its cap gets this many times as much when it is asked again: the same room would be too small again."""
REASON_CHARACTERS = 600

Better = Literal["a", "b", "tie"]
PREFERRED: dict[Better, Literal["first", "second", "tie"]] = {"a": "first", "b": "second", "tie": "tie"}
EXCHANGED: dict[Better, Better] = {"a": "b", "b": "a", "tie": "tie"}

M = TypeVar("M", bound=ChatModel)


@runtime_checkable
class PaidModel(Protocol):
    """A chat model that takes what it costs from a budget."""

    def must_be_priced(self) -> None:
        """Refuse a budget that could not be kept."""
        ...

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        schema: type[BaseModel] | None = None,
        budget: Budget | None = None,
    ) -> Completion:
        """Answer the conversation; every try is reserved in the budget before it is made."""
        ...


@dataclass(frozen=True)
class Asked:
    """What came of asking a model, once or twice."""

    parsed: BaseModel | None
    """Its answer; None where it could not be read."""
    cost_usd: float
    served_by: str | None = None


class ModelJudge(Generic[M]):
    """A chat model as the judge; one call an answer, a second one where the first cannot be read.

    Args:
        model: who is asked. One that takes no budget is taken to be free, like a script or weights on this machine.
        identity: what tells it from another model of its name, such as where its weights are.
        budget: what pays for judgements that bring no budget of their own.
    """

    def __init__(self, model: M, *, identity: str = "", budget: Budget | None = None) -> None:
        self.model = model
        self.name = model.name
        self._paid: PaidModel | None = model if isinstance(model, PaidModel) else None
        self._identity = identity
        self._budget = budget

    @property
    def version(self) -> str:
        """Changes with the model, where it is and the prompt."""
        return version_of("model", self.model.name, self._identity, PROMPT_VERSION)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that a judge can do but to say how sure it is."""
        return frozenset({"criteria", "reasons", "pairwise", "safety", "approval"})

    async def __aenter__(self) -> Self:
        if isinstance(self.model, AbstractAsyncContextManager):
            await self.model.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        if isinstance(self.model, AbstractAsyncContextManager):
            await self.model.__aexit__(None, None, None)

    def must_be_priced(self) -> None:
        """Refuse a budget that could not be kept: no price is known for the model."""
        if self._paid is not None:
            self._paid.must_be_priced()

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """Score the answer to the conversation by each criterion."""
        floor = floor_of(conversation, response, criteria)
        if floor is not None:
            return floor
        messages, ordered = judge_messages(conversation, response, criteria)
        asked = await self._asked(messages, answer_form(ordered), REPAIR, most_tokens(ordered), budget)
        return judgement_read(conversation, response, ordered, asked)

    async def compare(
        self,
        conversation: Sequence[Message],
        first: Message,
        second: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Preference:
        """Say which answer is better: asked twice at once, each answer standing first once; where that changes it, a tie."""
        settled = settled_unasked(conversation, first, second)
        if settled is not None:
            return settled
        cap = TOKENS_PER_CRITERION + TOKENS_AROUND
        orders = [comparison_messages(conversation, *pair, criteria) for pair in ((first, second), (second, first))]
        asking = (self._asked(messages, Comparison, REPAIR_OF_TWO, cap, budget) for messages in orders)
        # Both are waited for even where one fails: what was set aside for the other is settled by what it cost.
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        asked = [outcome for outcome in outcomes if isinstance(outcome, Asked)]
        said = [outcome.parsed for outcome in asked if isinstance(outcome.parsed, Comparison)]
        if len(said) < 2:
            raise JudgeError(f"judge {self.name!r} gave no readable comparison of two answers, even when asked again")
        forward, backward = PREFERRED[said[0].better], PREFERRED[EXCHANGED[said[1].better]]
        reasons = tuple(cleaned(comparison.reason)[:REASON_CHARACTERS] for comparison in said)
        cost = sum(outcome.cost_usd for outcome in asked)
        return Preference(forward if forward == backward else "tie", forward == backward, reasons, cost)

    async def _asked(
        self, messages: Sequence[Message], schema: type[BaseModel], repair: str, cap: int, budget: Budget | None
    ) -> Asked:
        completion = await self._complete(messages, schema, cap, budget)
        cost = completion.cost_usd or 0.0
        if completion.parsed is None:
            filled = completion.usage is not None and completion.usage.output_tokens >= cap
            # Some endpoints refuse a turn without words, which is what a refusal or an answer that was filtered leaves.
            said = Message(role="assistant", content=completion.message.text or "(no answer)")
            again = (*messages, said, Message(role="user", content=repair))
            completion = await self._complete(again, schema, cap * MORE_ROOM if filled else cap, budget)
            cost += completion.cost_usd or 0.0
        return Asked(completion.parsed, cost, completion.served_by)

    async def _complete(
        self, messages: Sequence[Message], schema: type[BaseModel], cap: int, budget: Budget | None
    ) -> Completion:
        if self._paid is not None:
            return await self._paid.complete(messages, max_tokens=cap, schema=schema, budget=budget or self._budget)
        return await self.model.complete(messages, max_tokens=cap, schema=schema)


class EndpointJudge(ModelJudge["EndpointModel"]):
    """A model at an OpenAI-compatible endpoint as the judge.

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

        chosen = EndpointModel(model, base_url=base_url, api_key=api_key) if isinstance(model, str) else model
        super().__init__(chosen, identity=chosen.base_url, budget=budget)


def judge_for_task(policy: TaskPolicy, settings: Settings) -> Judge | None:
    """The judge or the jury that the task's policy names, else the judge of the environment; None when there is neither.

    Raises:
        ConfigurationError: a judge is named and there is neither an endpoint nor a key for it.
    """
    model = policy.judge.model or settings.judge_model
    if not model:
        return None
    base_url = policy.judge.base_url or settings.judge_base_url
    judges = [EndpointJudge(name, base_url, settings.judge_api_key) for name in (model, *policy.judge.jury)]
    return judges[0] if len(judges) == 1 else Jury(judges)


def settled_unasked(conversation: Sequence[Message], first: Message, second: Message) -> Preference | None:
    """The preference where no judge needs to be asked, or none may be; None where one is to be asked."""
    if suspicious(conversation, first) or suspicious(conversation, second):
        why = "something in the content talks to the judge, so nobody was asked"
        return Preference("tie", False, (why,), status="suspected_injection")
    something = has_content(first, conversation), has_content(second, conversation)
    if something == (True, False):
        return Preference("first", True, ("there is nothing in the second answer that could be judged",))
    if something == (False, True):
        return Preference("second", True, ("there is nothing in the first answer that could be judged",))
    if something == (False, False) or first.action == second.action:
        return Preference("tie", True, ("the answers do not differ in anything that could be judged",))
    return None


def most_tokens(criteria: Sequence[Criterion]) -> int:
    """The cap on a judge's answer by these criteria."""
    return TOKENS_PER_CRITERION * len(criteria) + TOKENS_AROUND


def judgement_read(conversation: Sequence[Message], response: Message, ordered: Sequence[Criterion], asked: Asked) -> Judgement:
    """The judgement that a model's answer makes.

    Args:
        conversation: what was answered.
        response: the answer that was judged.
        ordered: the criteria in the order in which they were asked for.
        asked: what the model said.
    """
    if asked.parsed is None:
        return Judgement("unparseable", cost_usd=asked.cost_usd, served_by=asked.served_by)
    # Fields are numbered in the order of the criteria, see answer_form.
    answers: dict[str, CriterionScore] = {c.name: getattr(asked.parsed, f"criterion_{n}") for n, c in enumerate(ordered)}
    scores = {name: float(answer.score) for name, answer in answers.items() if answer.score is not None}
    reasons = {name: cleaned(answer.reason)[:REASON_CHARACTERS] for name, answer in answers.items()}
    return judgement_of(conversation, response, ordered, scores, reasons, asked.cost_usd, served_by=asked.served_by)
