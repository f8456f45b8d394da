"""What applications hand over at their worst: it must not break them, and as much as possible is kept."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.signals.copies import conversation, words_of
from continuum.signals.decorator import capture
from continuum.spool.cleaning import MAX_PAYLOAD
from tests.builders import assistant
from tests.signals.conftest import Kept


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


def test_fifty_megabytes_are_cut_at_once(kept: Kept) -> None:
    text = "x" * 50_000_000
    messages = [{"role": "user", "content": text}]
    nested = [{"role": "user", "content": [{"type": "text", "text": text}]}]

    began = time.thread_time()
    capture(lambda text: None, task="support")(text)
    capture(lambda messages: None, task="support")(messages)
    capture(lambda messages: {"deep": [text]}, task="support")(nested)
    assert time.thread_time() - began < 0.5

    found = kept.all()
    assert [one.tags for one in found] == 3 * [{"truncated": "true"}]
    assert all(MAX_PAYLOAD - 50 <= len(one.messages[0].text) <= MAX_PAYLOAD + 1 for one in found)


def test_a_million_small_things_do_not_hold_the_caller_up(kept: Kept) -> None:
    rows = [{"n": n} for n in range(1_000_000)]
    began = time.thread_time()

    capture(lambda text, rows: rows, task="support")("hello", rows)

    assert time.thread_time() - began < 1
    found = kept.one()
    assert found.tags["truncated"] == "true"
    assert found.tags["rows"].startswith('[{"n": 0}, {"n": 1}')
    assert found.response is not None
    assert found.response.text.startswith('[{"n": 0}, {"n": 1}')


def test_what_holds_itself_is_kept_to_some_depth(kept: Kept) -> None:
    ring: dict[str, Any] = {"role": "user", "content": "hello"}
    ring["more"] = [ring]

    capture(lambda messages, ring: ring, task="support")([ring], ring)

    assert kept.one().messages[0].text == "hello"
    assert kept.one().tags["truncated"] == "true"


def test_nan_surrogates_and_nul_are_replaced(kept: Kept) -> None:
    said = [{"role": "user", "content": "bad \x00\udfff", "score": float("nan"), "at\ud800": 1}]

    capture(lambda messages: "also \udc00", task="support")(said)

    found = kept.one()
    assert found.messages[0].text == "bad \ufffd\ufffd"
    assert found.response == assistant("also \ufffd")


def test_objects_that_cannot_be_written_are_named_by_their_type(kept: Kept) -> None:
    handle = capture(lambda messages, thing: thing, task="support")

    handle([{"role": "user", "content": [{"type": "object", "it": Mute()}]}], Mute())

    found = kept.one()
    assert found.tags == {"thing": "<Mute without a repr>"}
    assert found.response == assistant("<Mute without a repr>")
    assert found.messages[0].content == [{"type": "object", "it": "<Mute without a repr>"}]


def test_what_the_application_changes_afterwards_is_not_changed_in_what_was_kept(kept: Kept) -> None:
    parts = [{"type": "text", "text": "before"}]
    messages = [{"role": "system", "content": "kind"}, {"role": "user", "content": parts}]

    @capture(task="support")
    def handle(messages: list[dict[str, Any]]) -> str:
        parts[0]["text"] = "after"
        messages[0]["content"] = "rude"
        messages.clear()
        return "done"

    handle(messages)

    assert [message.text for message in kept.one().messages] == ["kind", "before"]


def test_a_clock_that_goes_backwards_does_not_make_time_negative(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(2_000_000_000_000_000_000, 0, -1_000_000_000_000))
    monkeypatch.setattr("continuum.signals.recording.time_ns", lambda: next(clock))
    handle = capture(lambda text: text, task="support")

    handle("one")
    handle("two")

    assert all(one.latency_ms is not None and 0 <= one.latency_ms < 1000 for one in kept.all())
    assert {one.started_at.year for one in kept.all()} == {2033}


def test_a_clock_that_no_calendar_knows_is_not_believed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuum.signals.recording.time_ns", lambda: -5)
    capture(lambda text: text, task="support")("hello")

    assert kept.one().started_at.year > 2000


def test_text_of_a_class_of_its_own_is_text(kept: Kept) -> None:
    class Safe(str):
        def __len__(self) -> int:
            raise RuntimeError("no")

        def __str__(self) -> str:
            return "something else"

    capture(lambda text: Safe("answer"), task="support")(Safe("question"))

    assert (kept.one().messages[0].text, kept.one().response) == ("question", assistant("answer"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=5) | st.builds(Mute),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4),
    max_leaves=20,
)


@given(anything, anything)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_and_answered_the_application_gets_it_back(home: object, asked: Any, answered: Any) -> None:
    handle = capture(lambda messages, other: answered, task="hostile", durability="memory")

    assert handle(asked, asked) is answered


@given(st.lists(st.fixed_dictionaries({"role": st.text(min_size=1, max_size=5), "content": anything}), min_size=1, max_size=4))
def test_a_copied_conversation_shares_nothing_that_can_change(messages: list[dict[str, Any]]) -> None:
    copies, cut = conversation(messages)

    assert not cut
    assert copies is not None
    for copied, message in zip(copies, messages, strict=True):
        assert copied is not message
        assert copied["content"] is not message["content"] or not isinstance(message["content"], (list, dict))


@given(anything)
def test_any_value_has_words(value: Any) -> None:
    text, _ = words_of(value)

    assert isinstance(text, str)
