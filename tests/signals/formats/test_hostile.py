"""Records with one value exchanged for another: each is an interaction or a refusal, never an error."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from continuum.errors import ConfigurationError
from continuum.signals.formats import lines
from continuum.signals.formats.detect import Format, format_of
from continuum.signals.formats.found import Bad, Found, Opinion, Reader
from continuum.signals.formats.langfuse import LangfuseReader
from continuum.signals.formats.lines import Line
from continuum.signals.formats.mlflow_trace import MLflowReader
from continuum.signals.formats.openai_log import OpenAIReader
from continuum.signals.formats.otlp import OTLPReader
from continuum.signals.formats.plain import ImportedRow, PlainReader
from continuum.signals.importer import fit, import_file
from continuum.timespan import utc_now
from tests.signals.formats.conftest import Logs
from tests.signals.formats.test_langfuse import a_generation, a_score
from tests.signals.formats.test_mlflow_trace import HELLO, HI, a_trace
from tests.signals.formats.test_mlflow_trace import a_span as an_mlflow_span
from tests.signals.formats.test_openai_log import CALL, a_completion, a_request
from tests.signals.formats.test_otlp import OLDER, TODAY, a_document, a_span

HUMAN = {"source_type": "HUMAN", "source_id": "anna"}
ASSESSED = [
    {
        "assessment_id": "a-1",
        "assessment_name": "ok",
        "source": HUMAN,
        "feedback": {"value": True},
        "create_time": "2026-03-01T12:00:00Z",
    },
    {"assessment_id": "a-2", "assessment_name": "expected_response", "source": HUMAN, "expectation": {"value": "Hi!"}},
]
EVALUATED = [
    {"name": "gen_ai.evaluation.result", "attributes": [{"key": "gen_ai.evaluation.name", "value": {"stringValue": "ok"}}]}
]
RECORDS: list[tuple[Format, Callable[[], Reader], dict[str, Any]]] = [
    ("openai", lambda: OpenAIReader(None), {"request": a_request(user="anna"), "response": a_completion(metadata={"a": "b"})}),  # type: ignore[arg-type]
    (
        "openai",
        lambda: OpenAIReader(None),  # type: ignore[arg-type]
        {
            "request": {
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
                "instructions": "Be kind.",
            },
            "response": {
                "id": "resp_1",
                "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}],
            },
        },
    ),
    (
        "openai",
        lambda: OpenAIReader(None),
        {"messages": [*HI["messages"], {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
    ),  # type: ignore[arg-type]
    (
        "otlp",
        OTLPReader,
        a_document(a_span(1, TODAY, events=EVALUATED), a_span(2, OLDER[0][1], parent=1), a_span(3, OLDER[1][1], parent=2)),
    ),
    ("langfuse", LangfuseReader, {"data": [a_generation(1), a_generation(2, parentObservationId="observation-1")], "meta": {}}),
    (
        "langfuse",
        LangfuseReader,
        {"id": "t", "observations": [a_generation(1)], "scores": [a_score(1, "BOOLEAN"), a_score(1, "NUMERIC")]},
    ),
    (
        "mlflow",
        MLflowReader,
        a_trace(an_mlflow_span(1, "LLM", HI, HELLO), an_mlflow_span(2, "TOOL", {}, {}, parent=1), assessments=ASSESSED),
    ),
    (
        "plain",
        PlainReader,
        {"id": "a", "task": "t", "messages": HI["messages"], "response": HELLO, "feedback": [{"score": 1}], "tags": {"a": "b"}},
    ),
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["2026-03-01T12:00:00Z", "[[", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "text", "type", "id"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def exchanged(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    found = copy.deepcopy(record)
    if not path:
        return value
    inner = found
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return found


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_the_format_of_a_record_shows(number: int) -> None:
    format, reader, record = RECORDS[number]
    assert format_of(record) == format
    assert any(isinstance(item, Found) for item in reader().items(Line(1, record)))


@pytest.mark.parametrize("number", range(len(RECORDS)))
@settings(max_examples=40)
@given(data=st.data())
def test_whatever_stands_in_a_record_it_is_a_row_or_a_refusal(number: int, data: st.DataObject) -> None:
    _, reader, record = RECORDS[number]
    changed = record
    for _ in range(data.draw(st.integers(1, 3))):
        changed = exchanged(changed, data.draw(st.sampled_from(list(places(changed)))), data.draw(values))
    if isinstance(changed, dict):
        format_of(changed)
    try:
        items = list(reader().items(Line(1, changed)))
    except (ValueError, RecursionError):
        return
    for item in items:
        if not isinstance(item, (Found, Opinion, Bad)) or not isinstance(item, Found):
            continue
        try:
            row = ImportedRow.model_validate({"task": "t", **item.row})
            json.dumps(fit(row.draft(utc_now(), None)))
        except (ValidationError, ValueError, RecursionError):
            continue


def test_nan_in_a_document_refuses_its_row_alone(logs: Logs) -> None:
    path = logs.folder / "log.json"
    good, bad = a_generation(1), a_generation(2, input={"messages": [{"role": "user", "content": "Hi", "x": float("nan")}]})
    path.write_text(json.dumps({"data": [good, bad, a_generation(3, endTime=float("inf"))], "meta": {}}, indent=1))

    report = import_file(path, store=logs.store, task="support")

    assert report.added == 1
    assert [refusal.path for refusal in report.refused] == ["data.1", "data.2"]
    assert report.refused[0].reason == "it holds NaN or Infinity, which is not JSON"


def test_what_is_nested_too_deeply_is_refused_by_itself(logs: Logs) -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = {"a": deep}
    report = logs.take(a_generation(1), a_generation(2, input={"messages": [{"role": "user", "content": "Hi", "deep": deep}]}))

    assert report.added == 1
    assert [refusal.reason for refusal in report.refused] == ["it is nested too deeply"]


def test_nul_and_lone_surrogates_are_replaced(logs: Logs) -> None:
    logs.take(a_generation(1, input="a\x00b\ud800c", output="x\x00", name="n\x00"))

    (one,) = logs.stored()
    assert [message.text for message in one.conversation] == ["a\ufffdb\ufffdc", "x\ufffd"]
    assert one.tags["name"] == "n\ufffd"


def test_a_document_too_large_to_be_read_whole_says_what_to_do(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_DOCUMENT_BYTES", 1000)

    with pytest.raises(ConfigurationError, match="write it with one record a line"):
        logs.take_document({"data": [a_generation(number) for number in range(5)]})
    assert logs.take("broken", a_generation(1), a_generation(2)).added == 2


def test_a_file_of_one_line_may_hold_a_list(logs: Logs) -> None:
    path = logs.folder / "log.json"
    path.write_text(json.dumps([a_generation(1), "no observation", a_generation(2)]))

    report = import_file(path, store=logs.store, task="support")

    assert report.added == 2
    assert [(refusal.path, refusal.reason) for refusal in report.refused] == [("1", "the line is a string, not an object")]


def test_a_file_of_nothing_known_is_told_what_the_plain_form_needs(logs: Logs, tmp_path: Path) -> None:
    report = logs.take({"some": "thing"}, {"other": "thing"})
    assert (report.format, report.added) == ("plain", 0)
    assert report.refused[0].reason == "id: Field required; messages: Field required; response: Field required"


def test_only_known_formats_are_taken(logs: Logs) -> None:
    with pytest.raises(ConfigurationError, match="it must be auto, plain, openai, otlp, langfuse, mlflow"):
        logs.take(a_generation(1), format="csv")
    with pytest.raises(ConfigurationError):
        logs.take(a_generation(1), redact="nobody")
