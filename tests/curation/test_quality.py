import pytest

from continuum.curation.quality import Rated, intent_of, is_question, rate, score_histogram, settled
from continuum.records import Annotation, Feedback, FunctionCall, Message, ToolCall
from tests.builders import NOON, an_interaction

JUDGED = Annotation(interaction_id="a", task="support", judge="gpt-4", rubric="r", overall=2.5)


def said(**fields: object) -> Feedback:
    return Feedback(interaction_id="a", recorded_at=NOON, **fields)


def test_people_come_before_the_judge() -> None:
    rated = rate(an_interaction(), [said(score=4.5)], JUDGED)

    assert rated is not None
    assert (rated.score, rated.score_source) == (4.5, "human")


def test_the_judge_speaks_where_people_did_not() -> None:
    rated = rate(an_interaction(), [said(comment="hm")], JUDGED)

    assert rated is not None
    assert (rated.score, rated.score_source) == (2.5, "judge")


def test_a_correction_replaces_the_answer_and_is_right() -> None:
    rated = rate(an_interaction(), [said(score=1, correction="Tuesday.")], JUDGED)

    assert rated is not None
    assert (rated.response, rated.score, rated.score_source) == (Message(role="assistant", content="Tuesday."), 5.0, "correction")


def test_an_empty_answer_can_be_corrected_and_not_learned() -> None:
    empty = an_interaction(answer="")

    assert rate(empty, [said(score=5)], None) is None
    assert rate(empty, [said(correction="Tuesday.")], None) is not None


def test_without_a_score_there_is_nothing_to_say() -> None:
    unparseable = Annotation(interaction_id="a", task="support", judge="gpt-4", rubric="r", status="unparseable")

    assert rate(an_interaction(), [], None) is None
    assert rate(an_interaction(), [], unparseable) is None


def test_the_histogram_has_all_five_levels() -> None:
    assert score_histogram([1.0, 4.5, 5.0, 3.4]) == {"1": 1, "2": 0, "3": 1, "4": 0, "5": 2}


def test_a_correction_of_a_failed_call_is_learned() -> None:
    failed = an_interaction(response=None, status="error", error="timeout")
    broken = an_interaction(answer="It arr", status="cancelled")

    rated = [rate(one, [said(correction="Tuesday.")], JUDGED) for one in (failed, broken)]

    assert [one and one.response.text for one in rated] == ["Tuesday.", "Tuesday."]
    assert rate(broken, [said(score=5)], JUDGED) is None


def test_a_tool_call_can_be_corrected_by_words() -> None:
    call = ToolCall(function=FunctionCall(name="track", arguments='{"order": 7}'))
    tracked = an_interaction(response=Message(role="assistant", tool_calls=(call,)))

    rated = rate(tracked, [said(score=2, correction="Which order?")], JUDGED, generation=3)

    assert rated is not None
    assert (rated.response, rated.verdict, rated.generation) == (Message(role="assistant", content="Which order?"), 2.0, 0)


@pytest.mark.parametrize("blank", ["", "  \n", "\u200b\u2060 "])
def test_a_correction_without_a_visible_word_corrects_nothing(blank: str) -> None:
    rated = rate(an_interaction(), [said(score=4, correction=blank)], JUDGED)

    assert rated is not None
    assert (rated.score, rated.score_source) == (4.0, "human")


def test_who_corrects_to_the_same_words_approves_and_the_model_stays_their_author() -> None:
    rated = rate(an_interaction(), [said(correction="It arrives on  Monday.")], JUDGED, generation=2)

    assert rated is not None
    assert (rated.score, rated.score_source, rated.generation) == (5.0, "correction", 2)


def test_of_several_corrections_a_trusted_one_counts_and_else_the_newest() -> None:
    theirs = [said(correction=f"{day}.", user_id=day) for day in ("Tuesday", "Sunday")]
    reviewers = said(correction="Friday.", user_id="rita", trusted=True)

    newest, trusted = rate(an_interaction(), theirs, None), rate(an_interaction(), [reviewers, *theirs], None)

    assert newest is not None
    assert trusted is not None
    assert (newest.response.text, trusted.response.text) == ("Sunday.", "Friday.")


def test_an_intent_is_on_one_line_and_can_be_written() -> None:
    tagged = an_interaction(tags={"intent": " a\n\udc80 refund ", "topic": " "})

    assert intent_of(tagged, "intent") == "a ? refund"
    assert intent_of(tagged, "topic") is None
    assert intent_of(tagged, "missing") is None


def test_what_people_say_of_one_answer_to_one_context_is_one_score() -> None:
    def given(name: str, score: float, answer: str = "On Monday.") -> Rated:
        interaction = an_interaction(answer=answer, id=name)
        assert interaction.response is not None
        return Rated(interaction, interaction.response, score, "human")

    rows = [given("a", 5), given("b", 1), given("c", 5), given("d", 1), given("e", 5, "On Tuesday.")]

    assert [one.score for one in settled(rows)] == [3, 3, 3, 3, 5]
    assert [one.interaction.id for one in settled(rows)] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("words", ["", "   ", "\u200b", "\n\t"])
def test_nothing_is_asked_by_a_message_in_which_nothing_is_seen(words: str) -> None:
    asked = Message(role="user", content="Where is it?")

    assert not is_question((Message(role="user", content=words),))
    assert not is_question((asked, Message(role="user", content=words)))
    assert is_question((asked, Message(role="tool", tool_call_id="1", content=words)))
    assert is_question((Message(role="user", content=[{"type": "image_url", "image_url": {"url": "data:"}}]),))
    assert not is_question((Message(role="system", content="Be kind."),))
