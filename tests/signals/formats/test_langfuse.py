from datetime import UTC, datetime
from typing import Any

import pytest

from continuum.signals.formats import langfuse, scores
from tests.signals.formats.conftest import Logs


def a_generation(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"observation-{number}",
        "traceId": "trace-1",
        "type": "GENERATION",
        "name": "answer",
        "startTime": "2026-03-01T12:00:00.000Z",
        "endTime": f"2026-03-01T12:00:0{number}.500Z",
        "completionStartTime": "2026-03-01T12:00:00.250Z",
        "model": "gpt-4o",
        "input": {"messages": [{"role": "user", "content": "Where is order 7?"}]},
        "output": {"role": "assistant", "content": "In Bonn."},
        "usage": {"input": 10, "output": 5, "total": 15, "unit": "TOKENS"},
        "usageDetails": {"input": 4, "input_cached_tokens": 6, "output": 3, "output_reasoning_tokens": 2, "total": 15},
        "calculatedTotalCost": 0.0025,
        "level": "DEFAULT",
        "statusMessage": None,
        "parentObservationId": None,
        "environment": "production",
        **fields,
    }


def a_score(value: Any, kind: str, **fields: Any) -> dict[str, Any]:
    about = {"id": f"score-{fields.get('name', kind)}", "traceId": "trace-1", "observationId": "observation-1", "source": "API"}
    return {**about, "name": "helpful", "value": value, "dataType": kind, "timestamp": "2026-03-02T00:00:00Z", **fields}


def test_a_page_of_the_public_api_brings_its_generations(logs: Logs) -> None:
    span = a_generation(2, type="SPAN")
    inner = a_generation(3, parentObservationId="observation-2")
    outer = a_generation(1, sessionId="session-1", userId="anna")
    report = logs.take_document({"data": [outer, {**span, "parentObservationId": "observation-1"}, inner], "meta": {"page": 1}})

    assert (report.format, report.added, report.notes) == ("langfuse", 2, (f"1 {langfuse.NO_GENERATION}",))
    one, other = logs.stored()
    assert (one.id, one.model, one.conversation_id) == ("observation-1", "gpt-4o", "session-1")
    assert (one.input_tokens, one.output_tokens, one.cached_tokens, one.reasoning_tokens) == (10, 5, 6, 2)
    assert (one.cost_usd, one.latency_ms, one.time_to_first_chunk_ms) == (0.0025, 1500, 250)
    assert one.started_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert one.tags == {"environment": "production", "name": "answer", "trace_id": "trace-1"}
    assert one.user_id is not None
    assert one.user_id.startswith("u_")
    assert [message.text for message in one.conversation] == ["Where is order 7?", "In Bonn."]
    assert other.parent_id == "observation-1"


def test_lines_of_the_blob_storage_export_are_in_snake_case(logs: Logs) -> None:
    row = {
        "id": "observation-1",
        "trace_id": "trace-1",
        "type": "GENERATION",
        "start_time": "2026-03-01 12:00:00.000000",
        "end_time": "2026-03-01 12:00:01.000000",
        "provided_model_name": "gpt-4o",
        "session_id": "session-1",
        "user_id": "anna",
        "trace_name": "chat",
        "input": '[{"role": "user", "content": "Hi"}]',
        "output": "Hello",
        "usage_details": {"input": 10, "output": 5},
        "cost_details": {"input": 0.001, "output": 0.001, "total": 0.002},
        "tags": ["a", "b"],
        "level": "DEFAULT",
    }
    assert logs.take(row).added == 1

    (one,) = logs.stored()
    assert (one.model, one.conversation_id, one.cost_usd, one.input_tokens) == ("gpt-4o", "session-1", 0.002, 10)
    assert [message.text for message in one.conversation] == ["Hi", "Hello"]
    assert (one.latency_ms, one.tags["tags"]) == (1000, "a, b")


def test_scores_are_feedback_where_they_say_what_they_mean(logs: Logs) -> None:
    config = {"id": "config-1", "name": "stars", "dataType": "NUMERIC", "minValue": 0, "maxValue": 10}
    given = [
        a_score(1, "BOOLEAN", stringValue="True", comment="thanks", authorUserId="anna"),
        a_score(0, "BOOLEAN", stringValue="False", name="safe"),
        a_score(7.5, "NUMERIC", name="stars", configId="config-1"),
        a_score(0.8, "NUMERIC", name="nobody knows"),
        a_score(0, "CATEGORICAL", name="mood", stringValue="happy"),
        a_score(0, "CORRECTION", name="output", stringValue="In Cologne."),
        a_score(1, "BOOLEAN", name="judge", source="EVAL"),
    ]
    trace = {"id": "trace-1", "userId": "anna", "observations": [a_generation(1)], "scores": given, "scoreConfigs": [config]}
    report = logs.take_document({**trace, "timestamp": "2026-03-01T12:00:00Z"})

    assert (report.added, report.feedback_added) == (1, 7)
    said = {one.label or one.correction: one for one in logs.said()}
    assert {label: one.score for label, one in said.items() if one.score} == {"helpful": 5, "safe": 1, "stars": 4}
    assert {"nobody knows: 0.8", "mood: happy", "judge: 1", "In Cologne."} < set(said)
    assert said["helpful"].comment == "thanks"
    assert said["helpful"].recorded_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert report.notes == tuple(f"1 {note}" for note in (scores.RANGE_UNKNOWN, scores.CATEGORY, scores.JUDGED))


