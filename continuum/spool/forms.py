"""OpenAI forms, known by their shape: messages, answers and the chunks of a stream, as dicts or as objects of any client."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from continuum.spool.cleaning import MAX_PAYLOAD, Snapshot

MAX_TOKENS = 2**31 - 1
"""What the store's columns hold."""


class Tokens(NamedTuple):
    """Tokens of one call, as the provider counted them."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    """Of the input, what the provider had in its cache."""
    reasoning: int | None = None
    """Of the output, what was thought and not said."""


NO_TOKENS = Tokens()


@dataclass(frozen=True)
class Answer:
    """What a model answered, as plain JSON, and what the provider said about it."""

    message: dict[str, Any]
    model: str | None = None
    response_id: str | None = None
    tokens: Tokens = NO_TOKENS
    finish_reason: str | None = None
    """Why the model stopped: `stop`, `tool_calls`, `length`, `content_filter`."""


def member(value: Any, name: str) -> Any:
    """A field of a mapping or an attribute of an object; None where there is none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def text_member(value: Any, name: str) -> str | None:
    """A field that is text; None where it is anything else."""
    found = member(value, name)
    return found if isinstance(found, str) else None


def messages_in(value: Any, snapshot: Snapshot) -> list[dict[str, Any]] | None:
    """A copy of a conversation in OpenAI form; None where the value is no such thing."""
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if not all(text_member(message, "role") for message in value):
        return None
    copies = snapshot.take(value)
    return [message for message in copies if is_message(message)] if any(map(is_message, copies)) else None


def is_message(value: Any) -> bool:
    """Whether plain JSON is a message."""
    return isinstance(value, dict) and isinstance(value.get("role"), str)


def answer_in(value: Any, snapshot: Snapshot) -> Answer | None:
    """The answer that a chat completion, or a single message of the assistant, holds; None where the value is neither."""
    choices = member(value, "choices")
    if isinstance(choices, (list, tuple)) and choices:
        message = snapshot.take(member(choices[0], "message"))
        if not is_message(message):
            return None
        tokens, reason = tokens_in(member(value, "usage")), text_member(choices[0], "finish_reason")
        return Answer(message, text_member(value, "model"), text_member(value, "id"), tokens, reason)
    if text_member(value, "role") == "assistant":
        message = snapshot.take(value)
        return Answer(message) if is_message(message) else None
    return None


def tokens_in(usage: Any) -> Tokens:
    """The tokens in the usage block of a chat completion, or of a response."""
    if usage is None:
        return NO_TOKENS
    read, written = member(usage, "prompt_tokens"), member(usage, "completion_tokens")
    if read is None and written is None:
        read, written = member(usage, "input_tokens"), member(usage, "output_tokens")
    details = member(usage, "prompt_tokens_details") or member(usage, "input_tokens_details")
    thought = member(usage, "completion_tokens_details") or member(usage, "output_tokens_details")
    return Tokens(
        count(read), count(written), count(member(details, "cached_tokens")), count(member(thought, "reasoning_tokens"))
    )


def count(value: Any) -> int | None:
    """A number of tokens; None where the value cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS else None


class StreamedAnswer:
    """Puts the chunks of a streamed completion together."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.size = 0
        self.truncated = False
        self.model: str | None = None
        self.response_id: str | None = None
        self.tokens = NO_TOKENS
        self.finish_reason: str | None = None

    def add(self, chunk: Any) -> bool:
        """Take one chunk; False where it is not in OpenAI form."""
        choices = member(chunk, "choices")
        if not isinstance(choices, (list, tuple)):
            return False
        self.model = text_member(chunk, "model") or self.model
        self.response_id = text_member(chunk, "id") or self.response_id
        usage = member(chunk, "usage")
        if usage is not None:
            self.tokens = tokens_in(usage)
        for choice in choices:
            # Only the first of several answers is kept, as in a completion that came whole.
            if member(choice, "index") in (0, None):
                self._add_delta(member(choice, "delta"))
                self.finish_reason = text_member(choice, "finish_reason") or self.finish_reason
        return True

    def _add_delta(self, delta: Any) -> None:
        self._append(self.content, text_member(delta, "content"))
        self._append(self.refusal, text_member(delta, "refusal"))
        for part in member(delta, "tool_calls") or ():
            index = member(part, "index")
            call = self.calls.setdefault(index if isinstance(index, int) else 0, {"id": "", "name": "", "arguments": []})
            call["id"] = text_member(part, "id") or call["id"]
            function = member(part, "function")
            call["name"] += text_member(function, "name") or ""
            self._append(call["arguments"], text_member(function, "arguments"))

    def _append(self, parts: list[str], text: str | None) -> None:
        if not text:
            return
        if self.size + len(text) > MAX_PAYLOAD:
            self.truncated = True
            return
        self.size += len(text)
        parts.append(text)

    def answer(self, snapshot: Snapshot) -> Answer | None:
        """The answer as far as it has come; None where nothing was said."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.content) or None}
        if self.refusal:
            message["refusal"] = "".join(self.refusal)
        if self.calls:
            message["tool_calls"] = [
                {"id": call["id"], "function": {"name": call["name"], "arguments": "".join(call["arguments"])}}
                for _, call in sorted(self.calls.items())
            ]
        if len(message) == 2 and message["content"] is None:
            return None
        return Answer(snapshot.take(message), self.model, self.response_id, self.tokens, self.finish_reason)
