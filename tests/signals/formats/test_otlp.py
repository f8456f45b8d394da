import json
from datetime import UTC, datetime
from typing import Any

import pytest

from continuum.signals.formats.attributes import typed_attributes
from continuum.signals.formats.otlp import NO_CONTENT, NO_MODEL_CALL, SCALE_UNKNOWN
from tests.signals.formats.conftest import Logs

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
START = 1772366400_000_000_000


def a_span(number: int, attributes: dict[str, Any], *, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    span = {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "name": "chat gpt-4",
        "kind": 3,
        "startTimeUnixNano": str(START + number * 1_000_000_000),
        "endTimeUnixNano": str(START + number * 1_000_000_000 + 250_000_000),
        "attributes": typed_attributes(attributes),
        "status": {},
    }
    return span | fields | ({} if parent is None else {"parentSpanId": f"{parent:016x}"})


def a_document(*spans: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": typed_attributes({"service.name": "shop"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "lib"}, "spans": list(spans)}]}]}


def texts(role: str, *words: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": one} for one in words]}


TODAY = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-9",
    "gen_ai.conversation.id": "conversation-1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.response.time_to_first_chunk": 0.125,
    "gen_ai.usage.input_tokens": 52,
    "gen_ai.usage.output_tokens": 47,
    "gen_ai.usage.cache_read.input_tokens": 12,
    "gen_ai.usage.reasoning.output_tokens": 7,
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be kind."}]),
    "gen_ai.input.messages": json.dumps([texts("user", "Where is order 7?")]),
    "gen_ai.output.messages": json.dumps([{**texts("assistant", "In Bonn."), "finish_reason": "stop"}]),
    "user.id": "anna@example.com",
}


def test_a_span_of_todays_conventions_brings_all_that_it_says(logs: Logs) -> None:
    report = logs.take_document(a_document(a_span(1, TODAY)))

    assert (report.format, report.added, report.refused, report.notes) == ("otlp", 1, (), ())
    (one,) = logs.stored()
    assert [(message.role, message.content) for message in one.conversation] == [
        ("system", "Be kind."),
        ("user", "Where is order 7?"),
        ("assistant", "In Bonn."),
    ]
    assert (one.id, one.model) == (f"{TRACE}-{1:016x}", "gpt-4o-2024-08-06")
    assert (one.provider_response_id, one.conversation_id) == ("chatcmpl-9", "conversation-1")
    assert (one.input_tokens, one.output_tokens, one.cached_tokens, one.reasoning_tokens) == (52, 47, 12, 7)
    assert (one.latency_ms, one.time_to_first_chunk_ms) == (250, 125)
    assert one.started_at == datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
    assert one.tags == {"service": "shop", "trace_id": TRACE, "span_id": f"{1:016x}"}
    assert one.user_id is not None
    assert "anna" not in one.user_id


def test_tool_calls_and_tool_results_in_parts_become_openais(logs: Logs) -> None:
    asked = [
        texts("user", "Where is order 7?"),
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"number": 7}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"town": "Bonn"}}]},
    ]
    said = {
        "role": "assistant",
        "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "In Bonn."}],
        "finish_reason": "stop",
    }
    messages = {"gen_ai.input.messages": json.dumps(asked), "gen_ai.output.messages": json.dumps([said])}
    logs.take(a_document(a_span(1, TODAY | messages | {"gen_ai.system_instructions": None})))

    (one,) = logs.stored()
    assert [message.role for message in one.messages] == ["user", "assistant", "tool"]
    assert one.messages[1].action == 'find({"number":7})'
    assert (one.messages[2].tool_call_id, one.messages[2].text) == ("c1", '{"town": "Bonn"}')
    assert one.response is not None
    assert one.response.content == "In Bonn."


