import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from continuum.signals.formats import mlflow_trace
from continuum.signals.importer import import_file
from tests.signals.formats.conftest import Logs

TRACED = """
import sys
from pathlib import Path

import mlflow
from mlflow.entities import AssessmentSource, SpanType

folder = Path(sys.argv[1])
mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")


@mlflow.trace(span_type=SpanType.CHAIN)
def application(question):
    mlflow.update_current_trace(
        metadata={"mlflow.trace.user": "anna", "mlflow.trace.session": "session-1"}, tags={"team": "north"}
    )
    with mlflow.start_span("model", span_type=SpanType.CHAT_MODEL) as span:
        span.set_inputs({"model": "gpt-4o", "messages": [{"role": "user", "content": question}]})
        message = {"role": "assistant", "content": "In Bonn."}
        usage = {"prompt_tokens": 30, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 4}}
        span.set_outputs({"id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "choices": [{"message": message}], "usage": usage})
        counted = {"input_tokens": 30, "output_tokens": 20, "total_tokens": 50, "cache_read_input_tokens": 10}
        span.set_attribute("mlflow.chat.tokenUsage", counted)
    return "In Bonn."


application("Where is order 7?")
trace_id = mlflow.get_last_active_trace_id()
mlflow.flush_trace_async_logging()
human = AssessmentSource(source_type="HUMAN", source_id="bob")
judge = AssessmentSource(source_type="LLM_JUDGE", source_id="judge")
mlflow.log_feedback(trace_id=trace_id, name="correct", value=True, source=human, rationale="fine")
mlflow.log_feedback(trace_id=trace_id, name="relevance", value=0.7, source=judge)
mlflow.log_feedback(trace_id=trace_id, name="stars", value=4, source=human)
mlflow.log_expectation(trace_id=trace_id, name="expected_response", value="In Cologne.", source=human)
mlflow.log_expectation(trace_id=trace_id, name="expected_facts", value=["Bonn"], source=human)
(folder / "trace.json").write_text(mlflow.get_trace(trace_id).to_json(pretty=True))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace that MLflow itself recorded and wrote."""
    folder = tmp_path_factory.mktemp("mlflow")
    # In a process of its own, for MLflow's tracing starts threads and keeps its provider for good.
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    subprocess.run(
        [sys.executable, "-c", TRACED, str(folder)], check=True, timeout=240, cwd=folder, env=environment, capture_output=True
    )
    return folder / "trace.json"


@pytest.mark.slow
def test_a_trace_that_mlflow_wrote_comes_in_with_its_assessments(logs: Logs, exported: Path) -> None:
    report = import_file(exported, store=logs.store, task="support")

    assert (report.format, report.added, report.feedback_added, report.refused) == ("mlflow", 1, 5, ())
    assert report.notes == tuple(
        f"1 {note}"
        for note in (mlflow_trace.NO_MODEL_CALL, mlflow_trace.JUDGED, mlflow_trace.NOT_UNDERSTOOD, mlflow_trace.EXPECTED)
    )
    (one,) = logs.stored()
    assert [(message.role, message.text) for message in one.conversation] == [
        ("user", "Where is order 7?"),
        ("assistant", "In Bonn."),
    ]
    assert (one.model, one.provider_response_id, one.conversation_id) == ("gpt-4o-2024-08-06", "chatcmpl-1", "session-1")
    assert (one.input_tokens, one.output_tokens, one.cached_tokens, one.reasoning_tokens) == (30, 20, 10, 4)
    assert (one.tags["name"], one.tags["team"]) == ("application", "north")
    assert one.user_id is not None
    assert one.user_id.startswith("u_")
    assert one.latency_ms is not None
    assert one.latency_ms >= 0
    said = logs.said()
    assert [(x.score, x.label, x.comment) for x in said if x.score] == [(5, "correct", "fine")]
    assert [x.correction for x in said if x.correction] == ["In Cologne."]
    assert {x.label for x in said if not x.score} == {None, "relevance: 0.7", "stars: 4"}
    assert any(x.comment == 'expected_facts: ["Bonn"]' for x in said)


@pytest.mark.slow
def test_an_import_of_what_mlflow_wrote_may_be_repeated(logs: Logs, exported: Path) -> None:
    import_file(exported, store=logs.store, task="support")
    again = import_file(exported, store=logs.store, task="support")

    assert (again.added, again.already_there, again.feedback_added) == (0, 1, 0)


