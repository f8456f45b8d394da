"""Stored interactions as OpenTelemetry spans, where the application has set the SDK up; where it has not, nothing is done.

The spans are made in the drainer's thread, of what was stored: after redaction, once, with the times at which things happened.
Their names are those of `semconv`. Words are left out where OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is `false`.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from continuum.records import Interaction, Message
from continuum.signals import semconv

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

SDK = "opentelemetry.sdk.trace"
NO_WORDS = {"false", "0", "no_content"}
TRACE_TAGS = {"trace_id", "span_id", "trace_flags"}
OPENAI_IDS = ("chatcmpl-", "resp_")
"""How the ids of answers begin that came in OpenAI's form."""


def export_spans(interactions: Sequence[Interaction]) -> None:
    """Give the application's tracer provider a span for each interaction."""
    tracer = tracer_of_application()
    if tracer is None:
        return
    words = os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").lower() not in NO_WORDS
    for interaction in interactions:
        export_span(tracer, interaction, words=words)


def tracer_of_application() -> "Tracer | None":
    """A tracer of the SDK that the application has set up; None where it has set up none."""
    sdk = sys.modules.get(SDK)
    if sdk is None:
        return None
    from opentelemetry.trace import get_tracer_provider

    provider = get_tracer_provider()
    return provider.get_tracer("continuum", schema_url=semconv.SCHEMA_URL) if isinstance(provider, sdk.TracerProvider) else None


def export_span(tracer: "Tracer", interaction: Interaction, *, words: bool) -> None:
    """One span, as a child of the one that was current when the call was made."""
    from opentelemetry.trace import SpanKind, Status, StatusCode

    began = int(interaction.started_at.timestamp() * 1_000_000) * 1000
    attributes = dict(attributes_of(interaction))
    if words:
        attributes |= words_of(interaction)
    name = f"{semconv.CHAT} {interaction.model}" if interaction.model else semconv.CHAT
    span = tracer.start_span(name, context=parent_of(interaction), kind=SpanKind.CLIENT, start_time=began, attributes=attributes)
    if interaction.status == "error":
        span.set_status(Status(StatusCode.ERROR, (interaction.error if words else None) or None))
    span.end(end_time=began + int((interaction.latency_ms or 0) * 1_000_000))


def parent_of(interaction: Interaction) -> "Context":
    """The context of the span that the call was made in; an empty one where there was none."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    try:
        trace_id, span_id = int(interaction.tags["trace_id"], 16), int(interaction.tags["span_id"], 16)
    except (KeyError, ValueError):
        return Context()
    flags = TraceFlags(TraceFlags.DEFAULT if interaction.tags.get("trace_flags") == "00" else TraceFlags.SAMPLED)
    return set_span_in_context(NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags)), Context())


def attributes_of(interaction: Interaction) -> Iterator[tuple[str, Any]]:
    """What a span says of an interaction, without its words."""
    first_chunk = interaction.time_to_first_chunk_ms
    values = {
        semconv.OPERATION_NAME: semconv.CHAT,
        semconv.PROVIDER_NAME: "openai" if (interaction.provider_response_id or "").startswith(OPENAI_IDS) else None,
        semconv.REQUEST_MODEL: interaction.model,
        semconv.RESPONSE_MODEL: interaction.model if interaction.response else None,
        semconv.RESPONSE_ID: interaction.provider_response_id,
        semconv.FINISH_REASONS: [finish_reason(interaction)] if interaction.response else None,
        semconv.TIME_TO_FIRST_CHUNK: None if first_chunk is None else first_chunk / 1000,
        semconv.CONVERSATION_ID: interaction.conversation_id,
        semconv.USER_ID: interaction.user_id,
        semconv.INPUT_TOKENS: interaction.input_tokens,
        semconv.OUTPUT_TOKENS: interaction.output_tokens,
        semconv.CACHED_TOKENS: interaction.cached_tokens,
        semconv.REASONING_TOKENS: interaction.reasoning_tokens,
        semconv.ERROR_TYPE: interaction.error.partition(":")[0] if interaction.error else None,
        semconv.INTERACTION_ID: interaction.id,
        semconv.TASK: interaction.task,
        semconv.PARENT_ID: interaction.parent_id,
        semconv.COST_USD: interaction.cost_usd,
        semconv.DEPLOYMENT_ID: interaction.deployment_id,
        semconv.VARIANT: interaction.variant,
        semconv.STATUS: interaction.status,
    }
    yield from ((name, value) for name, value in values.items() if value is not None)


def words_of(interaction: Interaction) -> dict[str, str]:
    """What was asked and answered, and the tags."""
    found = {semconv.INPUT_MESSAGES: json.dumps([spoken(message) for message in interaction.messages], ensure_ascii=False)}
    if interaction.response is not None:
        answer = spoken(interaction.response) | {"finish_reason": finish_reason(interaction)}
        found[semconv.OUTPUT_MESSAGES] = json.dumps([answer], ensure_ascii=False)
    return found | {semconv.TAG_PREFIX + name: text for name, text in interaction.tags.items() if name not in TRACE_TAGS}


def finish_reason(interaction: Interaction) -> str:
    """Why the model stopped, in the convention's words."""
    calls = interaction.response is not None and interaction.response.tool_calls
    return interaction.tags.get("finish_reason") or ("tool_call" if calls else "stop")


def spoken(message: Message) -> dict[str, Any]:
    """A message in the convention's form."""
    if message.role == "tool":
        return {"role": "tool", "parts": [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}]}
    content = message.content if isinstance(message.content, list) else [{"type": "text", "text": message.content}]
    parts = [part for said in content if (part := part_of(said)) is not None]
    for call in message.tool_calls or ():
        arguments = parsed(call.function.arguments)
        parts.append({"type": "tool_call", "id": call.id, "name": call.function.name, "arguments": arguments})
    return {"role": message.role, "parts": parts}


def part_of(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """A part of a message's content: its words, the address of a picture, or only its kind; None where it is empty."""
    if isinstance(part.get("text"), str):
        return {"type": "text", "content": part["text"]}
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        return {"type": "uri", "modality": "image", "uri": url}
    return None if part.get("type") == "text" else {"type": str(part.get("type"))}


def parsed(arguments: str) -> Any:
    """Arguments as JSON, or as text where they are none."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
