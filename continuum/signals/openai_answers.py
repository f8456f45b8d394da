"""How the two APIs of the `openai` client ask and answer, and in which shapes their answers come."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from continuum.signals.copies import MAX_NODES, conversation
from continuum.signals.model_call import ModelCall
from continuum.signals.openai_streams import RawBody, Watched, WatchedAsync
from continuum.signals.to_gateway import RAW_HEADER, note_served_by
from continuum.spool.cleaning import Snapshot, id_text
from continuum.spool.forms import Answer, StreamedAnswer, answer_in, member
from continuum.spool.responses import StreamedResponse, messages_of_response, response_in


@dataclass(frozen=True)
class Api:
    """One of the client's APIs."""

    note_asked: Callable[[ModelCall, dict[str, Any]], None]
    answer_in: Callable[[Any, Snapshot], Answer | None]
    streamed: type[StreamedAnswer] | type[StreamedResponse]


def note_chat(call: ModelCall, kwargs: dict[str, Any]) -> None:
    """Note the messages of a chat completion."""
    call.messages, call.cut = conversation(kwargs.get("messages"))


def note_response(call: ModelCall, kwargs: dict[str, Any]) -> None:
    """Note the input of a response; what was said before it may be with the provider alone."""
    snapshot = Snapshot(nodes=MAX_NODES)
    call.messages = messages_of_response(kwargs.get("instructions"), kwargs.get("input"), snapshot)
    call.cut = snapshot.truncated
    previous, kept = kwargs.get("previous_response_id"), kwargs.get("conversation")
    if isinstance(previous, str) and previous:
        call.tags["previous_response_id"] = previous[:200]
    if kept:
        found = kept if isinstance(kept, str) else member(kept, "id")
        call.conversation_id = id_text(found) if isinstance(found, str) else None


chat_api = Api(note_chat, answer_in, StreamedAnswer)
responses_api = Api(note_response, response_in, StreamedResponse)


def note_answer(call: ModelCall, api: Api, result: Any, kwargs: dict[str, Any]) -> None:
    """Note a whole answer, or watch the stream that will bring it.

    Args:
        call: notes it.
        api: what was called.
        result: what the client's method returned: the answer, a stream, or the HTTP response around either.
        kwargs: what the method was called with.
    """
    if hasattr(result, "http_response"):
        note_served_by(call, result)
        if asked_for(kwargs) == "stream":
            RawBody(call, api.streamed(), lambda body: api.answer_in(body, Snapshot())).watch(result.http_response)
            return
        result = result.parse()  # the client keeps what it has parsed for the application's own parse()
    inner = getattr(result, "_iterator", None)
    if inner is None:
        snapshot = Snapshot()
        call.answer = api.answer_in(result, snapshot)
        call.cut |= snapshot.truncated
        return
    call.stream, call.streaming = api.streamed(), True
    result._iterator = WatchedAsync(inner, call) if inspect.isasyncgen(inner) else Watched(inner, call)
    note_served_by(call, result.response)


def asked_for(kwargs: dict[str, Any]) -> str | None:
    """How the application wants the HTTP response: `true` for read, `stream` for unread; None where it does not want it."""
    found = {name.lower(): value for name, value in (kwargs.get("extra_headers") or {}).items()}
    return found.get(RAW_HEADER.lower())
