import io
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.errors import ConfigurationError
from continuum.records import Feedback, Interaction, Message
from continuum.signals.exporter import LINES, ExportReport, export
from continuum.signals.formats.found import Found
from continuum.signals.formats.lines import Line, decoded
from continuum.signals.formats.otlp import OTLPReader
from continuum.signals.formats.plain import ImportedRow, PlainReader
from continuum.signals.importer import import_file
from continuum.spool.finishing import finish
from continuum.store.database import Store, open_store
from tests.builders import NOON, an_interaction, interactions, user

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"number": 7}'}}
USER = "u_" + "0a" * 16

FULL = an_interaction(
    id="full",
    messages=(
        Message(role="system", content="Be kind."),
        user("Where is order 7?"),
        Message.model_validate({"role": "assistant", "content": None, "tool_calls": [CALL]}),
        Message(role="tool", content="in Bonn", tool_call_id="c1"),
    ),
    conversation_id="conversation-1",
    user_id=USER,
    parent_id="outer",
    provider_response_id="chatcmpl-1",
    latency_ms=250.5,
    time_to_first_chunk_ms=125.0,
    input_tokens=100,
    output_tokens=50,
    cached_tokens=10,
    reasoning_tokens=5,
    cost_usd=0.0123,
    deployment_id="deployment-1",
    variant="canary",
    tags={"team": "north", "empty": ""},
)
FAILED = an_interaction(id="failed", response=None, status="error", error="TimeoutError: too late", model=None)
UNPRICED = an_interaction(id="unpriced", model="gpt-4o", input_tokens=10, output_tokens=5, cost_usd=None)
SAID = [
    Feedback(interaction_id="full", score=4.5, label="good", comment="thanks", user_id=USER, recorded_at=NOON, trusted=True),
    Feedback(interaction_id="full", correction="In Cologne.", recorded_at=NOON + timedelta(days=1), idempotency_key="key-1"),
    Feedback(interaction_id="failed", kind="implicit", label="retry", score=1, confidence=0.4, recorded_at=NOON),
]
FORMATS = ["plain", "otlp"]
ANEW = {"source", "fingerprint", "near_repeat_of", "redaction"}
"""What an import says of itself, or works out again."""


def filled(store: Store, *found: Interaction, said: list[Feedback] | None = None) -> Store:
    store.tasks.ensure("support")
    store.interactions.add(found)
    store.feedback.add(said or [])
    return store


def another(tmp_path: Path, name: str = "other") -> Store:
    return open_store(f"sqlite:///{tmp_path / f'{name}.db'}")


def as_kept(found: Interaction) -> dict[str, Any]:
    return found.model_dump(mode="json", exclude=ANEW, exclude_none=True)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_exported_comes_back_as_it_was(store: Store, tmp_path: Path, format: Any) -> None:
    filled(store, FULL, FAILED, UNPRICED, said=SAID)
    path = tmp_path / "export.jsonl"

    assert export("support", path, format=format, store=store) == ExportReport(interactions=3, feedback=3, left_out=0)
    other = another(tmp_path)
    report = import_file(path, store=other)

    assert (report.format, report.added, report.feedback_added, report.refused) == (format, 3, 3, ())
    back = list(other.interactions.scan("support", status=None))
    assert [as_kept(one) for one in back] == [as_kept(one) for one in (FULL, FAILED, UNPRICED)]
    assert {one.source for one in back} == {"import"}
    found = other.feedback.of(back)
    said = {one.id: one for opinions in found.values() for one in opinions}
    # Feedback that had no key of its own is known by the row's from now on, so that an import may be repeated.
    without_key = {"idempotency_key"}
    assert {key: one.model_dump(exclude=without_key) for key, one in said.items()} == {
        one.id: one.model_dump(exclude=without_key) for one in SAID
    }
    other.close()


def test_a_second_round_trip_hashes_nobody_twice(store: Store, tmp_path: Path) -> None:
    filled(store, FULL, said=SAID[:1])
    first, second = another(tmp_path, "first"), another(tmp_path, "second")
    export("support", tmp_path / "a.jsonl", store=store)
    import_file(tmp_path / "a.jsonl", store=first)
    export("support", tmp_path / "b.jsonl", store=first)
    import_file(tmp_path / "b.jsonl", store=second)

    (one,) = second.interactions.scan("support")
    assert one.user_id == USER
    assert [said.user_id for said in second.feedback.of([one])["full"]] == [USER]
    first.close()
    second.close()


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_taken_back_into_its_own_store_adds_nothing(store: Store, tmp_path: Path, format: Any) -> None:
    filled(store, FULL, FAILED, said=SAID)
    export("support", tmp_path / "export.jsonl", format=format, store=store)

    report = import_file(tmp_path / "export.jsonl", store=store)

    assert (report.added, report.already_there, report.feedback_added) == (0, 2, 0)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
names = st.text("abcdefgh", min_size=1, max_size=8)
calls = st.builds(
    lambda name, arguments: {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}},
    names,
    words | st.dictionaries(names, words | st.integers(), max_size=2).map(json.dumps),
)
answers = st.builds(
    lambda content, made: Message.model_validate(
        {"role": "assistant", "content": content, **({"tool_calls": made} if made else {})}
    ),
    words,
    st.lists(calls, max_size=2),
)
found_interactions = st.builds(
    Interaction,
    id=names,
    task=st.just("support"),
    started_at=st.integers(0, 10**9).map(lambda seconds: NOON - timedelta(seconds=seconds, microseconds=seconds % 1000)),
    messages=st.lists(words.map(user) | answers, min_size=1, max_size=4).map(tuple),
    response=answers,
    model=st.none() | names,
    conversation_id=st.none() | names,
    latency_ms=st.none() | st.floats(0.001, 1e6),
    input_tokens=st.none() | st.integers(0, 10**6),
    output_tokens=st.none() | st.integers(0, 10**6),
    cost_usd=st.none() | st.floats(0, 1e3),
    tags=st.dictionaries(names, words, max_size=3),
)


