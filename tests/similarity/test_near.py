import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.similarity.near import Answered, keepers, near_pairs, same_text

LONG = "i was charged twice for the same order and would like to have the second payment returned to my card"


def answered(prompt: str, response: str = "we will return it", action: str = "", score: float = 5.0) -> Answered:
    return Answered(prompt, response, action, score)


def test_a_typo_makes_a_pair_and_another_question_does_not() -> None:
    texts = [LONG, "how do i change my address", LONG.replace("payment", "paymnet")]

    assert list(near_pairs(texts, 0.92)) == [(0, 2)]


def test_nothing_has_no_pairs() -> None:
    assert list(near_pairs([], 0.92)) == []
    assert keepers([], 0.92).kept_as == []


@pytest.mark.parametrize("short", ["", "a", "ok", "yes!"])
def test_texts_shorter_than_a_shingle_are_compared_whole(short: str) -> None:
    assert list(near_pairs([short, short, "entirely different"], 0.92)) == [(0, 1)]


def test_similar_spelling_with_another_number_is_another_text() -> None:
    assert not same_text(f"{LONG}, order 4711", f"{LONG}, order 4712", 0.92)


def test_the_first_of_a_kind_stays() -> None:
    items = [answered(LONG), answered("how do i change my address"), answered(LONG.replace("card", "cards"))]

    assert keepers(items, 0.92).kept_as == [0, 1, 0]


def test_two_answers_to_one_question_both_stay() -> None:
    assert keepers(
        [answered(LONG, "we will return it"), answered(LONG, "please send us a photo of the parcel")], 0.92
    ).kept_as == [0, 1]


def test_two_actions_both_stay() -> None:
    assert keepers([answered(LONG, "f", action="refund(1)"), answered(LONG, "f", action="refund(2)")], 0.92).kept_as == [0, 1]


def test_opposite_verdicts_both_stay() -> None:
    assert keepers([answered(LONG, score=5), answered(LONG, score=3.5)], 0.92).kept_as == [0, 1]


def test_a_chain_of_small_changes_does_not_swallow_its_ends() -> None:
    words = ["alpha", "bravo", "charlie", "delta", "echoes", "foxtrot", "golfing", "hotels", "indigo", "juliet", "kilos"]
    chain = [" ".join(word + "s" * (n < step) for n, word in enumerate(words)) for step in range(len(words) + 1)]

    kept_as = keepers([answered(text) for text in chain], 0.95).kept_as

    assert kept_as[-1] != 0
    assert all(same_text(chain[keeper], chain[position], 0.95) for position, keeper in enumerate(kept_as))


@given(
    st.lists(st.sampled_from([LONG, LONG + " please", LONG.replace("twice", "twcie"), "no", "yes", "where is it"]), max_size=12)
)
def test_every_item_is_kept_or_stands_behind_one_that_is(prompts: list[str]) -> None:
    items = [answered(prompt) for prompt in prompts]

    kept_as = keepers(items, 0.92).kept_as

    for position, keeper in enumerate(kept_as):
        assert keeper <= position
        assert kept_as[keeper] == keeper
        assert same_text(items[keeper].prompt, items[position].prompt, 0.92)


def test_templated_texts_that_differ_in_their_numbers_are_not_compared_pair_by_pair() -> None:
    texts = [f"question number {n}: how long does parcel {n * 7} take to town {n * 13}?" for n in range(3000)]

    assert list(near_pairs([*texts, texts[5].replace("parcel", "parcle")], 0.92)) == [(5, 3000)]


def test_a_row_is_within_a_point_of_its_keeper_even_where_its_text_is_anothers_copy() -> None:
    typo = LONG.replace("payment", "paymnet")
    stars = keepers([answered(LONG, score=5), answered(typo, score=4.2), answered(typo, score=3.5)], 0.92)

    assert stars.kept_as == [0, 0, 2]


def test_one_answer_with_two_verdicts_stays_twice() -> None:
    assert keepers([answered(LONG, score=5), answered(LONG, score=1), answered(LONG, score=1.5)], 0.92).kept_as == [0, 1, 1]


def test_what_gave_way_says_why() -> None:
    stars = keepers([answered(LONG), answered(LONG), answered(LONG.replace("payment", "paymnet"))], 0.92)

    assert (stars.replaced[1].exact, stars.replaced[1].prompt_similarity) == (True, 1.0)
    assert (stars.replaced[2].exact, stars.replaced[2].language) == (False, "en")
    assert 0.98 < stars.replaced[2].prompt_similarity < 1


def test_a_language_without_lists_asks_for_more_likeness_and_is_counted() -> None:
    russian = "я хочу отменить мой заказ"
    stars = keepers([answered(LONG), answered(russian, "да"), answered(russian.replace("мой", "мйо"), "да")], 0.92)

    assert stars.languages == {"en": 1, "other": 2}
    assert stars.kept_as == [0, 1, 1]
    assert not same_text("хочу отменить", "хочу отменитьс", 0.97)


def test_texts_that_differ_further_back_than_is_compared_are_not_the_same() -> None:
    tail = " ".join(f"word{n % 700}" for n in range(2000))

    assert not same_text(f"refund the order {tail}", f"cancel the order {tail}", 0.92)
    assert same_text(f"please refund the order {tail}", f"please refund the ordre {tail}", 0.92)


def test_two_texts_that_differ_from_end_to_end_are_left_alone_and_counted() -> None:
    middle = " ".join(f"word{n % 700}" for n in range(2000))
    ours, theirs = f"refudn {middle} thnaks", f"refund {middle} thanks"

    stars = keepers([answered(ours), answered(theirs)], 0.92)

    assert (stars.kept_as, stars.too_long) == ([0, 1], 1)
