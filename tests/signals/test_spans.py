import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from continuum.records import Message
from continuum.signals import semconv
from continuum.signals.current import context
from continuum.signals.decorator import capture
from continuum.signals.spans import spoken
from tests.signals.conftest import Kept, Provider


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What an application's own SDK exports; the SDK allows one provider a process, so it is put in place by hand."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def one_of(exporter: InMemorySpanExporter, kept: Kept) -> tuple[ReadableSpan, dict[str, Any]]:
    """The only span that is ours, once everything is stored."""
    kept.all()
    (span,) = (span for span in exporter.get_finished_spans() if semconv.INTERACTION_ID in (span.attributes or {}))
    return span, dict(span.attributes or {})


def test_a_stored_call_is_a_span_with_the_conventions_names(
    provider: Provider, kept: Kept, exported: InMemorySpanExporter
) -> None:
    client: Any = OpenAI(base_url=provider.base_url, api_key="test", max_retries=0)
    with client, context(conversation_id="c1"):
        capture(lambda text: client.responses.create(model="gpt-4o-mini", input=text), task="support")("Hi")

    span, attributes = one_of(exported, kept)
    found = kept.one()
    assert (span.name, span.kind, span.status.status_code) == ("chat gpt-4o-mini", SpanKind.CLIENT, StatusCode.UNSET)
    assert {name: attributes[name] for name in attributes if name.startswith("gen_ai.") and "messages" not in name} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini",
        "gen_ai.response.id": "resp_1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.conversation.id": "c1",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.reasoning.output_tokens": 4,
    }
    assert json.loads(attributes["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    assert json.loads(attributes["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "You said: Hi"}], "finish_reason": "stop"}
    ]
    assert (attributes["continuum.interaction.id"], attributes["continuum.task"]) == (found.id, "support")
    assert attributes["continuum.cost_usd"] == pytest.approx(found.cost_usd)
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time == pytest.approx(found.started_at.timestamp() * 1e9, abs=2000)
    assert (span.end_time - span.start_time) / 1e6 == pytest.approx(found.latency_ms, abs=0.01)


def test_a_span_is_the_child_of_the_one_that_was_current_when_the_call_was_made(
    kept: Kept, exported: InMemorySpanExporter
) -> None:
    with trace.get_tracer("app").start_as_current_span("request") as outer:
        capture(lambda text: text, task="support")("Hi")

    span, attributes = one_of(exported, kept)
    assert span.parent is not None
    assert span.context is not None
    assert span.parent.span_id == outer.get_span_context().span_id
    assert span.context.trace_id == outer.get_span_context().trace_id
    assert not any("trace_id" in name for name in attributes)
    assert kept.one().tags == {
        "trace_id": f"{outer.get_span_context().trace_id:032x}",
        "span_id": f"{outer.get_span_context().span_id:016x}",
    }


def test_what_the_application_does_not_trace_is_not_exported(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(sampler=ParentBased(ALWAYS_OFF))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    with trace.get_tracer("app").start_as_current_span("request"):
        capture(lambda text: text, task="support")("Hi")

    assert kept.one().tags["trace_flags"] == "00"
    assert exporter.get_finished_spans() == ()


def test_personal_data_is_gone_before_a_span_is_made(kept: Kept, exported: InMemorySpanExporter) -> None:
    with context(user_id="bob"):
        capture(lambda text, note: text, task="support", redact="drain")("mail me at bob@example.com", "bob@example.com")

    span, attributes = one_of(exported, kept)
    assert "[EMAIL]" in attributes["gen_ai.input.messages"]
    assert "bob" not in span.to_json()


def test_words_are_left_out_where_the_application_says_so(
    kept: Kept, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "false")
    capture(lambda text, note: text, task="support")("the question", "the note")

    span, _ = one_of(exported, kept)
    assert "the question" not in span.to_json()
    assert "the note" not in span.to_json()


def test_an_error_is_the_spans_status(kept: Kept, exported: InMemorySpanExporter) -> None:
    def handle(text: str) -> str:
        raise ValueError("no such order")

    with pytest.raises(ValueError, match="no such order"):
        capture(handle, task="support")("Hi")

    span, attributes = one_of(exported, kept)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError: no such order")
    assert attributes["error.type"] == "ValueError"
    assert semconv.FINISH_REASONS not in attributes


def test_tools_and_pictures_are_parts_of_a_message() -> None:
    call = {"id": "c", "function": {"name": "find", "arguments": '{"n": 7}'}}
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

    calls = spoken(Message.model_validate({"role": "assistant", "content": None, "tool_calls": [call]}))
    answered = spoken(Message(role="tool", content="shipped", tool_call_id="c"))
    asked = spoken(Message(role="user", content=[{"type": "text", "text": "see"}, picture, inline]))

    assert calls["parts"] == [{"type": "tool_call", "id": "c", "name": "find", "arguments": {"n": 7}}]
    assert answered["parts"] == [{"type": "tool_call_response", "id": "c", "response": "shipped"}]
    assert asked["parts"] == [
        {"type": "text", "content": "see"},
        {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
        {"type": "image_url"},
    ]


def test_without_an_sdk_nothing_is_loaded_and_nothing_is_noted() -> None:
    program = """
import sys
from continuum.signals.decorator import capture
from continuum.spool.spool import flush
from continuum.store import default_store
assert capture(lambda text: text, task="t")("hi") == "hi"
assert flush(20)
(found,) = default_store().interactions.scan("t")
sys.exit(str([name for name in sys.modules if name.startswith("opentelemetry")] or found.tags or "") or 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_with_the_api_alone_nothing_is_exported_and_nothing_fails(kept: Kept) -> None:
    capture(lambda text: text, task="support")("Hi")

    assert kept.one().tags == {}


def test_every_name_that_is_written_is_one_of_the_conventions() -> None:
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_") and isinstance(value, str)}
    names = {name: value for name, value in vars(semconv).items() if isinstance(value, str) and value.startswith("gen_ai.")}
    ours = {value for name, value in names.items() if not name.endswith("_EVENT")}

    assert ours <= known