def a_span(number: int, kind: str, inputs: Any, outputs: Any, *, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    attributes = {"mlflow.spanType": kind, "mlflow.spanInputs": inputs, "mlflow.spanOutputs": outputs}
    return {
        "trace_id": "tr-1",
        "span_id": f"0x{number:016x}",
        "parent_span_id": None if parent is None else f"0x{parent:016x}",
        "name": "span",
        "start_time_unix_nano": 1772366400_000_000_000,
        "end_time_unix_nano": 1772366400_000_000_000 + number * 1_000_000,
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {name: json.dumps(value) for name, value in attributes.items() if value is not None},
        "events": [],
        **fields,
    }


def a_trace(*spans: dict[str, Any], **info: Any) -> dict[str, Any]:
    return {
        "info": {"trace_id": "tr-1", "request_time": "2026-03-01T12:00:00Z", "state": "OK", **info},
        "data": {"spans": list(spans)},
    }


HI = {"messages": [{"role": "user", "content": "Hi"}]}
HELLO = {"role": "assistant", "content": "Hello"}


def test_a_trace_without_a_model_span_is_what_its_root_was_asked(logs: Logs) -> None:
    root, tool = a_span(1, "CHAIN", {"question": "Hi"}, "Hello"), a_span(2, "TOOL", {"a": 1}, 3, parent=1)
    logs.take({"traces": [a_trace(root, tool)], "next_page_token": None})

    (one,) = logs.stored()
    assert (one.id, [message.text for message in one.conversation]) == ("tr-1-0000000000000001", ["Hi", "Hello"])


def test_model_spans_within_a_model_span_name_it_as_their_parent(logs: Logs) -> None:
    spans = [a_span(1, "LLM", HI, HELLO), a_span(2, "TOOL", {}, {}, parent=1), a_span(3, "CHAT_MODEL", HI, HELLO, parent=2)]
    logs.take(a_trace(*spans))

    assert {one.id: one.parent_id for one in logs.stored()} == {
        "tr-1-0000000000000001": None,
        "tr-1-0000000000000003": "tr-1-0000000000000001",
    }


def test_feedback_on_a_span_stays_on_it_and_that_on_the_trace_goes_to_the_last_answer(logs: Logs) -> None:
    def given(name: str, **fields: Any) -> dict[str, Any]:
        source = {"source_type": "HUMAN", "source_id": "anna"}
        return {"assessment_id": f"a-{name}", "assessment_name": name, "source": source, "feedback": {"value": False}, **fields}

    logs.take(
        a_trace(
            a_span(5, "LLM", HI, HELLO),
            a_span(2, "LLM", HI, HELLO),
            assessments=[given("whole"), given("part", span_id="0x0000000000000002"), given("withdrawn", valid=False)],
        )
    )
    assert {(one.interaction_id[-1], one.label, one.score) for one in logs.said()} == {("5", "whole", 1), ("2", "part", 1)}


def test_a_failed_span_is_an_error(logs: Logs) -> None:
    logs.take(a_trace(a_span(1, "LLM", HI, None, status={"code": "STATUS_CODE_ERROR", "message": "timed out"})))
    assert [(one.status, one.error) for one in logs.stored()] == [("error", "timed out")]


@pytest.mark.parametrize(
    "broken",
    [
        {"attributes": "secret"},
        {"attributes": {"mlflow.spanType": '"LLM"', "mlflow.spanInputs": "[" * 5000, "mlflow.spanOutputs": '"a"'}},
        {"attributes": {"mlflow.spanType": '"LLM"', "mlflow.spanInputs": '"a\\u0000\\ud800"', "mlflow.spanOutputs": "NaN"}},
        {"attributes": {"mlflow.spanType": '["secret"]', "mlflow.spanInputs": "{}"}},
        {"start_time_unix_nano": "secret"},
        {"start_time_unix_nano": 10**40, "end_time_unix_nano": -1},
        {"span_id": ["secret"], "parent_span_id": {}},
        {"status": "secret"},
    ],
)
def test_whatever_a_span_holds_the_others_come_in(logs: Logs, broken: dict[str, Any]) -> None:
    report = logs.take(a_trace(a_span(1, "LLM", HI, HELLO) | broken, a_span(2, "LLM", HI, HELLO)))

    assert report.read == report.added + len(report.refused)
    assert "tr-1-0000000000000002" in {one.id for one in logs.stored()}
    assert not any("secret" in refusal.reason for refusal in report.refused)


@pytest.mark.parametrize("record", [{"info": 3, "data": {"spans": []}}, a_trace(), {"info": {}, "data": {"spans": "secret"}}])
def test_a_trace_with_nothing_in_it_is_refused(logs: Logs, record: dict[str, Any]) -> None:
    report = logs.take(a_trace(a_span(2, "LLM", HI, HELLO)), record)
    assert (report.added, len(report.refused)) == (1, 1)
