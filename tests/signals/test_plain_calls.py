"""A plain call is written in one go, any other through a draft: what is stored is the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.records import Interaction
from continuum.signals.copies import conversation, plain_conversation
from continuum.signals.current import Given, interaction
from continuum.signals.decorator import capture
from continuum.signals.recording import Recording, begin
from continuum.signals.subject import Subject
from continuum.spool.finishing import finish
from continuum.spool.spool import Spool, default_spool
from tests.builders import assistant, user
from tests.signals.conftest import Kept

TEXTS = st.text(max_size=30)
MESSAGES = st.lists(
    st.dictionaries(st.sampled_from(["content", "name", "refusal"]), TEXTS | st.none(), max_size=3).map(
        lambda fields: {"role": "user", **fields}
    ),
    min_size=1,
    max_size=4,
)
WHEN = ("latency_ms", "started_at")


class Taking(Spool):
    """Keeps drafts instead of writing them."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts: list[dict[str, Any]] = []

    def take(self, draft: dict[str, Any], **_: Any) -> bool:
        self.drafts.append(draft)
        return True


def finished(spool: Taking, asked: Any, answered: str, said: Given, *, plain: bool) -> Interaction:
    """What a call becomes, when it asks for its draft on the way and when it does not."""
    subject = Subject("support", _handler, model="gpt-4")
    call = Recording(subject, "1", "0", said, spool)
    call.take((asked,), {})
    if not plain:
        assert call.draft["id"] == "1"
    call.end(answered)
    return finish(spool.drafts.pop())


def _handler(messages: Any) -> None:
    """Takes a conversation."""


@given(
    TEXTS | MESSAGES,
    TEXTS,
    st.builds(Given, st.none() | st.just("c1"), st.none() | st.just("anna")),
)
def test_a_plain_call_leaves_what_any_call_leaves(asked: Any, answered: str, said: Given) -> None:
    spool = Taking()
    plain = finished(spool, asked, answered, said, plain=True)
    other = finished(spool, asked, answered, said, plain=False)

    assert plain.model_dump(exclude=set(WHEN)) == other.model_dump(exclude=set(WHEN))


@given(st.lists(st.none() | st.dictionaries(st.sampled_from(["role", "content", "n"]), TEXTS | st.none() | st.integers())))
def test_a_plain_conversation_is_one_that_the_general_way_copies_as_it_is(messages: list[Any]) -> None:
    found = plain_conversation(messages)

    assert found is None or (
        (found, False) == conversation(messages) and all(a is not b for a, b in zip(found, messages, strict=True))
    )


def test_too_much_for_one_payload_is_no_plain_conversation() -> None:
    half = {"role": "user", "content": "x" * 600_000}

    assert plain_conversation([half]) == [half]
    assert plain_conversation([half, half]) is None
    assert plain_conversation([]) is None


def test_what_is_changed_while_the_call_runs_was_copied_before(kept: Kept) -> None:
    @capture(task="support")
    def handle(messages: list[dict[str, Any]]) -> str:
        messages[0]["content"] = "changed"
        messages.append({"role": "user", "content": "more"})
        return "well"

    handle([{"role": "user", "content": "hello"}])

    assert (kept.one().messages, kept.one().response) == ((user("hello"),), assistant("well"))


@pytest.mark.parametrize("asked", ["lone \ud800 surrogate", "a \0 zero", [{"role": "user", "content": "\ud800\0"}]])
def test_text_that_no_store_takes_is_cleaned_in_plain_calls_too(kept: Kept, asked: Any) -> None:
    capture(lambda messages: "fine \udfff", task="support")(asked)

    assert "\ufffd" in kept.one().messages[0].text
    assert kept.one().response == assistant("fine \ufffd")


def test_a_plain_call_is_handed_over_once(kept: Kept) -> None:
    call = begin(Subject("support"), ("hello",))
    call.end("well")
    call.end("again")
    call.fail(ValueError("too late"))

    assert kept.one().id == call.id


def test_a_spool_that_fails_does_not_reach_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> bool:
        raise MemoryError

    monkeypatch.setattr(default_spool(), "take", fails)

    assert capture(lambda text: text.upper(), task="support")("hello") == "HELLO"
    assert interaction.id
