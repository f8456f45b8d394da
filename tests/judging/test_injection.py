import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.judging.injection import degenerate, has_content
from continuum.records import FunctionCall, Message, ToolCall
from tests.builders import assistant, user


@pytest.mark.parametrize("text", ["", "  \n\t", "\u200b", "\ufeff"])
def test_an_empty_answer_holds_nothing(text: str) -> None:
    assert degenerate(assistant(text)) == "empty"


@pytest.mark.parametrize(
    "text", [":", ".", "...", "—", "***", "<think>\n</think>", "<answer></answer>", "\\boxed{}", "```python\n```"]
)
def test_punctuation_and_empty_frames_hold_nothing(text: str) -> None:
    assert degenerate(assistant(text)) == "punctuation only"


@pytest.mark.parametrize(
    "text",
    [
        "Thought process:",
        "Let's solve this problem step by step.",
        "Solution",
        "Here is the answer:",
        "**Final answer:**",
        "Sure! Here's the solution:",
        "First, let's analyze the problem.",
        "Solution:\n\nStep 1:",
        "[Your answer here]",
        "Lösung:",
        "Lassen Sie uns das Problem Schritt für Schritt lösen.",
        "La réponse est :",
        "Respuesta",
        "Risolviamo questo problema passo dopo passo.",
        "Vamos resolver este problema passo a passo.",
        "Laten we dit probleem stap voor stap oplossen.",
        "Ход мыслей:",
        "解",
        "让我们一步一步地思考。",
        "かいせつ",
        "この問題を段階的に解きましょう。",
        "다음은 답변입니다:",
    ],
)
def test_an_opener_with_nothing_after_it_holds_nothing(text: str) -> None:
    assert degenerate(assistant(text), [user("What is 2 + 2?")]) == "an opener only"


@pytest.mark.parametrize(
    "text",
    [
        *("Yes.", "42", "Paris", "Ok, booked", "No", "Sure!", "Done.", "B", "👍", "はい", "好的", "x = 4"),
        *("Let me check that for you.", "One moment please", "Answer: yes", "Solution: x = 4", "The answer is 42."),
        *("Ответ: да", "答案是四。", "Analysis is a branch of mathematics.", "I'll look into it."),
    ],
)
def test_a_short_answer_is_an_answer(text: str) -> None:
    assert degenerate(assistant(text), [user("What is 2 + 2?")]) is None


def test_a_word_that_was_asked_for_is_an_answer_and_its_announcement_is_not() -> None:
    asked = [user("What is the English word for Lösung?")]
    assert degenerate(assistant("Solution"), asked) is None
    assert degenerate(assistant("Solution:"), asked) == "an opener only"


def test_a_tool_call_is_always_an_answer() -> None:
    assert degenerate(Message(role="assistant", tool_calls=(ToolCall(function=FunctionCall(name="track")),))) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_having_content_and_being_degenerate_are_one_idea(answer: str, question: str) -> None:
    conversation = [user(question)]
    assert has_content(assistant(answer), conversation) is (degenerate(assistant(answer), conversation) is None)
