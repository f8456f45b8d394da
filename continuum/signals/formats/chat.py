"""Conversations as providers and frameworks write them, made OpenAI chat messages.

Known are OpenAI's chat and Responses forms, Anthropic's content blocks, LangChain's messages and OpenTelemetry's parts. What is
in OpenAI's chat form already stays as it is; what is in no form we know is kept as one message with its JSON as the words.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from continuum.signals.formats.parts import from_parts
from continuum.signals.formats.values import as_text, first, json_in, objects, text

ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "chatbot": "assistant", "function": "tool"}
"""Other names of the roles."""
MESSAGE_TYPES = {"human", "ai", "system", "tool", "function", "chat"}
"""What LangChain calls the roles, in a member called `type`."""
CONVERSATIONS = ("messages", "input", "prompt", "contents", "question", "query")
ANSWERS = ("output_text", "output", "answer", "response", "completion", "text", "content", "result")
TEXT_PARTS = {"text", "input_text", "output_text", "summary_text"}
UNSAID = {"tool_use", "tool_result", "thinking", "redacted_thinking", "reasoning"}
"""Parts that are no content: calls and results go into their own places, thoughts were not said."""


def asked(value: Any) -> list[dict[str, Any]]:
    """The conversation in what a model, or an application, was given.

    Raises:
        ValueError: it was given nothing.
    """
    if value is None or value == [] or value == {} or value == "":
        raise ValueError("it holds no messages")
    value = unwrapped(value)
    if isinstance(value, list):
        if all(isinstance(one, list) for one in value):  # a batch of conversations, of which a call has one
            value = value[0]
        if value and all(is_item(one) for one in value):
            return conversation(value)
        return [{"role": "user", "content": as_text(value)}]
    if isinstance(value, Mapping):
        if is_item(value):
            return conversation([value])
        for name in CONVERSATIONS:
            if value.get(name):
                return [*instructions(value), *asked(value[name])]
        texts = [one for one in value.values() if text(one)]
        return [{"role": "user", "content": texts[0] if len(texts) == len(value) == 1 else as_text(value)}]
    return [{"role": "user", "content": as_text(value)}]


def answered(value: Any) -> dict[str, Any] | None:
    """The assistant's message in what a model, or an application, gave back; None where it gave nothing."""
    if value is None or value == "" or value == [] or value == {}:
        return None
    value = unwrapped(value)
    if isinstance(value, list):
        if all(isinstance(one, Mapping) and is_item(one) for one in value):
            return merged(conversation(value, "assistant"))
        if all(isinstance(one, Mapping) and kind_of(one) in TEXT_PARTS | UNSAID for one in value):
            return merged(message_of({"role": "assistant", "content": value}))
        return answered(value[0]) if len(value) == 1 else {"role": "assistant", "content": as_text(value)}
    if not isinstance(value, Mapping):
        return {"role": "assistant", "content": as_text(value)}
    if choices := objects(value.get("choices")):
        return from_choice(choices[0])
    if isinstance(value.get("generations"), list):
        return answered(value["generations"])
    if isinstance(value.get("message"), Mapping) and is_item(value["message"]):
        return answered(value["message"])
    if is_item(value):
        return merged(conversation([value], "assistant"))
    for name in ANSWERS:
        if value.get(name):
            return answered(value[name])
    return {"role": "assistant", "content": as_text(value)}


def from_choice(choice: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message of one choice of a completion; a choice of the older completions has text alone."""
    message = choice.get("message")
    if isinstance(message, Mapping):
        return message_of({"role": "assistant", **message})[-1]
    return {"role": "assistant", "content": choice["text"]} if isinstance(choice.get("text"), str) else None


def unwrapped(value: Any) -> Any:
    """Messages, or a request, that were written as JSON text; any other value as it is, for a prompt may be JSON itself."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    inner = json_in(value)
    if isinstance(inner, list) and inner and all(is_item(one) for one in inner):
        return inner
    if isinstance(inner, dict) and (is_item(inner) or isinstance(first(inner, "messages", "choices"), list)):
        return inner
    return value


def is_item(value: Any) -> bool:
    """Whether a value is a message, or an item of a Responses conversation."""
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("role"), str):
        return True
    kind = kind_of(value)
    if kind in ("function_call", "function_call_output", "reasoning"):
        return True
    return kind in MESSAGE_TYPES and "content" in value


