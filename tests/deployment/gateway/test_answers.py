import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from continuum.deployment.gateway.answers import Answer, StreamedAnswer, read_answer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "delta", "usage", "error", "content", "tool_calls", "id"]), inner
        )
    ),
    max_leaves=20,
)


def events(*deltas: dict[str, Any]) -> bytes:
    chunks = [{"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks) + b"data: [DONE]\n\n"


def read(stream: bytes, size: int) -> Answer:
    answer = StreamedAnswer()
    for start in range(0, len(stream), size):
        answer.feed(stream[start : start + size])
    return answer.answer


@given(size=st.integers(1, 300))
def test_a_stream_says_the_same_however_it_is_cut(size: int) -> None:
    answer = read(events({"role": "assistant"}, {"content": "Grüße, "}, {"content": "Zoë"}), size)
    assert answer.message is not None
    assert answer.message.text == "Grüße, Zoë"
    assert answer.response_id == "chatcmpl-1"


def test_the_pieces_of_two_tool_calls_are_put_together() -> None:
    first = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "find", "arguments": ""}}
    second = {"index": 1, "id": "call-2", "type": "function", "function": {"name": "book", "arguments": "{}"}}
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"order"', ": 7}")]
    answer = read(events({"tool_calls": [first]}, {"tool_calls": rest[:1]}, {"tool_calls": [second, rest[1]]}), 1000)
    assert answer.message is not None
    assert answer.message.action == 'find({"order":7})\nbook({})'


def test_an_error_in_the_midst_of_a_stream_is_found() -> None:
    stream = events({"content": "half"}) + b'data: {"error": {"message": "overloaded"}}\n\n'
    answer = read(stream, 50)
    assert answer.error == "overloaded"
    assert answer.message is not None
    assert answer.message.text == "half"


def test_fields_that_are_null_are_left_out() -> None:
    message = {"role": "assistant", "content": "yes", "refusal": None, "tool_calls": None}
    answer = read_answer(json.dumps({"choices": [{"message": message}]}).encode())
    assert answer.message is not None
    assert answer.message.to_openai() == {"role": "assistant", "content": "yes"}


@given(content=JSON, cut=st.integers(0, 50))
def test_nothing_an_upstream_sends_is_an_error(content: Any, cut: int) -> None:
    body = json.dumps(content).encode()
    read_answer(body)
    read_answer(body[cut:])
    read(b"data: " + body + b"\n\ndata:" + body[cut:] + b"\n\n", 7)
