"""The forms of OpenAI's responses API, as the chat messages they stand for.

Items that the provider works off by itself (searches, reasoning, code it ran) are no part of a chat and are left out.
"""

from collections.abc import Mapping
from typing import Any

from continuum.spool.cleaning import MAX_PAYLOAD, Snapshot
from continuum.spool.forms import Answer, member, text_member, tokens_in

CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that call a tool of the application, and where their arguments are."""
OUTPUTS = {"function_call_output", "custom_tool_call_output"}
REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""Why a response is incomplete, in the words of chat completions."""
ENDS = {"response.completed", "response.incomplete", "response.failed"}


def messages_of_response(instructions: Any, asked: Any, snapshot: Snapshot) -> list[dict[str, Any]] | None:
    """A copy of what a response was asked with, as chat messages; None where there is nothing of the kind."""
    messages: list[dict[str, Any]] = []
    if isinstance(instructions, str) and instructions:
        messages.append({"role": "system", "content": snapshot.text(instructions)})
    if isinstance(asked, str):
        messages.append({"role": "user", "content": snapshot.text(asked)})
    elif isinstance(asked, (list, tuple)):
        messages += chat_messages(snapshot.take(asked))
    return messages or None


def chat_messages(items: list[Any]) -> list[dict[str, Any]]:
    """The chat messages that items, as plain JSON, stand for; calls of tools join the words they came with."""
    messages: list[dict[str, Any]] = []
    for item in items:
        if not isinstance(item, dict):
            continue
        kind = text_member(item, "type") or "message"
        if kind in CALLS:
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(tool_call(item))
        elif kind in OUTPUTS:
            called = item.get("call_id")
            words = {"role": "tool", "content": content_of(item.get("output"))}
            messages.append(words | ({"tool_call_id": called} if isinstance(called, str) else {}))
        elif kind == "message" and isinstance(item.get("role"), str):
            refused = refusal_of(item.get("content"))
            said = {"role": item["role"], "content": content_of(item.get("content"))}
            messages.append(said | ({"refusal": refused} if refused else {}))
    return messages


def tool_call(item: Mapping[str, Any]) -> dict[str, Any]:
    """A call of a tool in the form of chat completions."""
    arguments = item.get(CALLS[item["type"]])
    function = {"name": str(item.get("name") or ""), "arguments": arguments if isinstance(arguments, str) else "{}"}
    return {"id": str(item.get("call_id") or item.get("id") or ""), "type": "function", "function": function}


def content_of(content: Any) -> Any:
    """Content as chat messages have it: one text as text, several parts as parts."""
    if content is None or isinstance(content, str):
        return content
    parts = [part_of(part) for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    found = [part for part in parts if part is not None]
    if not found:
        return None
    return found[0]["text"] if len(found) == 1 and found[0]["type"] == "text" else found


def part_of(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """A part of a message's content; None for a refusal, which has a field of its own."""
    kind = part.get("type")
    if kind == "refusal":
        return None
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "input_image" and part.get("image_url"):
        image = {"url": part["image_url"]} | ({"detail": part["detail"]} if part.get("detail") else {})
        return {"type": "image_url", "image_url": image}
    if kind == "input_file":
        return {"type": "file", "file": {name: value for name, value in part.items() if name != "type"}}
    return dict(part)


def refusal_of(content: Any) -> str | None:
    """The words with which the model declined; None where it did not."""
    parts = content if isinstance(content, list) else ()
    words = [part["refusal"] for part in parts if isinstance(part, dict) and isinstance(part.get("refusal"), str)]
    return "".join(words) or None


def response_in(value: Any, snapshot: Snapshot) -> Answer | None:
    """The answer that a response holds; None where the value is none, or says nothing."""
    output = member(value, "output")
    if member(value, "object") != "response" or not isinstance(output, (list, tuple)):
        return None
    messages = [message for message in chat_messages(snapshot.take(output)) if message["role"] == "assistant"]
    words: list[str] = []
    whole: dict[str, Any] = {"role": "assistant", "content": None}
    for message in messages:
        words += [message["content"]] if isinstance(message["content"], str) else texts_in(message["content"])
        whole["tool_calls"] = whole.get("tool_calls", []) + message.get("tool_calls", [])
        whole["refusal"] = whole.get("refusal") or message.get("refusal")
    whole["content"] = "".join(words) or None
    whole = {name: found for name, found in whole.items() if found or name in ("role", "content")}
    return Answer(
        whole, text_member(value, "model"), text_member(value, "id"), tokens_in(member(value, "usage")), reason_of(value, whole)
    )


def texts_in(parts: Any) -> list[str]:
    """The texts among the parts of a message."""
    return [part["text"] for part in parts or () if isinstance(part.get("text"), str)]


def reason_of(value: Any, message: Mapping[str, Any]) -> str:
    """Why the response ended, in the words of chat completions."""
    if member(value, "status") == "failed":
        return "error"
    incomplete = text_member(member(value, "incomplete_details"), "reason")
    if incomplete:
        return REASONS.get(incomplete, incomplete)
    return "tool_calls" if "tool_calls" in message else "stop"


class StreamedResponse:
    """Puts the events of a streamed response together; the last one holds all of it."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {"content": [], "refusal": []}
        self.calls: list[dict[str, Any]] = []
        self.size = 0
        self.truncated = False
        self.begun: Any = None
        self.whole: Any = None

    def add(self, event: Any) -> bool:
        """Take one event; False where it brings nothing that the model said."""
        kind = text_member(event, "type") or ""
        if kind in ENDS:
            self.whole = member(event, "response")
        elif kind == "response.created":
            self.begun = member(event, "response")
            return False
        elif kind == "response.output_text.delta":
            self._append("content", text_member(event, "delta"))
        elif kind == "response.refusal.delta":
            self._append("refusal", text_member(event, "delta"))
        elif kind == "response.output_item.done":
            item = member(event, "item")
            if text_member(item, "type") in CALLS:
                self.calls.append(Snapshot().take(item))
        return kind.endswith((".delta", ".done")) or kind in ENDS

    def _append(self, field: str, text: str | None) -> None:
        if text and self.size + len(text) > MAX_PAYLOAD:
            self.truncated = True
        elif text:
            self.size += len(text)
            self.texts[field].append(text)

    def answer(self, snapshot: Snapshot) -> Answer | None:
        """The answer as far as it has come; None where nothing was said."""
        if self.whole is not None:
            return response_in(self.whole, snapshot)
        if not self.size and not self.calls:
            return None
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.texts["content"]) or None}
        if self.texts["refusal"]:
            message["refusal"] = "".join(self.texts["refusal"])
        if self.calls:
            message["tool_calls"] = [tool_call(call) for call in self.calls]
        return Answer(snapshot.take(message), text_member(self.begun, "model"), text_member(self.begun, "id"))
