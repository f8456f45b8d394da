import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.similarity.languages import ENGLISH, FRENCH, GERMAN, OTHER, SPANISH, Language
from continuum.similarity.words import difference, numbers, same_words, signs, usage_of


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("where is my order", "where is the order please"),
        ("i want a refund", "i want a refnud"),
        ("cancel my subscription", "can you cancel my subscriptions"),
        ("has it nto arrived", "has it not arrived"),
        ("ohw do i pay", "how do i pay"),
        ("how long does it take to top up my card", "how long does it take to topup my card"),
    ],
)
def test_function_words_and_slips_do_not_make_a_difference(left: str, right: str) -> None:
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
        ("3 adults and 2 children", "2 adults and 3 children"),
        ("it costs 1.5", "it costs 15"),
        ("is it -5 outside", "is it 5 outside"),
        ("i paid $10", "i paid €10"),
        ("what is 2+3", "what is 2*3"),
        ("return !found", "return found"),
        ("activate my card for payments abroad", "deactivate my card for payments abroad"),
        ("i would like you to lock my card", "i would like you to unlock my card"),
        ("please lock my new card today", "please block my new card today"),
        ("a transfer from savings to checking", "a transfer from checking to savings"),
        ("is the money to my mother", "is the money from my mother"),
        ("what is my favourite colour of all", "what is your favourite colour of all"),
        ("shall we meet on tuesday afternoon", "shall we meet on thursday afternoon"),
        ("a table for nine people at the window", "a table for five people at the window"),
        ("drive north for twenty minutes please", "drive south for twenty minutes please"),
        ("the answer was 👍", "the answer was 👎"),
    ],
)
def test_numbers_negations_signs_and_content_words_do(left: str, right: str) -> None:
    assert not same_words(left, right)
    assert not same_words(right, left)


@pytest.mark.parametrize(
    ("language", "left", "right", "same"),
    [
        (GERMAN, "wie kann ich mein konto schließen", "wie kann ich das konto bitte schließen", True),
        (GERMAN, "wie kann ich mein knoto schließen", "wie kann ich mein konto schließen", True),
        (GERMAN, "ich möchte die karte sperren", "ich möchte die karte nicht sperren", False),
        (GERMAN, "ich möchte einen termin am montag", "ich möchte keinen termin am montag", False),
        (GERMAN, "wann kommt die karte", "wo kommt die karte", False),
        (GERMAN, "die karte bitte sperren", "die karte bitte entsperren", False),
        (GERMAN, "geld von meinem konto", "geld zu meinem konto", False),
        (FRENCH, "je veux annuler ma commande", "je veux annuler la commande merci", True),
        (FRENCH, "je veux annuler ma comamnde", "je veux annuler ma commande", True),
        (FRENCH, "je veux annuler ma commande", "je ne veux pas annuler ma commande", False),
        (FRENCH, "quand arrive ma carte", "où arrive ma carte", False),
        (FRENCH, "je veux activer ma carte", "je veux désactiver ma carte", False),
        (SPANISH, "quiero cancelar mi pedido", "quiero cancelar el pedido por favor", True),
        (SPANISH, "quiero cancelar mi peddio", "quiero cancelar mi pedido", True),
        (SPANISH, "quiero cancelar mi pedido", "no quiero cancelar mi pedido", False),
        (SPANISH, "cuándo llega mi tarjeta", "dónde llega mi tarjeta", False),
        (SPANISH, "quiero activar mi tarjeta", "quiero desactivar mi tarjeta", False),
        (OTHER, "я хочу отменить заказ", "я хочу отменить закза", True),
        (OTHER, "я хочу отменить заказ", "я не хочу отменить заказ", False),
        (OTHER, "我要退款谢谢", "我不要退款谢谢", False),
        (OTHER, "मुझे पैसे की रसीद", "मुझे पैसे का रसीद", False),
    ],
)
def test_each_language_has_its_own_small_words_and_without_them_every_word_counts(
    language: Language, left: str, right: str, same: bool
) -> None:
    assert same_words(left, right, language) == same
    assert same_words(right, left, language) == same


def test_two_words_that_many_texts_use_are_no_slips_of_each_other() -> None:
    usage = usage_of([f"a visa for iran {n}" for n in range(5)] + [f"a visa for iraq {n}" for n in range(5)])

    assert same_words("do i need a visa for iran", "do i need a visa for iraq", ENGLISH)
    assert not same_words("do i need a visa for iran", "do i need a visa for iraq", ENGLISH, usage)


def test_a_word_that_hardly_anybody_writes_is_a_slip_of_one_that_everybody_does() -> None:
    usage = usage_of([f"my card number {n}" for n in range(50)])

    assert same_words("i have lost my ccard in the city today", "i have lost my card in the city today", ENGLISH, usage)
    assert same_words("i have lost my vard in the city today", "i have lost my card in the city today", ENGLISH, usage)


def test_a_repeated_word_is_not_a_single_one() -> None:
    assert not same_words("very very good coffee coffee", "very good coffee")


def test_numbers_are_read_in_their_order_with_sign_and_decimals() -> None:
    assert numbers("pay 1.50 for item b7 at 12:30, not -3 (or 4).") == ("1.50", "b7", "12:30", "-3", "4")
    assert signs("50% of $3 is, well: 'little'!") == "%$"


@given(st.text("ab 1", max_size=20), st.text("ab 1", max_size=20))
def test_what_two_texts_share_at_their_ends_is_put_aside_without_loss(left: str, right: str) -> None:
    ours, theirs = difference(left, right)

    assert left.replace(ours, "", 1) == right.replace(theirs, "", 1) or len(left) - len(ours) == len(right) - len(theirs)
    assert same_words(left, right) == same_words(right, left)


def test_a_huge_text_is_compared_in_no_time() -> None:
    text = "word " * 200_000

    assert not same_words(text + "yes", text + "never")