def instructions(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The system message of a request that names it beside its messages."""
    found = first(request, "instructions", "system")
    words = words_of(found) if isinstance(found, list) else found
    return [{"role": "system", "content": words}] if text(words) else []


def conversation(items: Iterable[Any], role: str = "user") -> list[dict[str, Any]]:
    """Messages and Responses items as messages; the calls of one turn are put into one message."""
    found: list[dict[str, Any]] = []
    for item in items:
        for message in message_of(item, role):
            if found and is_calling(message) and found[-1]["role"] == "assistant" and item.get("type") == "function_call":
                found[-1] = joined([found[-1], message])
            else:
                found.append(message)
    return found


def is_calling(message: Mapping[str, Any]) -> bool:
    """Whether a message calls tools and says nothing."""
    return bool(message.get("tool_calls")) and not message.get("content")


def message_of(value: Any, role: str = "user") -> list[dict[str, Any]]:
    """The messages that one message of any form is: tool results inside it become messages of their own.

    Raises:
        ValueError: it is no message.
    """
    if not isinstance(value, Mapping):
        raise ValueError("a message is no object")
    kind = kind_of(value)
    if kind == "reasoning":
        return []
    if kind == "function_call":
        call = tool_call(first(value, "call_id", "id"), value.get("name"), value.get("arguments"))
        return [{"role": "assistant", "content": None, "tool_calls": [call]}]
    if kind == "function_call_output":
        return [{"role": "tool", "tool_call_id": text(value.get("call_id")) or "", "content": words_of(value.get("output"))}]
    named = text(value.get("role")) or kind or role
    named = ROLES.get(named, named)
    if isinstance(value.get("parts"), list):
        return from_parts(value, named)
    content, calls, results = content_of(value.get("content"))
    calls += [a_tool_call(call) for call in objects(value.get("tool_calls"))]
    dropped = {"role", "content", "tool_calls", "type", "parts", "status"} if kind else {"role", "content", "tool_calls"}
    if named == "assistant" and value.get("id") is not None:
        dropped = dropped | {"id"}
    kept = {name: member for name, member in value.items() if name not in dropped and member is not None}
    message = {"role": named, "content": content, **kept, **({"tool_calls": calls} if calls else {})}
    return results if results and not content and not calls else [*results, message]


def content_of(content: Any) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    """Content as OpenAI writes it, with the tool calls and tool results that others write into it."""
    if content is None or isinstance(content, str):
        return content, [], []
    if not isinstance(content, list) or not all(isinstance(part, (Mapping, str)) for part in content):
        return as_text(content), [], []
    given = [{"type": "text", "text": part} if isinstance(part, str) else dict(part) for part in content]
    calls = [tool_call(part.get("id"), part.get("name"), part.get("input")) for part in given if part.get("type") == "tool_use"]
    results = [
        {"role": "tool", "tool_call_id": text(part.get("tool_use_id")) or "", "content": words_of(part.get("content"))}
        for part in given
        if part.get("type") == "tool_result"
    ]
    parts = [
        {"type": "text", "text": as_text(part.get("text") or "")} if kind_of(part) in TEXT_PARTS else part
        for part in given
        if kind_of(part) not in UNSAID
    ]
    # Where nothing but words is left of another form they are the content; OpenAI's own lists of text stay lists.
    if not all(map(is_plain_text, content)) and all(map(is_plain_text, parts)):
        return "\n".join(part["text"] for part in parts) or None, calls, results
    return parts or None, calls, results


def kind_of(value: Mapping[str, Any]) -> str:
    """The type that a message or a part says it is of; empty where it says none."""
    return text(value.get("type")) or ""


def is_plain_text(part: Any) -> bool:
    """Whether a part is OpenAI's own text part."""
    return isinstance(part, Mapping) and set(part) == {"type", "text"} and part["type"] == "text"


def words_of(content: Any) -> str:
    """The words of content that is text, or a list of parts, or anything."""
    if (
        isinstance(content, list)
        and content
        and all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content)
    ):
        return "\n".join(part["text"] for part in content)
    return "" if content is None else as_text(content)


def a_tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call in OpenAI's form, whatever form it has."""
    function = call.get("function")
    if isinstance(function, Mapping):
        return tool_call(call.get("id"), function.get("name"), function.get("arguments"))
    return tool_call(call.get("id"), call.get("name"), first(call, "arguments", "args", "input"))


def tool_call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A tool call in OpenAI's form; arguments that are data become JSON text."""
    return {
        "id": text(call_id) or "",
        "type": "function",
        "function": {"name": text(name) or "", "arguments": "{}" if arguments is None else as_text(arguments)},
    }


def merged(messages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """One answer of the assistant that was written as several items; None where the assistant said nothing."""
    said = [message for message in messages if message["role"] == "assistant"]
    return joined(said) if len(said) > 1 else said[0] if said else None


def joined(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What several messages of the assistant say and call, in one."""
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    words = "\n".join(words for message in messages if (words := words_of(message.get("content"))))
    return {"role": "assistant", "content": words or None, **({"tool_calls": calls} if calls else {})}
