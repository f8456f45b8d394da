"""OpenTelemetry traces in OTLP/JSON: spans of model calls by the GenAI conventions, old and new, and by OpenInference.

A span is an interaction when it holds messages. Its parent is the nearest span around it, in the same record, that is one too.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any

from continuum.signals import semconv
from continuum.signals.formats.attributes import hex_id, numbered, plain_attributes, spans_in, without_prefix
from continuum.signals.formats.chat import answered, asked, message_of
from continuum.signals.formats.found import Bad, Found, Item, Passed, inside, reason_in
from continuum.signals.formats.lines import Line
from continuum.signals.formats.values import (
    an_object,
    from_nanoseconds,
    id_in,
    json_in,
    known,
    labelled,
    milliseconds_between,
    number,
    objects,
    required_id,
    tag_values,
    text,
    tokens,
)

OTHER_OPERATIONS = {"execute_tool", "embeddings", "create_agent", "retrieval", "invoke_workflow"}
OTHER_KINDS = {"TOOL", "RETRIEVER", "EMBEDDING", "RERANKER", "GUARDRAIL", "EVALUATOR"}
MODEL_OPERATIONS = {"chat", "text_completion", "generate_content"}
NO_MODEL_CALL = "spans that are no calls of a model"
NO_CONTENT = "model calls without their messages: the application did not let them be recorded"
SCALE_UNKNOWN = "evaluations whose scale nobody knows: kept as labels, they are no scores"

ASKED_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
ERROR_CODES = (2, "2", "STATUS_CODE_ERROR", "ERROR")


class OTLPReader:
    """Reads OTLP/JSON."""

    def items(self, record: Line) -> Iterator[Item]:
        """The interactions among the spans of one record."""
        content = an_object(record.content, "the line")
        spans = [(path, Span(resource, span)) for path, resource, span in spans_in(content)]
        if not spans and "resourceSpans" not in content and "resource_spans" not in content:
            raise ValueError("resourceSpans: Field required")
        calls = {span.key: span for _, span in spans if span.is_interaction and span.key}
        parents = {span.key: span.parent_key for _, span in spans if span.key}
        for path, span in spans:
            where = inside(record.path, path)
            if not span.is_interaction:
                yield Passed(NO_CONTENT if span.is_model_call else NO_MODEL_CALL)
                continue
            try:
                notes = (SCALE_UNKNOWN,) if any(not is_ours(event) for event in span.evaluations) else ()
                yield Found(span.row(nearest(span, parents, calls)), where, notes)
            except (ValueError, RecursionError) as error:
                yield Bad(reason_in(error), where)


def nearest(span: "Span", parents: Mapping[str, str | None], calls: Mapping[str, "Span"]) -> str | None:
    """The id of the nearest interaction around a span."""
    key, seen = span.parent_key, {span.key}
    while key and key not in seen:
        if key in calls:
            return calls[key].id
        seen.add(key)
        key = parents.get(key)
    return None


class Span:
    """A span, its attributes by the names of today."""

    def __init__(self, resource: dict[str, Any], span: dict[str, Any]) -> None:
        self.resource = resource
        self.span = span
        self.trace_id = hex_id(span.get("traceId", span.get("trace_id")))
        self.span_id = hex_id(span.get("spanId", span.get("span_id")))
        self.key = f"{self.trace_id}-{self.span_id}" if self.trace_id and self.span_id else ""
        parent = hex_id(span.get("parentSpanId", span.get("parent_span_id")))
        self.parent_key = f"{self.trace_id}-{parent}" if parent else None
        self.events = [(text(one.get("name")), plain_attributes(one.get("attributes"))) for one in objects(span.get("events"))]
        written = plain_attributes(span.get("attributes"))
        # Some instrumentations write the messages to an event of the span, and its numbers to the span.
        details = [attributes for name, attributes in self.events if name == semconv.DETAILS_EVENT]
        self.written = dict(ChainMap(written, *details))
        self.attributes = {
            semconv.OLDER[name]: value for name, value in self.written.items() if name in semconv.OLDER
        } | self.written
        self.operation = text(self.attributes.get(semconv.OPERATION_NAME))
        self.kind = text(self.written.get("openinference.span.kind"))
        self.is_model_call = self.operation in MODEL_OPERATIONS or self.kind == "LLM" or "llm.request.type" in self.written
        self.asked_in, self.answered_in = self._asked_in(), self._answered_in()

    @property
    def is_interaction(self) -> bool:
        """Whether a model was asked something here, and what is known."""
        other = self.operation in OTHER_OPERATIONS or self.kind in OTHER_KINDS
        return not other and bool(self.asked_in or self.answered_in)

    @property
    def id(self) -> str:
        """Ours where it is one of ours, else the ids of the trace and the span."""
        return id_in(self.attributes.get(semconv.INTERACTION_ID)) or required_id(self.key, "traceId, spanId")

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """What was said of the answer."""
        return [attributes for _, attributes in self.events if semconv.EVALUATION_NAME in attributes]

    # --- what was said ---

    def _asked_in(self) -> Any:
        found = self._written_as(semconv.INPUT_MESSAGES, "gen_ai.prompt", "llm.input_messages", "gen_ai.content.prompt")
        found = found or [spoken(said, ASKED_EVENTS[name]) for name, said in self.events if name in ASKED_EVENTS]
        return found or (json_in(self.written.get("input.value")) if self.kind == "LLM" else None)

    def _answered_in(self) -> Any:
        found = self._written_as(semconv.OUTPUT_MESSAGES, "gen_ai.completion", "llm.output_messages", "gen_ai.content.completion")
        found = found or [chosen(said) for name, said in self.events if name == "gen_ai.choice"]
        return found or (json_in(self.written.get("output.value")) if self.kind == "LLM" else None)

    def _written_as(self, name: str, older: str, inference: str, event: str) -> Any:
        """Messages by the name of today, as numbered attributes, or in the event that an earlier convention had for them."""
        found = json_in(self.attributes.get(name)) or unnumbered(self.written, older, inference)
        return found or next((json_in(said.get(older)) for named, said in self.events if named == event), None)

    def _messages(self) -> list[dict[str, Any]]:
        system = json_in(self.attributes.get(semconv.SYSTEM_INSTRUCTIONS))
        parts = [{"type": "text", "content": system}] if isinstance(system, str) else objects(system)
        told = message_of({"role": "system", "parts": parts}) if parts else []
        return told + asked(self.asked_in) if self.asked_in else told

    def _answer(self) -> dict[str, Any] | None:
        found = self.answered_in
        # Each output message is one choice; OpenLLMetry and OpenInference number them the same way.
        return answered(found[:1] if isinstance(found, list) and found and is_choices(found) else found)

    # --- the row ---

    def row(self, parent_id: str | None) -> dict[str, Any]:
        """The interaction in the plain form."""
        found, span = self.attributes, self.span
        start = from_nanoseconds(span.get("startTimeUnixNano", span.get("start_time_unix_nano")), "startTimeUnixNano")
        end = from_nanoseconds(span.get("endTimeUnixNano", span.get("end_time_unix_nano")), "endTimeUnixNano")
        first_chunk = number(found.get(semconv.TIME_TO_FIRST_CHUNK))
        row = {
            "id": self.id,
            "task": text(found.get(semconv.TASK)),
            "messages": self._messages(),
            "response": self._answer(),
            "started_at": start,
            "latency_ms": number(found.get(semconv.LATENCY_MS)) or milliseconds_between(start, end) or None,
            "time_to_first_chunk_ms": None if first_chunk is None else first_chunk * 1000,
            "model": text(found.get(semconv.RESPONSE_MODEL)) or text(found.get(semconv.REQUEST_MODEL)),
            "conversation_id": id_in(found.get(semconv.CONVERSATION_ID)) or id_in(found.get(semconv.SESSION_ID)),
            "user_id": id_in(found.get(semconv.USER_ID)),
            "user_hash": text(found.get(semconv.USER_HASH)),
            "parent_id": id_in(found.get(semconv.PARENT_ID)) or parent_id,
            "provider_response_id": id_in(found.get(semconv.RESPONSE_ID)),
            "input_tokens": tokens(found.get(semconv.INPUT_TOKENS)),
            "output_tokens": tokens(found.get(semconv.OUTPUT_TOKENS)),
            "cached_tokens": tokens(found.get(semconv.CACHED_TOKENS)),
            "reasoning_tokens": tokens(found.get(semconv.REASONING_TOKENS)),
            "deployment_id": id_in(found.get(semconv.DEPLOYMENT_ID)),
            "variant": id_in(found.get(semconv.VARIANT)),
            "tags": self._tags(),
            "feedback": [evaluation(event) for event in self.evaluations],
            **self._outcome(),
        }
        cost = number(found.get(semconv.COST_USD))
        return known(row) | ({"cost_usd": cost} if cost is not None or self.is_ours else {})

    @property
    def is_ours(self) -> bool:
        """Whether Continuum wrote it: then what it does not say is not known, and not to be guessed."""
        return semconv.INTERACTION_ID in self.attributes

    def _tags(self) -> dict[str, str]:
        ours = {
            name.removeprefix(semconv.TAG_PREFIX): value
            for name, value in self.attributes.items()
            if name.startswith(semconv.TAG_PREFIX) and isinstance(value, str)
        }
        if self.is_ours:
            return ours
        about = {"service": self.resource.get("service.name"), "trace_id": self.trace_id, "span_id": self.span_id}
        return tag_values(about | ours)

    def _outcome(self) -> dict[str, Any]:
        status = self.span.get("status")
        status = status if isinstance(status, Mapping) else {}
        ours = self.attributes.get(semconv.STATUS)
        failed = status.get("code") in ERROR_CODES or semconv.ERROR_TYPE in self.attributes
        words = text(status.get("message")) or text(self.attributes.get(semconv.ERROR_TYPE))
        if ours in ("error", "cancelled"):
            return {"status": ours, "error": words}
        return {"status": "error", "error": words or "the span says no more than that it failed"} if failed else {}


def unnumbered(attributes: Mapping[str, Any], *prefixes: str) -> list[Any]:
    """Messages that were written as numbered attributes, by OpenLLMetry or by OpenInference."""
    for prefix in prefixes:
        found = without_prefix(numbered(attributes, prefix), ("message", "message_content", "tool_call"))
        if found:
            return [unfolded(message) for message in found if isinstance(message, dict)]
    return []


def unfolded(message: dict[str, Any]) -> dict[str, Any]:
    """A message whose parts were written under a name of their own, or as JSON text."""
    content = message.get("content")
    if content is None and "contents" in message:
        content = message["contents"]
    elif isinstance(content, str) and content.startswith('[{"type"'):
        content = json_in(content)
    dropped = ("contents", "content", "finish_reason")
    return {"role": "assistant", **{name: value for name, value in message.items() if name not in dropped}, "content": content}


def spoken(attributes: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The message of an event; its body may be JSON text in an attribute."""
    body = json_in(attributes.get("gen_ai.event.content"))
    found = body if isinstance(body, dict) else attributes
    message = {"role": text(found.get("role")) or role, "content": found.get("content")}
    if calls := json_in(found.get("tool_calls")):
        message["tool_calls"] = calls
    if role == "tool" and text(found.get("id")):
        message["tool_call_id"] = found["id"]
    return message