def test_a_score_of_a_trace_is_of_its_last_generation(logs: Logs) -> None:
    generations = [a_generation(2), a_generation(1)]
    score = a_score(1, "BOOLEAN", observationId=None)
    logs.take_document({"trace": {"id": "trace-1", "sessionId": "s"}, "observations": generations, "scores": [score]})

    (said,) = logs.said()
    assert said.interaction_id == "observation-2"


def test_scores_in_lines_of_their_own_find_their_generations(logs: Logs) -> None:
    report = logs.take(a_score(1, "BOOLEAN"), a_generation(1), a_score(0, "BOOLEAN", observationId=None, id="other"))

    assert (report.read, report.added, report.feedback_added) == (1, 1, 1)
    assert report.notes == (f"1 {langfuse.TRACE_SCORES}",)
    assert [one.score for one in logs.said()] == [5]
    assert logs.take(a_score(1, "BOOLEAN"), a_generation(1)).feedback_added == 0


def test_columns_of_scores_in_the_export_of_the_ui_are_labels(logs: Logs) -> None:
    report = logs.take_document([a_generation(1, accuracy=[0.9], helpful=None, comments=[{"content": "x"}], tags=["a"])])

    assert [one.label for one in logs.said()] == ["accuracy: 0.9"]
    assert report.notes == (f"1 {langfuse.COLUMNS}",)


def test_a_trace_without_its_observations_is_one_interaction(logs: Logs) -> None:
    trace = {
        "id": "trace-1",
        "timestamp": "2026-03-01T12:00:00Z",
        "name": "chat",
        "input": {"question": "Where is order 7?"},
        "output": "In Bonn.",
        "sessionId": "session-1",
        "observations": ["observation-1"],
        "scores": ["score-1"],
    }
    assert logs.take_document({"data": [trace]}).added == 1

    (one,) = logs.stored()
    assert (one.id, [message.text for message in one.conversation]) == ("trace-1", ["Where is order 7?", "In Bonn."])


OUTPUTS: list[tuple[Any, str]] = [
    ("plain words", "plain words"),
    ({"role": "assistant", "content": [{"type": "text", "text": "in a block"}]}, "in a block"),
    ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "one\ntwo"),
    ({"content": [{"type": "text", "text": "without its role"}], "stop_reason": "end_turn"}, "without its role"),
    ({"choices": [{"message": {"role": "assistant", "content": "a completion"}}]}, "a completion"),
    ({"completion": "an old one"}, "an old one"),
    ({"generations": [[{"text": "langchain", "message": {"type": "ai", "content": "langchain"}}]]}, "langchain"),
    ({"messages": 3, "other": True}, '{"messages": 3, "other": true}'),
    (42, "42"),
]


@pytest.mark.parametrize(("output", "words"), OUTPUTS, ids=range(len(OUTPUTS)))
def test_an_answer_is_found_in_whatever_form_it_was_logged(logs: Logs, output: Any, words: str) -> None:
    assert logs.take(a_generation(1, output=output)).added == 1
    (one,) = logs.stored()
    assert one.response is not None
    assert one.response.text == words


def test_anthropics_blocks_become_calls_and_results(logs: Logs) -> None:
    asked = {
        "system": "Be kind.",
        "messages": [
            {"role": "user", "content": "Where is order 7?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": {"number": 7}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "Bonn"}]}],
            },
        ],
    }
    logs.take(a_generation(1, input=asked))

    (one,) = logs.stored()
    assert [message.role for message in one.messages] == ["system", "user", "assistant", "tool"]
    assert one.messages[2].action == 'find({"number":7})'
    assert (one.messages[3].tool_call_id, one.messages[3].text) == ("t1", "Bonn")


def test_an_error_is_kept_with_its_message(logs: Logs) -> None:
    logs.take(a_generation(1, output=None, level="ERROR", statusMessage="timed out"))
    assert [(one.status, one.error, one.response) for one in logs.stored()] == [("error", "timed out", None)]


@pytest.mark.parametrize(
    "broken",
    [
        {"startTime": "secret"},
        {"startTime": 7},
        {"id": None},
        {"id": ["secret"]},
        {"input": None},
        {"output": None},
        {"input": {"a": "\ud800\x00"}},
        {"usageDetails": {"input": -1, "output": "x"}},
        {"usageDetails": "secret", "usage": 3},
        {"model": "m" * 9000},
        {"scores": [{"timestamp": "secret", "value": 1}]},
        {"parentObservationId": {"secret": 1}},
    ],
)
def test_whatever_an_observation_holds_the_others_come_in(logs: Logs, broken: dict[str, Any]) -> None:
    report = logs.take_document({"data": [a_generation(1) | broken, a_generation(2)], "meta": {}})

    assert report.read == report.added + len(report.refused) == 2
    assert "observation-2" in {one.id for one in logs.stored()}
    assert not any("secret" in refusal.reason for refusal in report.refused)
