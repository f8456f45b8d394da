"""A chat model as the judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, SecretStr

from continuum.config import Settings
from continuum.judging.criteria import PROMPT_VERSION
from continuum.judging.injection import cleaned
from continuum.judging.judge import Capability, Judge, Judgement, judgement_of, version_of
from continuum.judging.prompt import REPAIR, CriterionScore, answer_form, judge_messages
from continuum.models.budget import Budget
from continuum.models.chat import Completion
from continuum.policy import TaskPolicy
from continuum.records import Message
from continuum.rubric import Criterion

if TYPE_CHECKING:
    from continuum.models.endpoint import EndpointModel

TOKENS_PER_CRITERION = 256
TOKENS_AROUND = 256
"""The cap on a judge's answer: a reason of forty words takes some sixty tokens, the rest is room for a model that thinks."""
REASON_CHARACTERS = 600


@dataclass(frozen=True)
class Question:
    """What a model is asked about one answer; the same in a live call and in a batch."""

    messages: tuple[Message, ...]
    criteria: tuple[Criterion, ...]
    """In the order of the prompt."""
    schema: type[BaseModel]
    max_tokens: int


def question_of(conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion]) -> Question:
    """The question that asks for the scores of one answer."""
    messages, ordered = judge_messages(conversation, response, criteria)
    return Question(messages, ordered, answer_form(ordered), TOKENS_PER_CRITERION * len(ordered) + TOKENS_AROUND)


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

    @property
    def version(self) -> str:
        """Changes with the model, its endpoint and the prompt."""
        return version_of("model", self.model.name, self.model.base_url, PROMPT_VERSION)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that a judge can do but to say how sure it is."""
        return frozenset({"criteria", "reasons", "safety", "approval"})

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
        question, budget = question_of(conversation, response, criteria), budget or self._budget
        cap, schema = question.max_tokens, question.schema
        completion = await self.model.complete(question.messages, max_tokens=cap, schema=schema, budget=budget)
        cost = completion.cost_usd or 0.0
        if completion.parsed is None:
            said = Message(role="assistant", content=completion.message.text)
            again = (*question.messages, said, Message(role="user", content=REPAIR))
            completion = await self.model.complete(again, max_tokens=cap, schema=schema, budget=budget)
            cost += completion.cost_usd or 0.0
        if completion.parsed is None:
            return Judgement("unparseable", cost_usd=cost)
        return judgement_from(completion, question, conversation, response, criteria, cost)


def judgement_from(
    completion: Completion,
    question: Question,
    conversation: Sequence[Message],
    response: Message,
    criteria: Sequence[Criterion],
    cost_usd: float,
) -> Judgement:
    """The judgement that a model's readable answer to the question makes."""
    assert completion.parsed is not None, "the answer cannot be read"  # noqa: S101 - the caller has looked
    answers = _by_criterion(completion.parsed, question.criteria)
    scores = {name: float(answer.score) for name, answer in answers.items()}
    reasons = {name: cleaned(answer.reason)[:REASON_CHARACTERS] for name, answer in answers.items()}
    return judgement_of(conversation, response, criteria, scores, reasons, cost_usd)


def judge_for_task(policy: TaskPolicy, settings: Settings) -> Judge | None:
    """The judge that the task's policy names, else the one of the environment; None when there is neither.

    Raises:
        ConfigurationError: a judge is named and there is neither an endpoint nor a key for it.
    """
    model = policy.judge.model or settings.judge_model
    return EndpointJudge(model, policy.judge.base_url or settings.judge_base_url, settings.judge_api_key) if model else None


def _by_criterion(parsed: BaseModel, criteria: Sequence[Criterion]) -> dict[str, CriterionScore]:
    # Fields are numbered in the order of the criteria, see answer_form.
    return {criterion.name: getattr(parsed, f"criterion_{n}") for n, criterion in enumerate(criteria)}
