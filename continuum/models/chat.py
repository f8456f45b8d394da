"""What talking to a chat model looks like, whoever answers: an endpoint, local weights or a script."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from continuum.records import Message


@dataclass(frozen=True)
class Usage:
    """Tokens of one call, as the model counted them."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    """Of the input tokens, those that the provider had in its cache, which cost less."""


@dataclass(frozen=True)
class Completion:
    """One answer of a model and what it took."""

    message: Message
    model: str
    """The model that answered, by its own account."""
    usage: Usage | None
    response_id: str | None = None
    cost_usd: float | None = None
    """None where no price is known."""
    latency_ms: float | None = None
    parsed: BaseModel | None = None
    """The answer in the schema that was asked for; None when it does not fit the schema, was cut off, or was refused."""
    served_by: str | None = None
    """The model by its own account, with the provider's fingerprint of what it runs on; None where nobody says."""
    served_by: str | None = None
    """The model that answered with the provider's fingerprint of it, as far as the provider says; it changes with the weights."""


class ChatModel(Protocol):
    """Anything that answers a conversation."""

    name: str

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        schema: type[BaseModel] | None = None,
    ) -> Completion:
        """Answer the conversation; in the JSON form of `schema` where one is given."""
        ...
