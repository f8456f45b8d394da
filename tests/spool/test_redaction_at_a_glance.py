"""What is told at a glance to hold nothing personal holds nothing."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.capture.documents import documents
from continuum.spool.finishing import finish
from continuum.spool.patterns import PatternRedactor
from continuum.spool.redaction import has_nothing

REDACTOR = PatternRedactor()
PIECES = st.sampled_from(
    [
        *("ann@example.com", "ann (at) example", "+49 170 1234567", "617 555 1234", "4111 1111 1111 1111", "::1", "10.0.0.1"),
        *("password is hunter2", "pwd: x", "key=abc", "Bearer abcdefgh", "sk-abcdefghijklmnopqrstuvwx", "order", "call me", "12"),
        *(
            "https://u:p@host/",
            "RSSMRA85T10A562S",
            "RSSM RA85 T10A 562S",
            "1:2:3:4:5:6:7:8",
            "-----BEGIN KEY-----",
            ".",
            "\n",
            "ä",
            "-",
        ),
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=12)), max_size=12).map(" ".join))
@example("0 0 0")
def test_a_text_that_is_told_to_hold_nothing_is_left_as_it_is(text: str) -> None:
    if REDACTOR.nothing_in(text):
        assert REDACTOR.redact(text) == text


@given(st.lists(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=6).map(" ".join), max_size=4))
def test_texts_that_are_told_together_are_each_left_as_they_are(texts: list[str]) -> None:
    if has_nothing(texts, REDACTOR):
        assert [REDACTOR.redact(text) for text in texts] == texts


def test_nothing_that_is_found_in_labelled_documents_is_passed_over() -> None:
    found = [document.text for document in documents(5) if REDACTOR.redact(document.text) != document.text]

    assert len(found) > 200
    assert [text for text in found if REDACTOR.nothing_in(text)] == []


@pytest.mark.parametrize("text", ["Where is my parcel? It was to come on Monday.", "two of 12, please", ""])
def test_everyday_words_are_told_at_a_glance(text: str) -> None:
    assert REDACTOR.nothing_in(text)


def test_json_is_read_before_anything_is_said_of_it() -> None:
    hidden = '{"mail": "ann\\u0040example.com"}'
    assert not has_nothing([hidden], REDACTOR)

    one = finish({"id": "a", "task": "t", "messages": [{"role": "user", "content": hidden}], "redact": "builtin"})
    assert one.messages[0].text == '{"mail": "[EMAIL]"}'


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "text", "text": "ann@example.com"}]},
        {"role": "assistant", "content": None, "refusal": "not to ann@example.com"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "f", "arguments": '{"to":"ann@example.com"}'}}],
        },
    ],
    ids=["parts", "refusal", "tool call"],
)
def test_what_is_more_than_plain_words_goes_the_long_way(message: dict[str, object]) -> None:
    one = finish({"id": "a", "task": "t", "messages": [message], "redact": "builtin"})

    assert "ann" not in one.model_dump_json()
    assert one.redaction == "builtin-1"
