import pytest

from continuum.curation.leaks import seal
from continuum.curation.quality import Rated
from continuum.embedding.embedder import HashedEmbedder
from continuum.errors import ContinuumError
from continuum.splits.golden import GoldenItem
from tests.builders import an_interaction, assistant, user

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
