from continuum.records import FunctionCall, Message, ToolCall
from continuum.similarity.fingerprints import context_fingerprint, fingerprint
from continuum.similarity.normalise import canonical, prompt_tail
from tests.builders import assistant, user


def test_parts_are_told_apart() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("a") != fingerprint("a", "")


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    assert fingerprint("where is my order?") == "94461e6cfcd2eab27e624c41d8b143b1"


def test_half_a_surrogate_pair_has_a_fingerprint() -> None:
    assert fingerprint("\ud83d") != fingerprint("\ud83e")


def test_case_spacing_and_typography_are_not_content() -> None:
    assert canonical("  Where’s  my “Order”—please\n") == 'where\'s my "order"-please'
    assert context_fingerprint([user("Hello   THERE")]) == context_fingerprint([user("hello there")])


def test_instructions_of_the_application_do_not_tell_dialogues_apart() -> None:
    at_noon, at_one = Message(role="system", content="It is 12:00"), Message(role="system", content="It is 13:00")

    assert context_fingerprint([at_noon, user("Hi")]) == context_fingerprint([at_one, user("Hi")])


def test_who_speaks_is_content() -> None:
    assert context_fingerprint([user("Hi")]) != context_fingerprint([assistant("Hi")])


def test_the_tail_is_the_end_of_the_conversation() -> None:
    turns = [user(f"turn {n}") for n in range(9)]

    assert prompt_tail(turns) == "user: turn 5\nuser: turn 6\nuser: turn 7\nuser: turn 8"


def test_the_order_of_a_tool_calls_arguments_is_not_content() -> None:
    def call(arguments: str) -> Message:
        return Message(role="assistant", tool_calls=(ToolCall(function=FunctionCall(name="f", arguments=arguments)),))

    one, other = call('{"a": 1, "b": 2}'), call('{"b":2,"a":1}')

    assert canonical(one.action) == canonical(other.action)
    assert context_fingerprint([user("Hi"), one]) == context_fingerprint([user("Hi"), other])
