"""Messages in the parts that OpenTelemetry's conventions write them in, and back."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from continuum.records import Message
from continuum.signals.formats.values import as_text, json_in, objects, text

UNSAID = {"reasoning", "thinking"}
"""Parts that the model did not say."""


def to_parts(message: Message) -> list[dict[str, Any]]:
    """What a message holds, as parts."""
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": result_of(message)}]
    parts = [{"type": "text", "content": message.content}] if isinstance(message.content, str) else []
    for part in message.content if isinstance(message.content, list) else ():
        is_text = part.get("type") == "text" and isinstance(part.get("text"), str)
        parts.append({"type": "text", "content": part["text"]} if is_text else {"type": "content", **part})
    for call in message.tool_calls or ():
        function = call.function
        parts.append({"type": "tool_call", "id": call.id, "name": function.name, "arguments": arguments_of(function.arguments)})
    refusal = (message.model_extra or {}).get("refusal")
    return [*parts, {"type": "refusal", "content": refusal}] if isinstance(refusal, str) else parts


def result_of(message: Message) -> Any:
    """What a tool answered."""
    return message.content if isinstance(message.content, (str, list)) else ""


def arguments_of(arguments: str) -> Any:
    """Arguments as data, where that is their whole meaning; else the text the model wrote."""
    found = json_in(arguments)
    return found if isinstance(found, dict) and as_text(found) == arguments and is_portable(found) else arguments


def is_portable(value: Any) -> bool:
    """Whether every JSON reader reads the value alike: no NaN, no number beyond 64 bits."""
    try:
        return orjson.loads(orjson.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def from_parts(message: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    """The messages in OpenAI's form: what tools answered becomes messages of their own, what was only thought is left out."""
    parts = [part for part in objects(message["parts"]) if (text(part.get("type")) or "") not in UNSAID]
    told = [
        {"role": "tool", "tool_call_id": text(part.get("id")) or "", "content": response_in(part)}
        for part in parts
        if part.get("type") == "tool_call_response"
    ]
    rest = [part for part in parts if part.get("type") != "tool_call_response"]
    if told and not rest:
        return told
    calls = [a_call(part) for part in rest if part.get("type") == "tool_call"]
    refusals = [part["content"] for part in rest if part.get("type") == "refusal" and isinstance(part.get("content"), str)]
    said: dict[str, Any] = {
        "role": role,
        "content": joined(part for part in rest if part.get("type") not in ("tool_call", "refusal")),
    }
    if text(message.get("name")):
        said["name"] = message["name"]
    if calls:
        said["tool_calls"] = calls
    if refusals:
        said["refusal"] = refusals[0]
    return [*told, said]


def response_in(part: Mapping[str, Any]) -> Any:
    """What a tool answered; older writers call it the result."""
    found = part.get("response", part.get("result"))
    return (
        found
        if isinstance(found, list) and found and len(objects(found)) == len(found)
        else ""
        if found is None
        else as_text(found)
    )


def a_call(part: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call in OpenAI's form."""
    arguments = part.get("arguments")
    function = {"name": text(part.get("name")) or "", "arguments": "{}" if arguments is None else as_text(arguments)}
    return {"id": text(part.get("id")) or "", "type": "function", "function": function}


def joined(parts: Iterable[Mapping[str, Any]]) -> str | list[dict[str, Any]] | None:
    """Content: text where it is one text, else a list of parts as OpenAI writes them."""
    found = [in_openai_form(part) for part in parts]
    if not found:
        return None
    return found[0]["text"] if len(found) == 1 and found[0]["type"] == "text" else found


def in_openai_form(part: Mapping[str, Any]) -> dict[str, Any]:
    """One part as OpenAI writes it; one that it has no form for stays as it is."""
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": as_text(part.get("content") or "")}
    return {**part, "type": text(kind) or "part"}
