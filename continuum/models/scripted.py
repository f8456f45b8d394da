"""A model that answers from a function: for tests, and for trying a pipeline without any model."""

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ValidationError

from continuum.models.chat import Completion, Usage
from continuum.records import Message


class ScriptedModel:
    """Answers each conversation with what `answer` says to it.

    Args:
        name: the model's name.
        answer: from the conversation to the answer, a message or its words.
    """

    def __init__(self, name: str, answer: Callable[[Sequence[Message]], Message | str]) -> None:
        self.name = name
        self._answer = answer

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        schema: type[BaseModel] | None = None,
    ) -> Completion:
        """The scripted answer, at no cost; its tokens are its words."""
        answer = self._answer(messages)
        message = Message(role="assistant", content=answer) if isinstance(answer, str) else answer
        usage = Usage(sum(len(m.text.split()) for m in messages), len(message.text.split()))
        return Completion(message, self.name, usage, cost_usd=0.0, parsed=parse_as(schema, message.text))


def parse_as(schema: type[BaseModel] | None, text: str) -> BaseModel | None:
    """The text as an instance of the schema; None where it does not fit, or no schema was asked for.

    A model that was only told the form in words often puts its JSON in a fenced block, so a fence is taken off.
    """
    if schema is None:
        return None
    bare = text.strip()
    if bare.startswith("```"):
        bare = bare.split("\n", 1)[-1].rsplit("```", 1)[0]
    try:
        return schema.model_validate_json(bare)
    except ValidationError:
        return None
