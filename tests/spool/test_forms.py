import copy
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.spool.cleaning import MAX_PAYLOAD, Snapshot
from continuum.spool.forms import NO_TOKENS, StreamedAnswer, Tokens, answer_in, messages_in, tokens_in
from continuum.spool.responses import StreamedResponse, messages_of_response, response_in

CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "find", "arguments": '{"n": 7}'}


def a_response(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"object": "response", "id": "resp_1", "model": "gpt-4o", "status": "completed", "output": list(output), **fields}


def words(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}


def answered(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found = response_in(a_response(*output, **fields), Snapshot())
    assert found is not None
    return found.message


# --- chat completions ---


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, NO_TOKENS),
        ({"prompt_tokens": 5, "completion_tokens": 2}, Tokens(5, 2)),
        (
            {
                **{"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
            Tokens(5, 2, 3, 1),
        ),
        ({"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0}}, Tokens(5, 2, 0)),
        ({"prompt_tokens": -1, "completion_tokens": True}, NO_TOKENS),
        ({"prompt_tokens": 2**40, "completion_tokens": "many", "prompt_tokens_details": 5}, NO_TOKENS),
        (SimpleNamespace(prompt_tokens=5, completion_tokens=2), Tokens(5, 2)),
    ],
)
def test_tokens_are_read_from_either_kind_of_usage(usage: Any, tokens: Tokens) -> None:
    assert tokens_in(usage) == tokens


def test_an_answer_says_why_the_model_stopped() -> None:
    message = {"role": "assistant", "content": "It arr"}
    found = answer_in({"id": "c", "choices": [{"finish_reason": "length", "message": message}]}, Snapshot())

    assert found is not None
    assert (found.message, found.finish_reason, found.tokens) == (message, "length", NO_TOKENS)


def test_chunks_become_the_message_they_are_pieces_of() -> None:
    stream = StreamedAnswer()
    pieces = [{"role": "assistant", "content": ""}, {"content": "It "}, {"content": "arrives"}, {"refusal": "No"}]
    for piece in pieces:
        assert stream.add({"id": "c", "model": "m", "choices": [{"index": 0, "delta": piece}]})
    stream.add({"choices": [{"index": 1, "delta": {"content": "another answer"}}]})
    stream.add({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 5}})

    found = stream.answer(Snapshot())
    assert found is not None
    assert found.message == {"role": "assistant", "content": "It arrives", "refusal": "No"}
    assert (found.model, found.response_id, found.tokens, found.finish_reason) == ("m", "c", Tokens(5), "stop")
    assert not stream.add({"event": "ping"})


def test_a_stream_without_end_is_cut() -> None:
    stream = StreamedAnswer()
    for _ in range(3):
        stream.add({"choices": [{"delta": {"content": "x" * (MAX_PAYLOAD // 2)}}]})

    assert stream.truncated
    assert stream.size <= MAX_PAYLOAD


# --- responses ---


def test_what_a_response_is_asked_with_becomes_chat_messages() -> None:
    items: list[Any] = [
        {"role": "developer", "content": "Be short."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Where is order 7?"}]},
        {"type": "reasoning", "id": "rs", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        CALL,
        {**CALL, "call_id": "call_2", "type": "custom_tool_call", "name": "shell", "input": "ls"},
        {"type": "function_call_output", "call_id": "call_1", "output": "shipped"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "a.txt"}]},
        {"type": "web_search_call", "id": "ws", "status": "completed"},
        "not an item",
    ]

    assert messages_of_response("Be kind.", items, Snapshot()) == [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": "Where is order 7?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"n": 7}'}},
                {"id": "call_2", "type": "function", "function": {"name": "shell", "arguments": "ls"}},
            ],
        },
        {"role": "tool", "content": "shipped", "tool_call_id": "call_1"},
        {"role": "tool", "content": "a.txt", "tool_call_id": "call_2"},
    ]


def test_pictures_and_files_are_parts_as_in_chat_completions() -> None:
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_file", "file_id": "file-1"},
    ]

    assert messages_of_response(None, [{"role": "user", "content": parts}], Snapshot()) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        }
    ]


@pytest.mark.parametrize("asked", [None, 5, [], [{"type": "item_reference", "id": "x"}], {"role": "user"}])
def test_what_is_no_input_is_no_conversation(asked: Any) -> None:
    assert messages_of_response(None, asked, Snapshot()) is None


def test_the_messages_of_a_response_are_one_answer() -> None:
    assert answered(words("It "), words("arrives")) == {"role": "assistant", "content": "It arrives"}
    assert answered(words("One moment."), CALL)["content"] == "One moment."
    assert answered(CALL)["tool_calls"][0]["id"] == "call_1"
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert answered(refusal) == {"role": "assistant", "content": None, "refusal": "No."}
    assert answered() == {"role": "assistant", "content": None}


@pytest.mark.parametrize(
    ("output", "fields", "reason"),
    [
        ([words("Hi")], {}, "stop"),
        ([CALL], {}, "tool_calls"),
        ([words("Hi")], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ([words("Hi")], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ([], {"status": "failed", "error": {"message": "overloaded"}}, "error"),
    ],
)
def test_a_response_ends_for_a_reason_that_chat_completions_know(output: Any, fields: dict[str, Any], reason: str) -> None:
    found = response_in(a_response(*output, **fields), Snapshot())

    assert found is not None
    assert found.finish_reason == reason


@pytest.mark.parametrize("value", [None, 5, {}, {"object": "response"}, {"output": []}, {"object": "list", "output": []}])
def test_what_is_no_response_holds_no_answer(value: Any) -> None:
    assert response_in(value, Snapshot()) is None


def test_a_stream_that_breaks_keeps_what_was_said() -> None:
    stream = StreamedResponse()
    stream.add({"type": "response.created", "response": a_response(model="gpt-4o")})
    assert stream.answer(Snapshot()) is None
    assert stream.add({"type": "response.output_text.delta", "delta": "It arr"})
    stream.add({"type": "response.output_item.done", "item": CALL})
    stream.add({"type": "response.refusal.delta", "delta": "No"})

    found = stream.answer(Snapshot())
    assert found is not None
    assert (found.message["content"], found.message["refusal"]) == ("It arr", "No")
    assert found.message["tool_calls"][0]["function"]["name"] == "find"
    assert (found.model, found.response_id, found.tokens) == ("gpt-4o", "resp_1", NO_TOKENS)


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["message", "function_call", "user"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "output", "text", "call_id", "object", "delta"]), inner)
    ),
    max_leaves=15,
)


@given(json_values)
def test_whatever_comes_is_read_or_left_but_never_an_error_and_never_changed(value: Any) -> None:
    before = copy.deepcopy(value)

    messages_in(value, Snapshot())
    messages_of_response(value, value, Snapshot())
    response_in({"object": "response", "output": value}, Snapshot())
    answer_in(value, Snapshot())
    stream, events = StreamedAnswer(), StreamedResponse()
    stream.add(value)
    events.add({"type": "response.completed", "response": value})
    stream.answer(Snapshot())
    events.answer(Snapshot())

    assert value == before