OLDER: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    (
        "numbered attributes",
        {
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "gpt-4o",
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be kind.",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": "Hi",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "Hello",
            "gen_ai.completion.0.finish_reason": "tool_calls",
            "gen_ai.completion.0.tool_calls.0.id": "c1",
            "gen_ai.completion.0.tool_calls.0.name": "find",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"a": 1}',
            "gen_ai.usage.prompt_tokens": 10,
            "gen_ai.usage.completion_tokens": 5,
        },
        [],
    ),
    (
        "OpenInference",
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "session.id": "s1",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Be kind.",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.type": "text",
            "llm.input_messages.1.message.contents.0.message_content.text": "Hi",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "Hello",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "find",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"a": 1}',
            "llm.token_count.prompt": 10,
            "llm.token_count.completion": 5,
        },
        [],
    ),
    (
        "events",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.response.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
        },
        [
            {"name": "gen_ai.system.message", "attributes": typed_attributes({"content": "Be kind."})},
            {"name": "gen_ai.user.message", "attributes": typed_attributes({"content": "Hi"})},
            {
                "name": "gen_ai.choice",
                "attributes": typed_attributes(
                    {
                        "index": 0,
                        "message": json.dumps(
                            {
                                "role": "assistant",
                                "content": "Hello",
                                "tool_calls": [{"id": "c1", "function": {"name": "find", "arguments": '{"a": 1}'}}],
                            }
                        ),
                    }
                ),
            },
        ],
    ),
    (
        "one event with the details",
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10},
        [
            {
                "name": "gen_ai.client.inference.operation.details",
                "attributes": typed_attributes(
                    {
                        "gen_ai.usage.output_tokens": 5,
                        "gen_ai.input.messages": json.dumps([texts("system", "Be kind."), texts("user", "Hi")]),
                        "gen_ai.output.messages": json.dumps(
                            [
                                {
                                    "role": "assistant",
                                    "parts": [
                                        {"type": "text", "content": "Hello"},
                                        {"type": "tool_call", "id": "c1", "name": "find", "arguments": {"a": 1}},
                                    ],
                                }
                            ]
                        ),
                    }
                ),
            }
        ],
    ),
    (
        "JSON in the prompt's and the completion's events",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
        },
        [
            {
                "name": "gen_ai.content.prompt",
                "attributes": typed_attributes(
                    {"gen_ai.prompt": json.dumps([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}])}
                ),
            },
            {
                "name": "gen_ai.content.completion",
                "attributes": typed_attributes(
                    {
                        "gen_ai.completion": json.dumps(
                            [
                                {
                                    "role": "assistant",
                                    "content": "Hello",
                                    "tool_calls": [{"id": "c1", "name": "find", "args": {"a": 1}}],
                                }
                            ]
                        )
                    }
                ),
            },
        ],
    ),
]


@pytest.mark.parametrize(("attributes", "events"), [one[1:] for one in OLDER], ids=[one[0] for one in OLDER])
def test_other_and_older_names_say_the_same(logs: Logs, attributes: dict[str, Any], events: list[dict[str, Any]]) -> None:
    assert logs.take(a_document(a_span(1, attributes, events=events))).added == 1

    (one,) = logs.stored()
    assert [(message.role, message.text) for message in one.messages] == [("system", "Be kind."), ("user", "Hi")]
    assert one.response is not None
    assert (one.response.role, one.response.content, one.response.action) == ("assistant", "Hello", 'find({"a":1})')
    assert (one.model, one.input_tokens, one.output_tokens) == ("gpt-4o", 10, 5)


def test_the_parent_is_the_nearest_span_around_that_is_an_interaction_too(logs: Logs) -> None:
    agent = a_span(1, TODAY | {"gen_ai.operation.name": "invoke_agent"})
    tool = a_span(2, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}, parent=1)
    inner = a_span(3, TODAY, parent=2)
    report = logs.take(a_document(agent, tool, inner))

    assert report.notes == (f"1 {NO_MODEL_CALL}",)
    parents = {one.id: one.parent_id for one in logs.stored()}
    assert parents == {f"{TRACE}-{1:016x}": None, f"{TRACE}-{3:016x}": f"{TRACE}-{1:016x}"}


