"""Pairs and rated answers: what people said decides, and no context floods the rest."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from continuum.curation.preferences import PER_CONTEXT, preferences_of, spoken_of
from continuum.curation.quality import Rated, rate
from continuum.policy import SplitPolicy
from continuum.records import Annotation, Feedback, FunctionCall, Message, ToolCall
from continuum.splits.sides import Sides, assign_sides
from tests.builders import NOON, an_interaction, assistant, user

GOOD, BAD = 5.0, 1.0
A_CALL = Message(role="assistant", tool_calls=(ToolCall(function=FunctionCall(name="book", arguments='{"seats": 2}')),))


def heard(
    number: int, answer: str | Message = "Monday.", score: float | None = None, correction: str | None = None, **fields: Any
) -> Rated:
    """An answer that people spoke of."""
    response = assistant(answer) if isinstance(answer, str) else answer
    values = {"id": f"row-{number:04}", "response": response, "started_at": NOON + timedelta(minutes=number)}
    interaction = an_interaction(**(values | fields))
    said = Feedback(interaction_id=interaction.id, score=score, correction=correction, comment="hm", recorded_at=NOON)
    judged = Annotation(interaction_id=interaction.id, task="support", judge="j", rubric="r", overall=4.9)
    rated = rate(interaction, [said], judged)
    assert rated is not None
    return rated


def sides(rows: list[Rated], **side: str) -> Sides:
    ids = [row.interaction.id for row in rows]
    where = {one: side.get(one.replace("-", "_"), "train") for one in ids}
    groups = {one: f"group of {one}" for one in ids}
    nobody = assign_sides([], SplitPolicy(), golden_ids=set(), trained_ids=set())
    return replace(nobody, side=where, group=groups)


def pairs(rows: list[Rated], **side: str) -> list[tuple[str, str, str]]:
    return [(pair.chosen.action, pair.rejected.action, pair.source) for pair in preferences_of(rows, sides(rows, **side)).pairs]


def answers(rows: list[Rated]) -> list[tuple[str, bool, str]]:
    return [(row.response.action, row.desirable, row.source) for row in preferences_of(rows, sides(rows)).answers]


def test_a_correction_is_preferred_to_the_answer_it_corrects() -> None:
    rows = [heard(1, "Monday.", correction="Tuesday.")]

    (pair,) = preferences_of(rows, sides(rows)).pairs

    assert (pair.chosen, pair.rejected, pair.source) == (assistant("Tuesday."), assistant("Monday."), "correction")
    assert (pair.interaction_id, pair.rejected_id, pair.messages) == ("row-0001", "row-0001", rows[0].interaction.messages)
    assert (pair.split, pair.group) == ("train", "group of row-0001")
    assert answers(rows) == [("Tuesday.", True, "correction"), ("Monday.", False, "correction")]


def test_a_correction_in_the_same_words_makes_no_pair_and_calls_the_answer_good() -> None:
    rows = [heard(1, "Monday.", correction=" Monday. ")]

    assert pairs(rows) == []
    assert answers(rows) == [("Monday.", True, "correction")]


def test_a_tool_call_that_was_corrected_by_words_is_rejected_whole() -> None:
    rows = [heard(1, A_CALL, correction="How many seats?")]

    (pair,) = preferences_of(rows, sides(rows)).pairs

    assert pair.rejected == A_CALL
    assert pair.chosen.text == "How many seats?"


def test_a_failed_call_has_nothing_to_reject() -> None:
    rows = [heard(1, correction="Tuesday.", status="error"), heard(2, correction="Tuesday.", response=None, status="error")]

    assert pairs(rows) == []
    assert answers(rows) == [("Tuesday.", True, "correction")]


def test_a_good_and_a_bad_answer_to_one_context_make_a_pair() -> None:
    rows = [heard(1, "Monday.", GOOD), heard(2, "Never.", BAD), heard(3, "Perhaps.", 3.0)]

    (pair,) = preferences_of(rows, sides(rows)).pairs

    assert (pair.chosen.text, pair.rejected.text, pair.source) == ("Monday.", "Never.", "verdicts")
    assert (pair.interaction_id, pair.rejected_id) == ("row-0001", "row-0002")
    assert answers(rows) == [("Monday.", True, "verdict"), ("Never.", False, "verdict")]


def test_what_a_judge_says_makes_no_row() -> None:
    rows = [heard(1, "Monday.", BAD), heard(2, "Tuesday.")]

    assert [row.interaction.id for row in spoken_of(rows)] == ["row-0001"]
    assert pairs(rows) == []
    assert answers(rows) == [("Monday.", False, "verdict")]


def test_answers_to_other_contexts_are_not_compared() -> None:
    french = (Message(role="system", content="Answer in French."), user("Where is my order?"))
    picture = [{"type": "text", "text": "Where is it?"}, {"type": "image_url", "image_url": {"url": "a.png"}}]
    other = [picture[0], {"type": "image_url", "image_url": {"url": "b.png"}}]

    assert pairs([heard(1, "Monday.", GOOD), heard(2, "Lundi.", BAD, messages=french)]) == []
    asked = [(Message(role="user", content=content),) for content in (picture, other)]
    assert pairs([heard(1, "Left.", GOOD, messages=asked[0]), heard(2, "Right.", BAD, messages=asked[1])]) == []
    told = [(Message(role="system", content=f"It is {hour}:00."), user("When?")) for hour in (9, 17)]
    assert len(pairs([heard(1, "Soon.", GOOD, messages=told[0]), heard(2, "Never.", BAD, messages=told[1])])) == 1


def test_no_pair_crosses_from_training_to_validation_and_nothing_golden_is_in_one() -> None:
    rows = [heard(1, "Monday.", GOOD), heard(2, "Never.", BAD), heard(3, "No.", BAD)]

    assert pairs(rows, row_0001="validation") == []
    assert pairs(rows, row_0001="golden", row_0002="quarantined") == []
    found = preferences_of(rows, sides(rows, row_0001="validation", row_0003="validation"))
    assert [(pair.split, pair.rejected.text) for pair in found.pairs] == [("validation", "No.")]
    assert [row.split for row in found.answers] == ["validation", "train", "validation"]


def test_who_is_contradicted_counts_by_the_middle_of_what_is_said() -> None:
    rows = [heard(1, "Monday.", GOOD), heard(2, "Monday.", BAD), heard(3, "Never.", BAD)]
    assert pairs(rows) == []
    assert preferences_of(rows, sides(rows)).counts["undecided"] == 1

    assert pairs([*rows, heard(4, "Monday.", GOOD)]) == [("Monday.", "Never.", "verdicts")]


def test_two_answers_make_one_pair_and_a_correction_decides_which_way() -> None:
    rows = [heard(1, "Monday.", correction="Tuesday."), heard(2, "Monday.", GOOD), heard(3, "Tuesday.", BAD)]
    rows += [heard(n, "Monday.", correction="Tuesday.") for n in range(4, 9)]

    assert pairs(rows) == [("Tuesday.", "Monday.", "correction")]


def test_a_question_that_is_asked_a_thousand_times_does_not_flood_the_rest() -> None:
    rows = [heard(n, f"Answer {n % 50}.", GOOD if n % 2 else BAD) for n in range(1000)] + [heard(1000, "A.", correction="B.")]

    found = preferences_of(rows, sides(rows))

    assert len(found.pairs) == PER_CONTEXT
    assert found.pairs[-1].source == "correction"
    assert len({pair.rejected.text for pair in found.pairs}) == PER_CONTEXT
    assert len({pair.chosen.text for pair in found.pairs}) >= PER_CONTEXT - 1
    assert sum(row.desirable for row in found.answers) == PER_CONTEXT
    assert len(found.answers) == 2 * PER_CONTEXT
    assert found.counts["pairs_over_cap"] == 25 * 25 + 25 + 1 - PER_CONTEXT


@given(st.data())
def test_the_order_of_what_was_heard_changes_nothing(data: st.DataObject) -> None:
    scores = st.one_of(st.none(), st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0]))
    asked = st.tuples(st.integers(0, 2), st.integers(0, 3), scores, st.one_of(st.none(), st.integers(0, 3)))
    rows = [
        heard(n, f"A{answer}", score, None if wanted is None else f"A{wanted}", messages=(user(f"Q{question}"),))
        for n, (question, answer, score, wanted) in enumerate(data.draw(st.lists(asked, max_size=12)))
    ]
    found = preferences_of(rows, sides(rows))

    again = preferences_of(data.draw(st.permutations(rows)), sides(rows))

    assert (again.pairs, again.answers) == (found.pairs, found.answers)
    both = [(pair.messages, frozenset((pair.chosen.action, pair.rejected.action))) for pair in found.pairs]
    assert len(set(both)) == len(both)
    assert all(len(texts) == 2 for _, texts in both)


def test_what_is_learned_from_is_in_the_form_that_trl_takes() -> None:
    rows = [heard(1, A_CALL, correction="How many seats?")]
    found = preferences_of(rows, sides(rows))

    told = [message.to_openai() for message in (*found.pairs[0].messages, found.pairs[0].chosen, found.pairs[0].rejected)]

    assert [one["role"] for one in told] == ["user", "assistant", "assistant"]
    assert told[2]["tool_calls"][0]["function"] == {"name": "book", "arguments": '{"seats": 2}'}