def chosen(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a `gen_ai.choice` event."""
    body = json_in(attributes.get("gen_ai.event.content"))
    found = body if isinstance(body, dict) else attributes
    message = json_in(found.get("message"))
    if isinstance(message, str):
        return {"role": "assistant", "content": message}
    return spoken(message if isinstance(message, dict) else found, "assistant")


def is_choices(found: list[Any]) -> bool:
    """Whether output messages are alternatives; items of a Responses answer belong together."""
    return all(isinstance(one, Mapping) and "role" in one for one in found)


def is_ours(event: Mapping[str, Any]) -> bool:
    """Whether an evaluation is feedback that Continuum wrote: then its score is from 1 to 5."""
    return semconv.FEEDBACK_ID in event


def evaluation(event: dict[str, Any]) -> dict[str, Any]:
    """What an evaluation says: ours is taken back as it was, another's value is on a scale that nobody knows."""
    if is_ours(event):
        said = {name: event.get(f"{semconv.FEEDBACK_PREFIX}{name}") for name in semconv.FEEDBACK_FIELDS}
        said |= {"label": event.get(semconv.EVALUATION_LABEL), "comment": event.get(semconv.EVALUATION_EXPLANATION)}
        return known(said | {"score": event.get(semconv.EVALUATION_SCORE)})
    value = event.get(semconv.EVALUATION_LABEL)
    value = event.get(semconv.EVALUATION_SCORE) if value is None else value
    said = {
        "label": labelled(event.get(semconv.EVALUATION_NAME), value),
        "comment": text(event.get(semconv.EVALUATION_EXPLANATION)),
    }
    return known(said)
