"""The forms of OpenAI's API in which a model is asked, each with what the gateway has to know of it.

| path | answered by | captured as |
|---|---|---|
| `/v1/chat/completions` | the arms of the task | its messages |
| `/v1/completions` | the arms of the task | its prompt, as a user's message, where it is one text |
| `/v1/responses` | the arms of the task, or production where only that knows what it goes on from | the chat it stands for |
| `/v1/embeddings` | production | nothing |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from continuum.deployment.gateway.answers import (
    Answer,
    Events,
    StreamedAnswer,
    StreamedResponseAnswer,
    chat_answer,
    completion_answer,
    response_answer,
)
from continuum.deployment.routing import chat_opening, first_question
from continuum.spool.cleaning import Snapshot
from continuum.spool.responses import messages_of_response

Body = Mapping[str, Any]

PLAIN_MESSAGE = ({"role", "content"}, {"role", "content", "name"})
PLAIN_BYTES = 500_000
"""A request up to this size needs no cutting, whatever it holds."""
KEPT_AT_PRODUCTION = ("previous_response_id", "conversation", "prompt", "background")
"""Fields with which a response goes on from what its provider keeps, or is kept there."""
OWN_TOOLS = ("function", "custom")
"""Tools that the application runs; the others are the provider's."""


@dataclass(frozen=True)
class Form:
    """One way of asking a model."""

    path: str
    """Below the base URL."""
    wants: Callable[[Body], str | None]
    """What a body lacks to be of this form; None for nothing."""
    opening: Callable[[Body], Any]
    """What a conversation began with, as far as it is sent again with each turn."""
    messages: Callable[[Body, int, Snapshot], Any]
    """The request as chat messages, given its size in bytes; None where it is no interaction."""
    answer: Callable[[Body], Answer]
    streamed: Callable[[], Events]
    may_be_tuned: Callable[[Body], bool] = lambda body: True
    """Whether a model of ours can answer it."""


def chat_wants(body: Body) -> str | None:
    """A chat completion has messages."""
    if isinstance(body.get("messages"), list) and body["messages"]:
        return None
    return "the request has no messages; it must be a chat completion, with a list of messages"


def chat_messages(body: Body, size: int, snapshot: Snapshot) -> Any:
    """The messages, copied where they may be more than a store takes."""
    messages = body["messages"]
    if size >= PLAIN_BYTES:
        return snapshot.take(messages)
    for one in messages:
        if not (isinstance(one, dict) and one.keys() in PLAIN_MESSAGE and isinstance(one["content"], str)):
            return snapshot.take(messages)
    # Those that are words alone are JSON that was read a moment ago, and nobody's to change.
    return messages


def completion_wants(body: Body) -> str | None:
    """A completion has a prompt."""
    if body.get("prompt"):
        return None
    return "the request has no prompt; it must be a completion, with a prompt"


def prompt_of(body: Body) -> str | None:
    """The prompt, where it is one text; several, and tokens, are no interaction."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    return prompt if isinstance(prompt, str) else None


def prompt_message(body: Body, size: int, snapshot: Snapshot) -> Any:
    """The prompt as the message of a user."""
    prompt = prompt_of(body)
    return None if prompt is None else [{"role": "user", "content": snapshot.text(prompt)}]


def response_wants(body: Body) -> str | None:
    """A response has an input, or goes on from something."""
    if body.get("input") or any(body.get(name) for name in KEPT_AT_PRODUCTION):
        return None
    return "the request has no input; it must be a response, with an input"


def response_opening(body: Body) -> Any:
    """The first question of a response's input."""
    asked = body.get("input")
    return first_question(asked) if isinstance(asked, list) else asked


def response_messages(body: Body, size: int, snapshot: Snapshot) -> Any:
    """The chat that a response stands for."""
    return messages_of_response(body.get("instructions"), body.get("input"), snapshot)


def response_may_be_tuned(body: Body) -> bool:
    """Whether a response needs nothing but a model."""
    if any(body.get(name) for name in KEPT_AT_PRODUCTION):
        return False
    tools = body.get("tools") or ()
    return isinstance(tools, list | tuple) and all(isinstance(tool, dict) and tool.get("type") in OWN_TOOLS for tool in tools)


CHAT = Form("/chat/completions", chat_wants, chat_opening, chat_messages, chat_answer, StreamedAnswer)
COMPLETION = Form("/completions", completion_wants, prompt_of, prompt_message, completion_answer, StreamedAnswer)
RESPONSE = Form(
    "/responses",
    response_wants,
    response_opening,
    response_messages,
    response_answer,
    StreamedResponseAnswer,
    response_may_be_tuned,
)
EMBEDDINGS = "/embeddings"
"""Never split: vectors of two models cannot be compared, and those that were stored before are the provider's."""
UNKNOWN_ROUTES = frozenset({404, 405, 501})
"""What a server answers that does not have one of the newer routes: of the model that says nothing."""
FORMS = (CHAT, COMPLETION, RESPONSE)
