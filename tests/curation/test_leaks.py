import pytest

from continuum.curation.leaks import assert_sealed, seal
from continuum.curation.quality import Rated
from continuum.dataset_rows import PreferencePair
from continuum.embedding.embedder import HashedEmbedder
from continuum.errors import ContinuumError
from continuum.policy import SplitPolicy
from continuum.splits.golden import GoldenItem
from continuum.splits.keys import beginnings_of
from continuum.splits.sides import assign_sides
from tests.builders import an_example, an_interaction, assistant, interactions, user

QUESTION = "I was charged twice for the same order and would like to have the second payment returned"


def rated(name: str, question: str) -> Rated:
    interaction = an_interaction(question, id=name)
    assert interaction.response is not None
    return Rated(interaction, interaction.response, 5.0, "judge")


def golden(*turns: str) -> list[GoldenItem]:
    return [GoldenItem(interaction_id="g", messages=tuple(user(turn) for turn in turns), reference=assistant("Yes."), group="g")]


def test_a_nearly_golden_question_is_left_out_and_counted() -> None:
    rows = [rated("a", QUESTION.replace("payment", "paymnet")), rated("b", "Which trains go to Bonn?")]

    sealed = seal(rows, golden(QUESTION), HashedEmbedder(), 0.92)

    assert [one.interaction.id for one in sealed.kept] == ["b"]
    assert sealed.near_golden == 1
    assert sealed.vectors.shape == (1, 384)


def test_the_end_of_a_long_golden_dialogue_is_compared_too() -> None:
    turns = ("Hello", "One", "Two", "Three", QUESTION)
    row = rated("a", "x")
    row = Rated(
        row.interaction.model_copy(update={"messages": tuple(map(user, ("Goodbye", *turns[1:])))}), row.response, 5.0, "judge"
    )

    assert seal([row], golden(*turns), HashedEmbedder(), 0.92).near_golden == 1


def test_a_like_question_with_another_number_is_trained_on() -> None:
    sealed = seal([rated("a", f"{QUESTION} 4711")], golden(f"{QUESTION} 4712"), HashedEmbedder(), 0.92)

    assert len(sealed.kept) == 1


def test_the_very_context_of_a_golden_item_stops_the_build() -> None:
    with pytest.raises(ContinuumError, match="very context of golden item g"):
        seal([rated("a", QUESTION.upper())], golden(QUESTION), HashedEmbedder(), 0.92)


def test_without_a_golden_dataset_everything_stays() -> None:
    assert len(seal([rated("a", QUESTION)], [], HashedEmbedder(), 0.92).kept) == 1
    assert seal([], golden(QUESTION), HashedEmbedder(), 0.92).kept == []


def test_the_report_names_what_was_left_out_and_what_is_close_without_a_word_of_text() -> None:
    rows = [
        rated("near", QUESTION.replace("payment", "paymnet")),
        rated("close", f"{QUESTION} 4712"),
        rated("far", "Which trains go to Bonn?"),
    ]
    sides = assign_sides(interactions(50), SplitPolicy(), golden_ids=set(), trained_ids=set())

    report = seal(rows, golden(f"{QUESTION} 4711"), HashedEmbedder(), 0.92, sides=sides).report

    assert (report["golden_items"], report["compared"], report["exact_contexts"]) == (1, 3, 0)
    assert seal(rows, golden(QUESTION), HashedEmbedder(), 0.92).report["near_golden"] == {
        "threshold": 0.92,
        "examples": 1,
        "golden_item_of": {"near": "g"},
    }
    assert [pair["interaction_id"] for pair in report["neighbours"]["worst"]] == ["close"]
    assert report["neighbours"]["examples"] == 1
    assert report["neighbours"]["highest"] == report["neighbours"]["worst"][0]["cosine"] > 0.95
    assert report["sides"]["on_both_sides"] == {"context": 0, "beginning": 0, "conversation": 0, "user": 0}
    assert "charged" not in str(report)


def pair(name: str, *turns: str, group: str = "other") -> PreferencePair:
    return PreferencePair(
        interaction_id=name,
        rejected_id=name,
        messages=tuple(user(turn) for turn in turns),
        chosen=assistant("Yes."),
        rejected=assistant("No."),
        source="correction",
        group=group,
    )


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (pair("g", "Anything"), "is golden item g"),
        (pair("a", QUESTION), "has the very context of golden item g"),
        (pair("a", "Anything", group="g"), "is in the group of golden item g"),
        (pair("a", QUESTION, "And then?"), "begins as golden item g"),
    ],
)
def test_rows_of_every_kind_are_held_against_the_golden_dataset(row: PreferencePair, fault: str) -> None:
    with pytest.raises(ContinuumError, match=fault):
        assert_sealed([an_example("Which trains go to Bonn?"), row], golden(QUESTION), common=frozenset())


def test_a_beginning_that_everybody_shares_is_no_leak() -> None:
    common = frozenset(beginnings_of([user("Hello")]))
    rows = [pair("a", "Hello", "Which trains go to Bonn?")]

    assert assert_sealed(rows, golden("Hello", QUESTION), common=common) == {"rows": 1, "golden_items": 1}
