import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.errors import ConfigurationError
from continuum.signals.formats import lines
from continuum.signals.importer import ImportReport, Refusal, import_file
from continuum.store.database import Store, open_store
from tests.builders import assistant, user

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes lines to a file: rows as JSON, text and bytes as they are."""

    def lines(*content: dict[str, Any] | str | bytes) -> Path:
        path = tmp_path / "log.jsonl"
        encoded = [
            one if isinstance(one, bytes) else (one if isinstance(one, str) else json.dumps(one)).encode() for one in content
        ]
        path.write_bytes(b"\n".join(encoded) + b"\n")
        return path

    return lines


def a_row(number: int = 1, **fields: Any) -> dict[str, Any]:
    row = {
        "id": f"row-{number}",
        "task": "support",
        "conversation_id": f"dialogue-{number}",
        "started_at": "2026-03-01T12:00:00Z",
        "model": "gpt-4",
        "messages": [{"role": "user", "content": f"Question {number}"}],
        "response": {"role": "assistant", "content": f"Answer {number}"},
        "feedback": {"score": 5, "label": "good"},
    }
    return row | fields


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in a_row().items() if key != name}


def test_rows_come_in_with_their_feedback_and_their_task(store: Store, write: Write) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
    answered = {"role": "assistant", "content": None, "tool_calls": [call]}
    told = {"role": "tool", "tool_call_id": "c1", "content": "{}"}
    path = write(
        a_row(1, messages=[{"role": "user", "content": "Hi"}, answered, told], feedback=None), a_row(2, response=answered)
    )

    assert import_file(path) == ImportReport(read=2, added=2, already_there=0, feedback_added=1, refused=())

    first, second = store.interactions.scan("support")
    assert [message.role for message in first.messages] == ["user", "assistant", "tool"]
    assert first.messages[1].action == 'find({"a":1})'
    assert (first.id, first.conversation_id, first.model, first.source) == ("row-1", "dialogue-1", "gpt-4", "import")
    assert first.started_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert second.response is not None
    assert second.response.action == 'find({"a":1})'
    (said,) = store.feedback.of([first, second])["row-2"]
    assert (said.score, said.label, said.kind, said.recorded_at) == (5, "good", "explicit", second.started_at)
    assert store.tasks.names() == ["support"]


def test_a_second_import_adds_nothing(store: Store, write: Write) -> None:
    path = write(*(a_row(number) for number in range(1200)))

    assert import_file(path, store=store).added == 1200
    assert import_file(path, store=store) == ImportReport(read=1200, added=0, already_there=1200, feedback_added=0, refused=())
    assert store.interactions.count("support") == 1200


BAD: list[tuple[Any, str]] = [
    ("{not json", "it is not JSON: Expecting property name enclosed in double quotes at character 2"),
    ("[1, 2]", "the line is a list, not an object"),
    ("null", "the line is null, not an object"),
    (b'{"id": "\xff"}', "it is not UTF-8 at byte 9"),
    ('{"id": NaN}', "it holds NaN, which is not JSON"),
    ("[" * 100_000, "it is nested too deeply"),
    (without("id"), "id: Field required"),
    (a_row(id=7), "id: should be a string"),
    (a_row(id=""), "id: String should have at least 1 character"),
    (a_row(id="x" * 501), "id: String should have at most 500 characters"),
    (without("task"), "task: Field required"),
    (a_row(task="no good!"), "task: a task's name is 1 to 100 letters"),
    (without("messages"), "messages: Field required"),
    (a_row(messages=[]), "messages: should not be empty"),
    (a_row(messages="Hi"), "messages: should be a list"),
    (a_row(messages=[{"content": "Hi"}]), "messages.0.role: Field required"),
    (a_row(messages=[{"role": "user", "content": 7}]), "messages.0.content: should be a string or should be a list"),
    (without("response"), "response: Field required"),
    (a_row(response={"role": "assistant", "content": None}), "response: it has neither content nor tool calls"),
    (a_row(started_at="yesterday"), "started_at: should be a valid datetime"),
    (a_row(started_at=1700000000), "started_at: a time must be written like 2026-03-01T12:00:00Z"),
    (a_row(started_at="0001-01-01T00:00:00+14:00"), "started_at: a time must be of a year from 1970 to 9889"),
    (a_row(started_at="9999-12-31T23:59:59-14:00"), "started_at: a time must be of a year from 1970 to 9889"),
    (a_row(feedback={"score": 9}), "feedback.0.score: should be less than or equal to 5"),
    (a_row(feedback={"score": "5"}), "feedback.0.score: should be a number"),
    (a_row(feedback={}), "feedback.0: it holds none of score, label, comment and correction"),
    (a_row(feedback="good"), "feedback.0: should be an object"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named_with_its_reason_and_the_others_come_in(store: Store, write: Write, bad: Any, reason: str) -> None:
    report = import_file(write(a_row(100), "", bad, a_row(101)))

    (refusal,) = report.refused
    assert refusal.line == 3
    assert refusal.reason.startswith(reason)
    assert (report.read, report.added, report.feedback_added) == (3, 2, 2)


def test_an_id_that_comes_twice_is_refused_the_second_time(store: Store, write: Write) -> None:
    path = write(a_row(1), a_row(2), a_row(1, task="other"))
    twice = (Refusal(3, "id: it was at line 1 already"),)

    assert import_file(path) == ImportReport(read=3, added=2, already_there=0, feedback_added=2, refused=twice)
    assert import_file(path) == ImportReport(read=3, added=0, already_there=2, feedback_added=0, refused=twice)


def test_what_may_be_left_out_may_be_left_out(store: Store, write: Write) -> None:
    bare = {"id": "bare", "messages": [{"role": "user", "content": "Hi"}], "response": {"role": "assistant", "content": ""}}

    assert import_file(write(bare), task="chosen").added == 1

    found = store.interactions.get("bare")
    assert found is not None
    assert (found.task, found.model, found.conversation_id, found.response) == ("chosen", None, None, assistant(""))
    assert (datetime.now(UTC) - found.started_at).total_seconds() < 60


def test_a_time_without_a_zone_is_utc(store: Store, write: Write) -> None:
    import_file(write(a_row(1, started_at="2026-03-01T12:00:00"), a_row(2, started_at="2026-03-01T12:00:00+02:00")))

    assert [one.started_at.hour for one in store.interactions.scan("support")] == [12, 10]


def test_the_task_given_stands_above_the_tasks_in_the_file(store: Store, write: Write) -> None:
    import_file(write(a_row(1), a_row(2, task="other")), task="mine")

    assert store.tasks.names() == ["mine"]
    assert store.interactions.count("mine") == 2


def test_a_task_that_gains_no_row_is_not_registered(store: Store, write: Write) -> None:
    path = write(a_row(1), a_row(2))
    import_file(path)

    import_file(path, task="other")
    assert store.tasks.names() == ["support"]

    import_file(write(a_row(2), a_row(3)), task="other")
    assert store.tasks.names() == ["other", "support"]


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(a_row(1)).encode() + b"\r\n" + json.dumps(a_row(2)).encode())

    assert import_file(path).added == 2


def test_nul_and_lone_surrogates_come_in_replaced_on_postgres_too(postgres_url: str, write: Write) -> None:
    store = open_store(postgres_url)
    row = '{"id": "hostile", "task": "hostile", "messages": [{"role": "user", "content": "a\\u0000b\\uD800c"}], '
    row += '"response": {"role": "assistant", "content": "\\ud83c\\udfac"}}'

    assert import_file(write(row), store=store).refused == ()

    found = store.interactions.get("hostile")
    assert found is not None
    assert (found.messages, found.response) == ((user("a\ufffdb\ufffdc"),), assistant("🎬"))
    store.close()


def test_a_line_longer_than_the_limit_is_skipped_without_being_read(
    store: Store, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    exact = json.dumps(a_row(3))
    exact += " " * (999 - len(exact))

    report = import_file(write(a_row(1), "x" * 5000, a_row(2), exact, "y" * 1000, a_row(4)))

    assert report.refused == (
        Refusal(2, "the line is longer than 1,000 bytes"),
        Refusal(5, "the line is longer than 1,000 bytes"),
    )
    assert report.added == 4


def test_progress_goes_from_the_first_batch_to_the_end_of_the_file(store: Store, write: Write) -> None:
    path = write(*(a_row(number) for number in range(1100)))
    seen: list[tuple[int, int, str]] = []

    import_file(path, on_progress=lambda *step: seen.append(step))

    size = path.stat().st_size
    assert [note for _, _, note in seen] == ["500 lines", "1,000 lines", "1,100 lines"]
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1][:2] == (size, size)


def test_an_empty_file_is_an_empty_report(store: Store, write: Write) -> None:
    assert import_file(write("", "  ")) == ImportReport(read=0, added=0, already_there=0, feedback_added=0, refused=())


def test_a_file_that_is_not_there_and_a_bad_task_are_the_callers_to_mend(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.jsonl cannot be read: No such file"):
        import_file(tmp_path / "nothing.jsonl")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        import_file(tmp_path)
    with pytest.raises(ConfigurationError, match="task name"):
        import_file(tmp_path / "nothing.jsonl", task="no good!")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=80) | st.dictionaries(st.sampled_from(list(a_row())), st.text() | st.integers() | st.none())))
def test_whatever_a_file_holds_each_line_is_added_there_or_refused(store: Store, write: Write, content: list[Any]) -> None:
    report = import_file(write(*content), store=store, format="plain")

    assert report.read == report.added + report.already_there + len(report.refused)


def test_personal_data_and_user_ids_are_taken_out_before_the_store(store: Store, write: Write) -> None:
    said = {"comment": "write to anna@example.com", "label": "anna@example.com", "user_id": "anna"}
    asked = [{"role": "user", "content": "I am anna@example.com"}]
    report = import_file(write(a_row(1, messages=asked, user_id="anna", feedback=said)))

    assert report.added == 1
    (one,) = store.interactions.scan("support")
    (feedback,) = store.feedback.of([one])["row-1"]
    assert "anna" not in one.model_dump_json() + feedback.model_dump_json()
    assert one.redaction is not None
    assert one.user_id == feedback.user_id
    assert one.fingerprint is not None


def test_redaction_may_be_left_off(store: Store, write: Write) -> None:
    import_file(write(a_row(1, messages=[{"role": "user", "content": "I am anna@example.com"}])), redact="off")

    (one,) = store.interactions.scan("support")
    assert (one.messages[0].text, one.redaction) == ("I am anna@example.com", None)


def test_a_price_in_the_file_stands_and_none_there_is_not_guessed(store: Store, write: Write) -> None:
    counted = {"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 1000}
    import_file(write(a_row(1, **counted), a_row(2, **counted, cost_usd=9.5), a_row(3, **counted, cost_usd=None)))

    priced, given_, unknown = (one.cost_usd for one in store.interactions.scan("support"))
    assert priced is not None
    assert 0 < priced < 1
    assert (given_, unknown) == (9.5, None)


def test_an_import_that_broke_off_goes_on_where_it_was(store: Store, write: Write) -> None:
    path = write(*(a_row(number) for number in range(1200)))

    def stop(done: int, total: int, note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(path, on_progress=stop)
    assert store.interactions.count("support") == 500

    report = import_file(path)
    assert (report.added, report.already_there, report.feedback_added) == (700, 500, 700)


def test_a_user_hash_must_be_one(store: Store, write: Write) -> None:
    report = import_file(write(a_row(1, user_hash="anna"), a_row(2, tags={"secret": 7}), a_row(3, input_tokens=-1)))

    assert [refusal.reason for refusal in report.refused] == [
        "user_hash: it is no hash that Continuum made; give the user's own id as user_id",
        "tags: should be a string",
        "input_tokens: should be greater than or equal to 0",
    ]
