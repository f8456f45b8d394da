from datetime import UTC, datetime
from typing import Any

import pytest

from continuum.errors import ConfigurationError
from continuum.signals.formats.openai_log import BATCH_REQUEST
from continuum.signals.importer import import_file
from tests.signals.formats.conftest import Logs

CALL = {"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": 7}'}}
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 100, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 12},
}


def a_request(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is order 7?"}], **fields}


def a_completion(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1772366400,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "On its way."}}],
        "usage": USAGE,
        **fields,
    }


def test_a_pair_brings_model_time_usage_and_the_providers_id(logs: Logs) -> None:
    report = logs.take({"request": a_request(user="anna"), "response": a_completion(metadata={"team": "north"})})

    assert (report.format, report.read, report.added, report.refused) == ("openai", 1, 1, ())
    (one,) = logs.stored()
    assert (one.id, one.provider_response_id, one.model) == ("chatcmpl-1", "chatcmpl-1", "gpt-4o-2024-08-06")
    assert (one.input_tokens, one.output_tokens, one.cached_tokens, one.reasoning_tokens) == (120, 30, 100, 12)
    assert one.started_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert one.messages[0].text == "Where is order 7?"
    assert one.response is not None
    assert (one.response.text, one.source, one.tags) == ("On its way.", "import", {"team": "north"})
    assert one.user_id is not None
    assert one.user_id.startswith("u_")
    assert one.cost_usd is not None
    assert one.cost_usd > 0


def test_tool_calls_and_their_results_stay_as_they_are(logs: Logs) -> None:
    asked = [
        {"role": "user", "content": "Where is order 7?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "{}"},
    ]
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [CALL]}
    logs.take({"request": a_request(messages=asked), "response": a_completion(choices=[{"message": message}])})

    (one,) = logs.stored()
    assert [found.role for found in one.messages] == ["user", "assistant", "tool"]
    assert one.messages[2].tool_call_id == "call_1"
    assert one.response is not None
    assert one.response.action == 'find_order({"number":7})'


def test_a_refusal_is_an_answer(logs: Logs) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I can't help with that."}
    assert logs.take({"request": a_request(), "response": a_completion(choices=[{"message": message}])}).added == 1


def test_a_list_of_stored_completions_comes_in_from_one_document(logs: Logs) -> None:
    rows = [a_completion(number, messages=a_request()["messages"]) for number in range(3)]
    report = logs.take_document(
        {"object": "list", "data": [*rows, {"object": "chat.completion", "choices": []}], "has_more": False}
    )

    assert (report.format, report.added) == ("openai", 3)
    (refusal,) = report.refused
    assert (refusal.line, refusal.path, refusal.place) == (1, "data.3", "line 1, data.3")


def test_the_responses_form_becomes_chat(logs: Logs) -> None:
    request = {
        "model": "gpt-5",
        "instructions": "Be kind.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Where is order 7?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c1", "name": "find_order", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "in Bonn"},
        ],
    }
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1772366400.0,
        "model": "gpt-5-2025",
        "conversation": {"id": "conv_1"},
        "output": [
            {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "hm"}]},
            {
                "type": "message",
                "role": "assistant",
                "id": "m",
                "content": [{"type": "output_text", "text": "In Bonn.", "annotations": []}],
            },
            {"type": "function_call", "call_id": "c2", "name": "notify", "arguments": '{"to": "anna"}'},
        ],
        "usage": {
            "input_tokens": 50,
            "input_tokens_details": {"cached_tokens": 8},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 5},
        },
    }
    logs.take({"request": request, "response": response})

    (one,) = logs.stored()
    assert [(found.role, found.text) for found in one.messages] == [
        ("system", "Be kind."),
        ("user", "Where is order 7?"),
        ("assistant", ""),
        ("tool", "in Bonn"),
    ]
    assert one.messages[2].action == "find_order({})"
    assert one.response is not None
    assert (one.response.content, one.response.action) == ("In Bonn.", 'notify({"to":"anna"})')
    assert (one.conversation_id, one.cached_tokens, one.reasoning_tokens) == ("conv_1", 8, 5)


