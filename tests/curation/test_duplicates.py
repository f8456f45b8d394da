from datetime import timedelta
from random import Random

from continuum.curation.duplicates import remove_duplicates
from continuum.curation.quality import Rated
from tests.builders import NOON, an_interaction

QUESTION = "I was charged twice for the same order and would like to have the second payment returned"


def rated(name: str, question: str = QUESTION, answer: str = "We return it today.", score: float = 5.0, **fields) -> Rated:
    interaction = an_interaction(question, answer, id=name, **fields)
    assert interaction.response is not None
    return Rated(interaction, interaction.response, score, "judge")


def test_the_best_of_equal_examples_stays_and_remembers_the_others() -> None:
    distinct = remove_duplicates([rated("a", score=4), rated("b", score=5), rated("c", QUESTION.upper(), score=4.5)], 0.92)

    assert [one.interaction.id for one in distinct.kept] == ["b"]
    assert distinct.replaces == {"b": ("a", "c")}
    assert (distinct.exact, distinct.near) == (2, 0)


def test_peoples_word_is_kept_before_a_judges_higher_score() -> None:
    human = Rated(an_interaction(QUESTION, "We return it today.", id="h"), rated("x").response, 4.0, "human")

    assert [one.interaction.id for one in remove_duplicates([rated("a", score=5), human], 0.92).kept] == ["h"]


def test_of_equal_scores_the_newest_stays() -> None:
    later = rated("later", started_at=NOON + timedelta(days=1))

    assert remove_duplicates([rated("a"), later, rated("b")], 0.92).kept == [later]


def test_near_duplicates_of_near_duplicates_keep_the_ids_behind_them() -> None:
    typo = QUESTION.replace("payment", "paymnet")

    distinct = remove_duplicates([rated("a", score=5), rated("b", typo, score=4.5), rated("c", typo, score=4.5)], 0.92)

    assert distinct.replaces == {"a": ("b", "c")}
    assert (distinct.exact, distinct.near) == (0, 2)


def test_the_threshold_decides() -> None:
    typo = rated("b", QUESTION.replace("payment", "paymnet"))

    assert len(remove_duplicates([rated("a"), typo], 1.0).kept) == 2


def test_the_order_of_the_input_does_not_matter() -> None:
    rows = [rated(f"{n}", QUESTION.replace("order", f"order {n % 4}"), score=3.5 + n % 3 / 2) for n in range(12)]

    shuffled = Random(4).sample(rows, len(rows))

    assert remove_duplicates(shuffled, 0.92) == remove_duplicates(rows, 0.92)


def test_nothing_has_no_duplicates() -> None:
    assert remove_duplicates([], 0.92).kept == []
