"""Interactions written as OTLP/JSON spans by OpenTelemetry's names, with feedback as evaluation events."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from continuum.records import Feedback, Interaction, Message
from continuum.signals import semconv
from continuum.signals.formats.attributes import typed_attributes
from continuum.signals.formats.parts import to_parts
from continuum.signals.formats.plain import nanoseconds

CLIENT = 3
"""The kind of a span that calls another service."""
OK, ERROR = 1, 2
TRACE_ID, SPAN_ID = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")


def otlp_document(interactions: Sequence[Interaction], opinions: Mapping[str, Sequence[Feedback]]) -> dict[str, Any]:
    """One document with a span for each interaction."""
    scope = {
        "scope": {"name": "continuum"},
        "spans": [span_of(one, opinions.get(one.id, ())) for one in interactions],
        "schemaUrl": semconv.SCHEMA_URL,
    }
    resource = {"attributes": typed_attributes({"service.name": "continuum"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def span_of(one: Interaction, said: Sequence[Feedback]) -> dict[str, Any]:
    """The span of an interaction; it keeps the ids of the span that the call ran in."""
    start = nanoseconds(one.started_at)
    trace_id, span_id = one.tags.get("trace_id", ""), one.tags.get("span_id", "")
    span = {
        # Without a trace of its own, a call and those made inside it share one.
        "traceId": trace_id if TRACE_ID.fullmatch(trace_id) else digest(one.parent_id or one.id, 16),
        "spanId": span_id if SPAN_ID.fullmatch(span_id) else digest(one.id, 8),
        "name": f"{semconv.CHAT} {one.model}" if one.model else semconv.CHAT,
        "kind": CLIENT,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + round((one.latency_ms or 0.0) * 1_000_000)),
        "attributes": typed_attributes(attributes_of(one)),
        "events": [event_of(feedback) for feedback in said],
        "status": {"code": OK} if one.status == "ok" else {"code": ERROR, "message": one.error or ""},
    }
    if one.parent_id is not None:
        span["parentSpanId"] = digest(one.parent_id, 8)
    return span


def attributes_of(one: Interaction) -> dict[str, Any]:
    """What a span says of an interaction."""
    first_chunk = one.time_to_first_chunk_ms
    return {
        semconv.OPERATION_NAME: semconv.CHAT,
        semconv.INTERACTION_ID: one.id,
        semconv.TASK: one.task,
        semconv.STATUS: one.status,
        semconv.RESPONSE_MODEL: one.model,
        semconv.RESPONSE_ID: one.provider_response_id,
        semconv.CONVERSATION_ID: one.conversation_id,
        semconv.USER_HASH: one.user_id,
        semconv.PARENT_ID: one.parent_id,
        semconv.DEPLOYMENT_ID: one.deployment_id,
        semconv.VARIANT: one.variant,
        semconv.INPUT_TOKENS: one.input_tokens,
        semconv.OUTPUT_TOKENS: one.output_tokens,
        semconv.CACHED_TOKENS: one.cached_tokens,
        semconv.REASONING_TOKENS: one.reasoning_tokens,
        semconv.TIME_TO_FIRST_CHUNK: None if first_chunk is None else first_chunk / 1000,
        semconv.LATENCY_MS: one.latency_ms,
        semconv.COST_USD: one.cost_usd,
        semconv.INPUT_MESSAGES: json_of([in_parts(message) for message in one.messages]),
        semconv.OUTPUT_MESSAGES: None if one.response is None else json_of([in_parts(one.response)]),
        **{f"{semconv.TAG_PREFIX}{name}": value for name, value in one.tags.items()},
    }


def in_parts(message: Message) -> dict[str, Any]:
    """A message as the conventions write it."""
    name = (message.model_extra or {}).get("name")
    return {"role": message.role, "parts": to_parts(message), **({"name": name} if isinstance(name, str) else {})}


def event_of(feedback: Feedback) -> dict[str, Any]:
    """Feedback as an evaluation; what the conventions have no name for stands under ours, so that it can be taken back."""
    written = feedback.model_dump(mode="json", exclude_none=True)
    ours = {name: written.get("user_id" if name == "user_hash" else name) for name in semconv.FEEDBACK_FIELDS}
    attributes = {
        semconv.EVALUATION_NAME: f"{feedback.kind} feedback",
        semconv.EVALUATION_SCORE: None if feedback.score is None else float(feedback.score),
        semconv.EVALUATION_LABEL: feedback.label,
        semconv.EVALUATION_EXPLANATION: feedback.comment,
        **{f"{semconv.FEEDBACK_PREFIX}{name}": value for name, value in ours.items()},
    }
    return {
        "name": semconv.EVALUATION_EVENT,
        "timeUnixNano": str(nanoseconds(feedback.recorded_at)),
        "attributes": typed_attributes(attributes),
    }


def json_of(value: Any) -> str:
    """JSON text."""
    return orjson.dumps(value).decode()


def digest(text: str, size: int) -> str:
    """An id of so many bytes: the same for the same text."""
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