def taken_back(found: list[Interaction], format: Any) -> list[Interaction]:
    """What the lines of an export are, by the importer's reader."""
    reader = PlainReader() if format == "plain" else OTLPReader()
    written = [decoded(orjson.dumps(line)) for line in LINES[format](found, {})]
    items = [item for number, line in enumerate(written) for item in reader.items(Line(number, line))]
    rows = [ImportedRow.model_validate(item.row) for item in items if isinstance(item, Found)]
    return [finish(row.draft(NOON, None)) for row in rows]


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=60)
@given(found=st.lists(found_interactions, max_size=3))
def test_any_interaction_comes_back_as_it_was(format: Any, found: list[Interaction]) -> None:
    assert [as_kept(one) for one in taken_back(found, format)] == [as_kept(one) for one in found]


@pytest.mark.parametrize("arguments", ['{"a": 1304992561317780453003886592}', '{"a": NaN}', '{"a":1}', "not json", ""])
def test_arguments_come_back_as_the_model_wrote_them(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": arguments}}
    asked = an_interaction(response=Message.model_validate({"role": "assistant", "content": None, "tool_calls": [call]}))
    (back,) = taken_back([asked], "otlp")
    assert back.response == asked.response


def test_fine_tuning_lines_are_the_conversations_that_were_answered(store: Store, tmp_path: Path) -> None:
    filled(store, FULL, FAILED, an_interaction("Hi", "Hello"))
    report = export("support", tmp_path / "tuning.jsonl", format="openai", store=store)

    lines = [json.loads(line) for line in (tmp_path / "tuning.jsonl").read_text().splitlines()]
    assert report == ExportReport(interactions=2, feedback=0, left_out=0)
    assert [message["role"] for message in lines[0]["messages"]] == ["system", "user", "assistant", "tool", "assistant"]
    assert lines[0]["messages"][2] == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert lines[1] == {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    assert import_file(tmp_path / "tuning.jsonl", store=another(tmp_path), task="tuned").added == 2


def test_spans_are_named_as_opentelemetry_names_them(store: Store) -> None:
    filled(store, FULL, said=SAID[:1])
    file = io.BytesIO()
    export("support", file, format="otlp", store=store)

    (span,) = json.loads(file.getvalue())["resourceSpans"][0]["scopeSpans"][0]["spans"]
    attributes = {one["key"]: one["value"] for one in span["attributes"]}
    assert attributes["gen_ai.operation.name"] == {"stringValue": "chat"}
    assert attributes["gen_ai.usage.input_tokens"] == {"intValue": "100"}
    assert attributes["gen_ai.response.time_to_first_chunk"] == {"doubleValue": 0.125}
    assert json.loads(attributes["gen_ai.input.messages"]["stringValue"])[1] == {
        "role": "user",
        "parts": [{"type": "text", "content": "Where is order 7?"}],
    }
    assert (len(span["traceId"]), len(span["spanId"]), span["name"]) == (32, 16, "chat gpt-4")
    assert [event["name"] for event in span["events"]] == ["gen_ai.evaluation.result"]
    assert "user.id" not in attributes


def test_a_span_of_time_is_exported_in_pages(store: Store, tmp_path: Path) -> None:
    filled(store, *interactions(450))
    seen: list[tuple[int, int, str]] = []
    report = export(
        "support",
        tmp_path / "some.jsonl",
        since=NOON + timedelta(minutes=10),
        until=NOON + timedelta(minutes=420),
        store=store,
        on_progress=lambda *step: seen.append(step),
    )

    assert report.interactions == len((tmp_path / "some.jsonl").read_text().splitlines()) == 410
    assert [done for done, _, _ in seen] == [200, 400, 410]


def test_an_export_that_breaks_off_leaves_what_was_there(store: Store, tmp_path: Path) -> None:
    filled(store, *interactions(300))
    path = tmp_path / "export.jsonl"
    path.write_text("what was there before")

    def stop(done: int, total: int, note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export("support", path, store=store, on_progress=stop)
    assert path.read_text() == "what was there before"
    assert [one.name for one in tmp_path.iterdir() if "export" in one.name] == ["export.jsonl"]


def test_what_people_wrote_is_readable_by_its_owner_alone(store: Store, tmp_path: Path) -> None:
    filled(store, FULL)
    export("support", tmp_path / "export.jsonl", store=store)
    assert stat.S_IMODE((tmp_path / "export.jsonl").stat().st_mode) == 0o600


def test_a_dash_is_stdout(store: Store, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    filled(store, FULL)
    export("support", "-", store=store)
    assert json.loads(capfdbinary.readouterr().out)["id"] == "full"


def test_what_cannot_be_exported_is_the_callers_to_mend(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no task 'support'"):
        export("support", tmp_path / "a", store=store)
    filled(store, FULL)
    with pytest.raises(ConfigurationError, match="it must be one of plain, openai, otlp"):
        export("support", tmp_path / "a", format="csv", store=store)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        export("support", tmp_path / "nowhere" / "a", store=store)
