import math
from datetime import timedelta

import pytest
from hypothesis import given as given_examples
from hypothesis import strategies as st

from continuum.records import Feedback, Message
from continuum.splits.ratings import POPULATION, human_rating, reference_answer
from continuum.store.raters import RaterRow
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


def row(rater: str, sensitivity: float, specificity: float) -> RaterRow:
    return RaterRow(
        task="support",
        rater=rater,
        reliability=max(0.0, sensitivity + specificity - 1),
        sensitivity=sensitivity,
        specificity=specificity,
        verdicts=50,
        trusted=5,
        updated_at=NOON,
    )


RATERS = {
    one.rater: one
    for one in (
        row("careful", 0.95, 0.95),
        row("fair", 0.8, 0.8),
        row("decent", 0.8, 0.8),
        row("liar", 0.1, 0.1),
        row("pleased", 0.98, 0.4),
        row(POPULATION, 0.7, 0.7),
    )
}


def said(*verdicts: tuple[str | None, float], **fields: object) -> list[Feedback]:
    return [given(minute, user_id=rater, score=score, **fields) for minute, (rater, score) in enumerate(verdicts)]


def test_a_persons_newest_verdict_counts_once_however_often_it_was_given() -> None:
    assert human_rating(said(("ada", 1), ("ben", 5), ("cy", 5), *[("ada", 1)] * 50)).score == 5
    assert human_rating(said(("ada", 1), ("ben", 5), ("ada", 5))).score == 5


def test_unnamed_people_are_one_person_who_may_change_their_mind() -> None:
    assert human_rating(said((None, 1), (None, 1), (None, 5))).score == 5
    assert human_rating(said((None, 5), (None, 1), ("ada", 5), ("ben", 5))).score == 5


@pytest.mark.parametrize(
    ("scores", "together"),
    [
        ([1, 5], 3),
        ([4, 5], 4.5),
        ([1, 5, 5], 5),
        ([1, 3, 5], 3),
        ([5, 5, 1, 1, 1], 1),
        ([5, 1, 5, 1], 3),
        ([2], 2),
    ],
)
def test_people_of_equal_weight_give_their_middle_score(scores: list[float], together: float) -> None:
    assert human_rating(said(*((f"user {n}", score) for n, score in enumerate(scores)))).score == together


def test_reliable_people_weigh_more() -> None:
    assert human_rating(said(("careful", 5), ("fair", 1)), RATERS).score == 5
    assert human_rating(said(("fair", 5), ("decent", 1)), RATERS).score == 3
    assert human_rating(said(("careful", 1), ("fair", 5), ("decent", 5)), RATERS).score == 3


def test_whom_nothing_is_known_of_weighs_as_the_population_does() -> None:
    (new,) = human_rating(said(("new", 5)), RATERS).opinions
    (unnamed,) = human_rating(said((None, 5)), RATERS).opinions

    assert new.weight == unnamed.weight == pytest.approx(math.log(0.7 / 0.3))
    assert human_rating(said(("new", 5)), {}).score == 5


def test_who_is_no_better_than_a_coin_is_not_heard_and_not_turned_round() -> None:
    rating = human_rating(said(("liar", 5), ("fair", 2)), RATERS)

    assert rating.score == 2
    assert [(opinion.rater, opinion.weight > 0) for opinion in rating.opinions] == [("liar", False), ("fair", True)]
    assert human_rating(said(("liar", 5)), RATERS).score is None
    assert human_rating([given(1, user_id="liar", correction="Never.")], RATERS).correction is None


def test_praise_weighs_little_from_someone_who_praises_everything_and_blame_much() -> None:
    praise, blame = (human_rating(said(("pleased", score)), RATERS).opinions[0].weight for score in (5, 1))

    assert praise < 0.6
    assert blame > 2


def test_nobody_is_taken_to_be_always_right() -> None:
    perfect = {"ada": row("ada", 1.0, 1.0), **{name: row(name, 0.9, 0.9) for name in ("b", "c", "d", "e", "f", "g")}}

    assert human_rating(said(("ada", 1), *((name, 5) for name in "bcdefg")), perfect).score == 5


def test_a_trusted_verdict_decides_alone() -> None:
    crowd = said(*((f"user {n}", 5) for n in range(20)), ("careful", 5))

    assert human_rating([given(0, score=1, trusted=True), *crowd], RATERS).score == 1
    assert human_rating([given(0, score=1, user_id="a", trusted=True), given(1, score=2, user_id="a", trusted=True)]).score == 2
    assert human_rating([given(0, score=1, trusted=True, kind="explicit"), given(1, score=5)]).score == 1


def test_of_corrections_the_most_reliable_persons_counts_and_a_trusted_one_always() -> None:
    fair = given(1, user_id="fair", correction="On Monday.")
    careful = given(2, user_id="careful", correction="On Tuesday.")
    late = given(3, user_id="decent", correction="On Friday.")
    trusted = given(0, user_id="decent", correction="Today.", trusted=True)

    def words(*corrections: Feedback, raters: dict[str, RaterRow] | None = None) -> str | None:
        correction = human_rating(corrections, raters).correction
        return correction and correction.text

    assert words(fair, careful, late) == "On Friday."
    assert words(fair, careful, late, raters=RATERS) == "On Tuesday."
    assert words(fair, late, raters=RATERS) == "On Friday."
    assert words(trusted, fair, careful, late, raters=RATERS) == "Today."


names = st.sampled_from([*RATERS, "new"])


@given_examples(
    st.lists(st.tuples(names, st.sampled_from([1.0, 2.0, 3.0, 4.5, 5.0])), unique_by=lambda said: said[0], max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_order_of_different_people_changes_nothing_and_the_score_is_among_theirs(verdicts, random) -> None:
    verdicts = [(rater or "ada", score) for rater, score in verdicts]
    shuffled = list(verdicts)
    random.shuffle(shuffled)

    score = human_rating(said(*verdicts), RATERS).score

    assert human_rating(said(*shuffled), RATERS).score == score
    assert score is None or min(score for _, score in verdicts) <= score <= max(score for _, score in verdicts)
