"""What a model answered, read from the bytes that a chat-completions server sent: one JSON body, or a stream of events.

The bytes go to the application as they came; this only reads along, and finds nothing rather than fail.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from continuum.models.chat import Usage
from continuum.records import Message

MAX_TOKENS = 2**31
"""Counts from here on do not fit the store's column, and are no counts."""


@dataclass(frozen=True)
class Answer:
    """An answer as far as it could be read."""

    message: Message | None = None
    usage: Usage | None = None
    response_id: str | None = None
    model: str | None = None
    """The model that answered, by its own account."""
    error: str | None = None
    """What the server says went wrong."""


def read_answer(body: bytes) -> Answer:
    """The answer in a whole body; the first choice where there are several."""
    content = parse_object(body)
    if content is None:
        return Answer()
    choices = content.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    return Answer(
        message=_message(first.get("message")),
        usage=_usage(content.get("usage")),
        response_id=_text(content.get("id")),
        model=_text(content.get("model")),
        error=_error(content),
    )


class StreamedAnswer:
    """Puts an answer together from server-sent events, fed as they pass by."""

    def __init__(self) -> None:
        self._rest = b""
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, str]] = {}
        self._usage: Usage | None = None
        self._response_id: str | None = None
        self._model: str | None = None
        self._error: str | None = None

    def feed(self, chunk: bytes) -> None:
        """Read on; an event may come in pieces."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._event(parse_object(line[len(b"data:") :]))

    @property
    def answer(self) -> Answer:
        """The answer as far as it has come."""
        fields: dict[str, Any] = {name: "".join(parts) for name, parts in self._texts.items()}
        if self._calls:
            fields["tool_calls"] = [
                {"id": call.get("id", ""), "function": {"name": call.get("name", ""), "arguments": call.get("arguments", "")}}
                for _, call in sorted(self._calls.items())
            ]
        message = _message({"role": "assistant", **fields}) if fields else None
        return Answer(message, self._usage, self._response_id, self._model, self._error)

    def _event(self, event: Mapping[str, Any] | None) -> None:
        if event is None:
            return
        self._response_id = self._response_id or _text(event.get("id"))
        self._model = self._model or _text(event.get("model"))
        self._usage = _usage(event.get("usage")) or self._usage
        self._error = self._error or _error(event)
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            delta = choice.get("delta") if isinstance(choice, Mapping) and choice.get("index", 0) == 0 else None
            if isinstance(delta, Mapping):
                self._add(delta)

    def _add(self, delta: Mapping[str, Any]) -> None:
        for name in ("content", "refusal"):
            if isinstance(delta.get(name), str):
                self._texts.setdefault(name, []).append(delta[name])
        calls = delta.get("tool_calls")
        for piece in calls if isinstance(calls, list) else ():
            if not isinstance(piece, Mapping) or not isinstance(index := piece.get("index", 0), int):
                continue
            call = self._calls.setdefault(index, {})
            function = piece.get("function")
            function = function if isinstance(function, Mapping) else {}
            for name, value in (
                ("id", piece.get("id")),
                ("name", function.get("name")),
                ("arguments", function.get("arguments")),
            ):
                if isinstance(value, str):
                    call[name] = call.get(name, "") + value


def parse_object(text: bytes) -> dict[str, Any] | None:
    """A JSON object; None for anything else, however it is broken."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _message(content: Any) -> Message | None:
    if not isinstance(content, Mapping):
        return None
    try:
        return Message.model_validate({"role": "assistant"} | {name: v for name, v in content.items() if v is not None})
    except ValidationError:
        return None


def _usage(content: Any) -> Usage | None:
    if not isinstance(content, Mapping):
        return None
    given, written = content.get("prompt_tokens"), content.get("completion_tokens")
    if not isinstance(given, int) or not isinstance(written, int):
        return None
    return Usage(given, written) if 0 <= given < MAX_TOKENS and 0 <= written < MAX_TOKENS else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _error(content: Mapping[str, Any]) -> str | None:
    error = content.get("error")
    if isinstance(error, Mapping):
        return _text(error.get("message")) or json.dumps(error)[:300]
    return _text(error)