def test_spans_that_are_their_own_ancestors_end_nowhere(logs: Logs) -> None:
    other = {"gen_ai.operation.name": "execute_tool"}
    report = logs.take(a_document(a_span(1, other, parent=2), a_span(2, other, parent=1), a_span(3, TODAY, parent=1)))
    assert report.added == 1


def test_evaluations_are_labels_for_nobody_knows_their_scale(logs: Logs) -> None:
    event = {
        "name": "gen_ai.evaluation.result",
        "attributes": typed_attributes(
            {
                "gen_ai.evaluation.name": "relevance",
                "gen_ai.evaluation.score.value": 0.8,
                "gen_ai.evaluation.explanation": "to the point",
            }
        ),
    }
    report = logs.take(a_document(a_span(1, TODAY, events=[event])))

    assert (report.feedback_added, report.notes) == (1, (f"1 {SCALE_UNKNOWN}",))
    (said,) = logs.said()
    assert (said.score, said.label, said.comment) == (None, "relevance: 0.8", "to the point")


def test_calls_without_content_are_counted_and_failed_ones_kept(logs: Logs) -> None:
    silent = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    failed = {name: value for name, value in TODAY.items() if name != "gen_ai.output.messages"}
    report = logs.take(
        a_document(a_span(1, silent), a_span(2, failed, status={"code": 2, "message": "timed out"}), a_span(3, failed))
    )

    assert (report.read, report.added, report.notes) == (2, 1, (f"1 {NO_CONTENT}",))
    assert [(one.status, one.error) for one in logs.stored()] == [("error", "timed out")]
    (refusal,) = report.refused
    assert (refusal.path, refusal.reason) == ("resourceSpans.0.scopeSpans.0.spans.2", "response: Field required")


def test_lines_and_ids_in_base64_are_read_too_and_an_import_may_be_repeated(logs: Logs) -> None:
    encoded = a_span(2, TODAY) | {"traceId": "S/kvNXezTaajzpKdDg5HNg==", "spanId": "AAAAAAAAAAI="}
    assert logs.take(a_document(a_span(1, TODAY)), a_document(encoded)).added == 2
    assert logs.take(a_document(a_span(1, TODAY), a_span(2, TODAY), a_span(2, TODAY))).already_there == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"startTimeUnixNano": "yesterday"},
        {"startTimeUnixNano": 1e30},
        {"startTimeUnixNano": "99999999999999999999"},
        {"traceId": "zz", "spanId": None},
        {"attributes": typed_attributes(TODAY | {"gen_ai.input.messages": "", "gen_ai.system_instructions": ""})},
        {
            "attributes": typed_attributes(
                TODAY | {"gen_ai.output.messages": "[[[[[" * 20_000, "gen_ai.input.messages": "[" * 9000}
            )
        },
        {"attributes": [{"key": 7, "value": "x"}, "secret", {"key": "gen_ai.prompt.0", "value": {"stringValue": "secret"}}]},
        {"attributes": typed_attributes({"gen_ai.prompt.99999999999.role": "user", "gen_ai.prompt.0.content": "a"})},
        {"attributes": typed_attributes(TODAY | {"gen_ai.usage.input_tokens": -5, "gen_ai.usage.output_tokens": 10**30})},
        {"events": "secret", "status": 3},
        {"events": [{"name": "gen_ai.evaluation.result", "attributes": [{"key": "gen_ai.evaluation.name"}]}]},
    ],
)
def test_whatever_a_span_holds_the_others_come_in(logs: Logs, broken: dict[str, Any]) -> None:
    report = logs.take(a_document(a_span(1, TODAY) | broken, a_span(2, TODAY)))

    assert report.read == report.added + len(report.refused)
    assert f"{TRACE}-{2:016x}" in {one.id for one in logs.stored()}
    assert not any("secret" in refusal.reason for refusal in report.refused)