def a_batch_request(number: int) -> dict[str, Any]:
    return {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": a_request()}


def a_batch_answer(number: int) -> dict[str, Any]:
    body = a_completion(number)
    return {
        "id": f"batch_req_{number}",
        "custom_id": f"row-{number}",
        "response": {"status_code": 200, "body": body},
        "error": None,
    }


def test_the_answers_of_a_batch_find_their_requests_in_another_file(logs: Logs) -> None:
    requests = logs.lines(*(a_batch_request(number) for number in range(3)), name="input.jsonl")
    answers = logs.lines(*(a_batch_answer(number) for number in (2, 0, 1)), name="output.jsonl")

    report = import_file(answers, store=logs.store, task="support", requests=requests)

    assert (report.format, report.added, report.refused) == ("openai", 3, ())
    assert {one.tags["custom_id"] for one in logs.stored()} == {"row-0", "row-1", "row-2"}
    assert all(one.messages[0].text == "Where is order 7?" for one in logs.stored())


def test_a_batch_may_be_one_file_and_what_failed_in_it_is_an_error(logs: Logs) -> None:
    failed = {
        "id": "batch_req_9",
        "custom_id": "row-1",
        "response": None,
        "error": {"code": "batch_expired", "message": "too late"},
    }
    report = logs.take(a_batch_request(0), a_batch_request(1), a_batch_answer(0), failed, a_batch_answer(7))

    assert (report.read, report.added, report.notes) == (3, 2, (f"2 {BATCH_REQUEST}",))
    (refusal,) = report.refused
    assert refusal.line == 5
    assert refusal.reason.startswith("custom_id: no request of the batch has it")
    assert {(one.status, one.error) for one in logs.stored()} == {("ok", None), ("error", "too late")}


def test_fine_tuning_lines_are_known_by_their_content(logs: Logs) -> None:
    lines = [
        {"messages": [{"role": "user", "content": f"Question {n}"}, {"role": "assistant", "content": f"Answer {n}"}]}
        for n in range(3)
    ]
    assert logs.take(*lines).added == 3
    again = logs.take(*lines, lines[0], {"messages": [{"role": "user", "content": "Unanswered"}]})

    assert (again.already_there, again.added) == (3, 0)
    assert [refusal.reason for refusal in again.refused] == [
        "id: it was at line 1 already",
        "messages: they do not end with an answer of the assistant",
    ]
    assert [one.messages[-1].text for one in logs.stored()] == ["Question 0", "Question 1", "Question 2"]


def test_a_log_that_names_no_task_needs_one(logs: Logs) -> None:
    with pytest.raises(ConfigurationError, match="openai format, which names no task"):
        logs.take({"request": a_request(), "response": a_completion()}, task=None)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"request": a_request(), "response": "secret"}, "response is a string, not an object"),
        ({"request": {"model": "m"}, "response": a_completion()}, "messages: the request has none"),
        ({"request": a_request(), "response": {"id": "x", "choices": []}}, "response: Field required"),
        ({"request": a_request(), "response": a_completion(created="secret")}, "created: it is not a time in seconds"),
        ({"request": a_request(), "response": a_completion(created=1e300)}, "created: it is not a time in seconds"),
        ({"request": a_request(messages=["secret"]), "response": a_completion(id="y" * 9000)}, None),
        ({"request": a_request(messages=[]), "response": a_completion()}, "messages: the request has none"),
    ],
)
def test_a_bad_pair_is_refused_without_a_word_of_it(logs: Logs, record: dict[str, Any], reason: str | None) -> None:
    good = {"request": a_request(), "response": a_completion(5)}
    report = logs.take(record, good)

    assert report.read == report.added + report.already_there + len(report.refused) == 2
    if reason is not None:
        (refusal,) = report.refused
        assert refusal.reason.startswith(reason)
        assert "secret" not in refusal.reason
