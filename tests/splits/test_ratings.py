from datetime import timedelta

from continuum.records import Feedback, Message
from continuum.splits.ratings import human_rating, reference_answer
from tests.builders import NOON, an_interaction


def given(minute: int, **fields: object) -> Feedback:
    return Feedback(interaction_id="a", recorded_at=NOON + timedelta(minutes=minute), **fields)


def test_the_newest_score_counts() -> None:
    assert human_rating([given(1, score=2), given(2, score=5), given(3, comment="thanks")]).score == 5


def test_implicit_signals_are_no_rating() -> None:
    assert human_rating([given(1, kind="implicit", score=1)]).score is None


def test_a_correction_is_the_reference_even_when_a_later_score_comes() -> None:
    rating = human_rating([given(1, correction="It arrives on Tuesday."), given(2, score=5)])

    assert reference_answer(an_interaction(), rating) == Message(role="assistant", content="It arrives on Tuesday.")


def test_an_empty_correction_is_none() -> None:
    assert human_rating([given(1, correction="  ")]).correction is None


def test_a_middling_answer_is_no_reference() -> None:
    interaction = an_interaction()

    assert reference_answer(interaction, human_rating([given(1, score=3.5)])) is None
    assert reference_answer(interaction, human_rating([given(1, score=4)])) == interaction.response
