from collections.abc import Sequence
from datetime import timedelta
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from continuum.curation.duplicates import SemanticRule, remove_duplicates, still_alike
from continuum.curation.quality import Rated
from continuum.records import Example, FunctionCall, Message, ToolCall
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


class Meanings:
    """An embedder that knows which texts mean the same."""

    id = "meanings"

    def __init__(self, **angles: float) -> None:
        self.angles = angles

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        angles = [next((angle for word, angle in self.angles.items() if word in text), 1.5) for text in texts]
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_each_removed_row_names_its_keeper_and_the_reason() -> None:
    typo = QUESTION.replace("payment", "paymnet")

    distinct = remove_duplicates([rated("a", score=5), rated("b", score=4.5), rated("c", typo, score=4.4)], 0.92)

    assert [(one.interaction_id, one.kept_id, one.why, one.language) for one in distinct.removed] == [
        ("b", "a", "exact", "en"),
        ("c", "a", "near", "en"),
    ]
    assert 0.98 < distinct.removed[1].prompt_similarity < 1 == distinct.removed[1].response_similarity
    assert (distinct.languages, distinct.fallback, distinct.encoder) == ({"en": 3}, 0, None)


def test_rows_in_a_language_without_word_lists_are_counted() -> None:
    assert remove_duplicates([rated("a", "верните мне деньги", "да"), rated("b")], 0.92).fallback == 1


def test_a_good_and_a_bad_answer_to_one_question_both_stay() -> None:
    pair = [rated("a", answer="We return it today."), rated("b", answer="We never return it today.", score=4.5)]

    assert len(remove_duplicates([*pair, rated("c", score=2)], 0.5).kept) == 3


def test_meaning_is_compared_only_when_asked_and_names_its_encoder() -> None:
    rows = [rated("a", "refund please"), rated("b", "money back please", score=4.5), rated("c", "where is it", score=4.2)]
    rule = SemanticRule(Meanings(refund=0.0, money=0.1), 0.97)

    assert len(remove_duplicates(rows, 0.92).kept) == 3
    distinct = remove_duplicates(rows, 0.92, rule)

    assert distinct.replaces == {"a": ("b",), "c": ()}
    assert (distinct.meaning, distinct.encoder, distinct.removed[0].why) == (1, "meanings", "meaning")


def test_meaning_never_merges_other_numbers_actions_denials_or_verdicts() -> None:
    rule = SemanticRule(Meanings(), 0.9)
    rows = [
        rated("a", "a table for 5"),
        rated("b", "seats for 6 people"),
        rated("c", "seats, but not for people"),
        rated("d", "seats for people", score=3.5),
        rated("e", "some seats"),
    ]

    assert remove_duplicates(rows, 0.92, rule).replaces == {"a": (), "b": (), "c": (), "d": (), "e": ()}


def test_an_example_gives_way_by_meaning_with_all_that_it_stands_for_or_not_at_all() -> None:
    question, typo = "I want my money returned to the card today", "I want my money returned to the crad today"
    rows = [rated("a", "a refund please"), rated("b", question, score=4.5), rated("c", typo, score=4.0)]

    together = remove_duplicates(rows, 0.92, SemanticRule(Meanings(refund=0.0, money=0.1), 0.97))
    too_far = remove_duplicates([*rows, rated("d", typo, score=3.8)], 0.92, SemanticRule(Meanings(refund=0.0, money=0.1), 0.97))

    assert together.replaces == {"a": ("b", "c")}
    assert too_far.replaces == {"a": (), "b": ("c", "d")}


def test_calls_whose_arguments_differ_in_case_alone_are_two_actions() -> None:
    def opened(name: str, argument: str) -> Rated:
        call = ToolCall(id=name, function=FunctionCall(name="open", arguments=argument))
        answer = Message(role="assistant", content=None, tool_calls=(call,))
        return Rated(an_interaction(QUESTION, id=name), answer, 5.0, "human")

    rows = [opened("a", '{"id": "aBcD"}'), opened("b", '{"id": "AbCd"}'), opened("c", '{ "id":"aBcD" }')]

    kept = [one.interaction.id for one in remove_duplicates(rows, 0.92).kept]
    assert len(kept) == 2
    assert "b" in kept


def as_example(one: Rated) -> Example:
    return Example(
        interaction_id=one.interaction.id,
        messages=one.interaction.messages,
        response=one.response,
        score=one.score,
        score_source=one.score_source,
        group="g",
        reason="good",
    )


def test_two_examples_that_teach_the_same_are_found_in_a_version() -> None:
    typo = QUESTION.replace("payment", "payments")
    rows = [as_example(one) for one in (rated("a", score=4), rated("b", typo, score=5), rated("c", "Where is my parcel?"))]
    assert still_alike(rows, 0.92) == [("b", "a")]
    assert still_alike(rows, 1.0) == []
    assert still_alike([], 0.92) == []


VOCABULARY = "the a my our order orders payment paymnet not nto now know twice refund refunds 2 3 please block lock"
SENTENCES = st.lists(st.sampled_from(VOCABULARY.split(" ")), min_size=1, max_size=12).map(" ".join)
ROWS = st.lists(st.tuples(SENTENCES, SENTENCES, st.sampled_from([3.5, 4.0, 5.0])), max_size=12)


@given(rows=ROWS, threshold=st.sampled_from([0.8, 0.92, 1.0]))
def test_nothing_that_stays_of_any_candidates_is_alike(rows: list[tuple[str, str, float]], threshold: float) -> None:
    candidates = [rated(f"i{n}", question, answer, score) for n, (question, answer, score) in enumerate(rows)]
    kept = remove_duplicates(candidates, threshold).kept
    assert still_alike([as_example(one) for one in kept], threshold) == []
