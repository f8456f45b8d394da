"""What a model answered, read from the bytes that an OpenAI-compatible server sent: one JSON body, or a stream of events.

The bytes go to the application as they came; this only reads along, and finds nothing rather than fail.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from continuum.models.chat import Usage
from continuum.records import Message
from continuum.spool.cleaning import Snapshot
from continuum.spool.responses import StreamedResponse, response_in

MAX_TOKENS = 2**31
"""Counts from here on do not fit the store's column, and are no counts."""
MAX_EVENT_BYTES = 2**24
"""An event of a stream that is longer is not read along."""


@dataclass(slots=True)
class Answer:
    """An answer as far as it could be read; made for each request, and never changed."""

    said: Mapping[str, Any] | None = None
    """The message as the model sent it, which need not be one."""
    usage: Usage | None = None
    response_id: str | None = None
    model: str | None = None
    """The model that answered, by its own account."""
    error: str | None = None
    """What the server says went wrong."""

    @property
    def message(self) -> Message | None:
        """What was said; None where it is no message."""
        return _message(self.said)


NO_ANSWER = Answer()


def read_answer(body: bytes, read: "Callable[[Mapping[str, Any]], Answer] | None" = None) -> Answer:
    """The answer in a whole body; the first choice where there are several.

    Args:
        body: as the server sent it.
        read: finds the answer in the body's object; that of a chat completion when None.
    """
    content = parse_object(body)
    return NO_ANSWER if content is None else (read or chat_answer)(content)


def chat_answer(content: Mapping[str, Any]) -> Answer:
    """The answer in a chat completion."""
    return _told(content, _first_choice(content).get("message"))


def completion_answer(content: Mapping[str, Any]) -> Answer:
    """The answer in a text completion, as the message that it is."""
    text = _first_choice(content).get("text")
    return _told(content, {"content": text} if isinstance(text, str) else None)


def response_answer(content: Mapping[str, Any]) -> Answer:
    """The answer in a response of the responses API."""
    try:
        found = response_in(content, Snapshot())
    except (AttributeError, KeyError, TypeError, ValueError):
        found = None  # not in the form it says it has
    usage = content.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counted = {"prompt_tokens": usage.get("input_tokens"), "completion_tokens": usage.get("output_tokens")}
    return Answer(
        said=None if found is None else found.message,
        usage=_usage(counted),
        response_id=_text(content.get("id")),
        model=_text(content.get("model")),
        error=_error(content),
    )


def _first_choice(content: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = content.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _told(content: Mapping[str, Any], said: Any) -> Answer:
    return Answer(
        said=said if isinstance(said, dict) else None,
        usage=_usage(content.get("usage")),
        response_id=_text(content.get("id")),
        model=_text(content.get("model")),
        error=_error(content),
    )


class Events:
    """Reads server-sent events as they pass by."""

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False
        self.done = False
        """Whether the stream has said that it is at its end, by the word with which OpenAI's do."""

    def feed(self, chunk: bytes) -> None:
        """Read on; an event may come in pieces."""
        if self._rest:
            chunk = self._rest + chunk
        *lines, self._rest = chunk.split(b"\n")
        for line in lines:
            if self._too_long:
                self._too_long = False
            elif line.startswith(b"data:"):
                event = parse_object(line[5:])
                if event is not None:
                    self.event(event)
                elif line[5:].strip() == b"[DONE]":
                    self.done = True
        if len(self._rest) > MAX_EVENT_BYTES:
            self._rest, self._too_long = b"", True

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event."""

    @property
    def answer(self) -> Answer:
        """The answer as far as it has come."""
        return Answer()


class StreamedResponseAnswer(Events):
    """Puts an answer of the responses API together."""

    def __init__(self) -> None:
        super().__init__()
        self._response = StreamedResponse()
        self._whole: Mapping[str, Any] | None = None
        self._error: str | None = None

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        if event.get("type") == "error":
            self._error = _text(event.get("message")) or _error(event) or "an error"
        if event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            whole = event.get("response")
            self._whole = whole if isinstance(whole, dict) else None
        try:
            self._response.add(event)
        except (AttributeError, KeyError, TypeError, ValueError):
            return  # not in the form it says it has

    @property
    def answer(self) -> Answer:
        """The answer as far as it has come."""
        if self._whole is not None:
            return response_answer(self._whole)
        try:
            found = self._response.answer(Snapshot())
        except (AttributeError, KeyError, TypeError, ValueError):
            found = None
        if found is None:
            return Answer(error=self._error)
        return Answer(found.message, None, found.response_id, found.model, self._error)


class StreamedAnswer(Events):
    """Puts a completion together, of a chat or of a text."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, str]] = {}
        self._usage: Usage | None = None
        self._response_id: str | None = None
        self._model: str | None = None
        self._error: str | None = None

    @property
    def answer(self) -> Answer:
        """The answer as far as it has come."""
        fields: dict[str, Any] = {name: "".join(parts) for name, parts in self._texts.items()}
        if self._calls:
            fields["tool_calls"] = [
                {"id": call.get("id", ""), "function": {"name": call.get("name", ""), "arguments": call.get("arguments", "")}}
                for _, call in sorted(self._calls.items())
            ]
        said = {"role": "assistant", **fields} if fields else None
        return Answer(said, self._usage, self._response_id, self._model, self._error)

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        if self._response_id is None:
            self._response_id, self._model = _text(event.get("id")), _text(event.get("model"))
        if event.get("usage") is not None:
            self._usage = _usage(event["usage"]) or self._usage
        if "error" in event:
            self._error = self._error or _error(event)
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            # Only the first of several answers is kept, as in one that came whole.
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta")
            if isinstance(delta, dict):
                self._add(delta)
            elif isinstance(choice.get("text"), str):
                self._texts.setdefault("content", []).append(choice["text"])

    def _add(self, delta: Mapping[str, Any]) -> None:
        for name in ("content", "refusal"):
            text = delta.get(name)
            if isinstance(text, str):
                self._texts.setdefault(name, []).append(text)
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
        content = orjson.loads(text)
    except ValueError:
        # Half a surrogate pair is JSON to most parsers, and some models write one.
        try:
            content = json.loads(text) if b"\\u" in text else None
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
    if not isinstance(content, dict):
        return None
    given, written = content.get("prompt_tokens"), content.get("completion_tokens")
    if not isinstance(given, int) or not isinstance(written, int):
        return None
    return Usage(given, written) if 0 <= given < MAX_TOKENS and 0 <= written < MAX_TOKENS else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _error(content: Mapping[str, Any]) -> str | None:
    error = content.get("error")
    if error is None:
        return None
    if isinstance(error, Mapping):
        return _text(error.get("message")) or json.dumps(error)[:300]
    return _text(error)
