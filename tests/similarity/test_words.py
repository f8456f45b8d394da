import pytest

from continuum.similarity.words import same_words


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("where is my order", "where is the order please"),
        ("i want a refund", "i want a refnud"),
        ("cancel my subscription", "can you cancel my subscriptions"),
    ],
)
def test_function_words_and_spelling_do_not_make_a_difference(left: str, right: str) -> None:
    assert same_words(left, right)
    assert same_words(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("a table for 5 at eight", "a table for 8 at eight"),
        ("it has arrived", "it has not arrived"),
        ("when was he born", "where was he born"),
        ("flights to italy", "flights to japan"),
        ("my cat is ill", "my car is ill"),
        ("pay the bill", "pay the bill twice"),
        ("room 12b", "room 12c"),
    ],
)
def test_numbers_negations_and_content_words_do(left: str, right: str) -> None:
    assert not same_words(left, right)
    assert not same_words(right, left)


def test_a_repeated_word_is_not_a_single_one() -> None:
    assert not same_words("very very good coffee coffee", "very good coffee")
