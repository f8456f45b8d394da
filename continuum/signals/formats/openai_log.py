"""OpenAI's logs: pairs of request and response, stored completions, batches, fine-tuning lines; chat and Responses form.

| a line | is |
|---|---|
| `{"request": {...}, "response": {...}}` | one call, as a proxy logs it |
| `{"object": "chat.completion", "messages": [...], "choices": [...]}` | a stored completion with its messages |
| `{"custom_id", "method", "url", "body": {...}}` | the request of a batch, kept until its answer comes |
| `{"custom_id", "response": {"status_code", "body": {...}}}` | the answer of a batch |
| `{"messages": [..., {"role": "assistant"}]}` | an example for fine-tuning |
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

from continuum.signals.formats.chat import answered, asked, from_choice, instructions
from continuum.signals.formats.found import Bad, Found, Item, Passed, inside, reason_in
from continuum.signals.formats.lines import Line, decoded, lines
from continuum.signals.formats.values import (
    an_object,
    as_text,
    first,
    from_seconds,
    id_in,
    known,
    objects,
    tag_values,
    text,
    tokens,
)

BATCH_REQUEST = "requests of a batch: kept for their answers"


class OpenAIReader:
    """Reads OpenAI's logs.

    Args:
        file: the file that is read; the requests of a batch are looked up in it again when their answers come.
        requests: the input file of a batch, where its answers are in a file of their own.
    """

    def __init__(self, file: IO[bytes], requests: IO[bytes] | None = None) -> None:
        self._file = file
        self._requests: dict[int, tuple[IO[bytes], int]] = {}
        """Hash of a custom_id to where its request is; a batch may be larger than memory."""
        for line in lines(requests) if requests else ():
            if isinstance(line.content, dict) and isinstance(line.content.get("body"), dict):
                self._remember(line.content, requests or file, line.offset)

    def items(self, record: Line) -> Iterator[Item]:
        """The calls that one record holds."""
        content = an_object(record.content, "the line")
        if isinstance(content.get("data"), list):
            for index, one in enumerate(content["data"]):
                yield from self._guarded(one, inside(record.path, "data", index), record)
        else:
            yield from self._guarded(content, record.path, record)

    def _guarded(self, content: Any, path: str, record: Line) -> Iterator[Item]:
        try:
            yield self._item(an_object(content, "the line"), path, record)
        except (ValueError, RecursionError) as error:
            yield Bad(reason_in(error), path)

    def _item(self, content: dict[str, Any], path: str, record: Line) -> Item:
        if "custom_id" in content and isinstance(content.get("body"), dict):
            self._remember(content, self._file, record.offset)
            return Passed(BATCH_REQUEST)
        if "custom_id" in content:
            return Found(self._batched(content), path)
        if isinstance(content.get("request"), dict):
            return Found(paired(content, content["request"], response_in(content)), path)
        if "choices" in content or "output" in content:
            return Found(paired(content, content, content), path)
        return Found(tuned(content), path)

    def _remember(self, content: Mapping[str, Any], file: IO[bytes], offset: int) -> None:
        self._requests[hash(as_text(content["custom_id"]))] = (file, offset)

    def _batched(self, content: dict[str, Any]) -> dict[str, Any]:
        place = self._requests.get(hash(as_text(content["custom_id"])))
        if place is None:
            raise ValueError(
                "custom_id: no request of the batch has it; give the batch's input file as the requests, "
                "or put its lines before those of the output"
            )
        file, offset = place
        back = file.tell()
        file.seek(offset)
        request = decoded(file.readline())["body"]
        file.seek(back)
        row = refused(content, request) if failed(content) else paired(content, request, response_in(content))
        return row | {"tags": {**row.get("tags", {}), "custom_id": as_text(content["custom_id"])}}


def response_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """The response of a pair; some loggers put it into an envelope with its status, as a batch does."""
    response = an_object(content.get("response"), "response")
    return response["body"] if isinstance(response.get("body"), dict) else response


def failed(content: Mapping[str, Any]) -> bool:
    """Whether a request of a batch has no answer."""
    status = first(content.get("response"), "status_code")
    return content.get("error") is not None or (isinstance(status, int) and status >= 400)


def refused(content: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The call of a batch that failed."""
    error = content.get("error") or first(first(content.get("response"), "body"), "error") or {}
    words = first(error, "message", "code") if isinstance(error, Mapping) else error
    row = {
        "id": id_in(content.get("id")) or fingerprint_of(content),
        "messages": given(request),
        "model": text(request.get("model")),
        "status": "error",
        "error": as_text(words or "the request failed"),
    }
    return known(row)


def paired(content: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, Any]:
    """One call: its request and its response."""
    answer = answer_of(response)
    usage = response.get("usage")
    response_id = id_in(response.get("id"))
    row = {
        "id": id_in(first(content, "interaction_id")) or response_id or fingerprint_of(content),
        "task": text(content.get("task")),
        "messages": given(request),
        "response": answer,
        "model": text(response.get("model")) or text(request.get("model")),
        "provider_response_id": response_id,
        "started_at": from_seconds(first(response, "created", "created_at"), "created"),
        "conversation_id": conversation_of(request, response),
        "user_id": id_in(first(request, "user", "safety_identifier")),
        "tags": tag_values({**metadata_of(request), **metadata_of(response)}),
        **usage_of(usage),
    }
    if answer is None and (error := response.get("error")):
        row |= {"status": "error", "error": as_text(first(error, "message", "code") or "the request failed")}
    return known(row)


def given(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a request of either form, or the prompt of an older one."""
    found = first(request, "messages", "input", "prompt")
    if not found:
        raise ValueError("messages: the request has none, nor input")
    return [*instructions(request), *asked(found)]


def answer_of(response: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first answer of a completion, or the answer that a response's items are."""
    if choices := objects(response.get("choices")):
        return from_choice(choices[0])
    return answered(response["output"]) if objects(response.get("output")) else None


def usage_of(usage: Any) -> dict[str, int | None]:
    """Tokens of either form."""
    read = first(usage, "prompt_tokens_details", "input_tokens_details")
    written = first(usage, "completion_tokens_details", "output_tokens_details")
    return {
        "input_tokens": tokens(first(usage, "prompt_tokens", "input_tokens")),
        "output_tokens": tokens(first(usage, "completion_tokens", "output_tokens")),
        "cached_tokens": tokens(first(read, "cached_tokens")),
        "reasoning_tokens": tokens(first(written, "reasoning_tokens")),
    }


def conversation_of(request: Mapping[str, Any], response: Mapping[str, Any]) -> str | None:
    """The conversation that a Responses call belongs to."""
    found = first(response, "conversation") or first(request, "conversation")
    return id_in(found.get("id") if isinstance(found, Mapping) else found)


def metadata_of(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the application noted with the call."""
    found = value.get("metadata")
    return found if isinstance(found, Mapping) else {}


def tuned(content: Mapping[str, Any]) -> dict[str, Any]:
    """An example for fine-tuning: the last message is the answer."""
    messages = objects(content.get("messages"))
    if len(messages) < 2 or messages[-1].get("role") != "assistant":
        raise ValueError("messages: they do not end with an answer of the assistant")
    row = {
        "id": fingerprint_of(content),
        "messages": asked(messages[:-1]),
        "response": answered(messages[-1]),
        "model": text(content.get("model")),
        "tags": tag_values(metadata_of(content)),
    }
    return known(row)


def fingerprint_of(content: Mapping[str, Any]) -> str:
    """An id for what has none: the same content has the same id, so that an import may be repeated."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return "chat-" + hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
