import pytest

from continuum.signals.rephrase import closes, rephrased

AGAIN = [
    ("where is my order?", "i mean the order from monday, where is it"),
    ("how do i reset my password?", "no, i want to reset the password of my account"),
    ("my card was declined", "why was my card declined at the shop"),
    ("cancel my subscription", "please tell me how i can cancel the subscription i have"),
    ("can i get a refund?", "i would like to get a refund for the broken lamp"),
    ("what are your opening hours?", "when do you open, what opening hours do you have on sunday"),
    ("the app crashes when i log in", "logging in makes the app crash, how do i fix that"),
    ("how long does shipping take?", "how many days until shipping is done, how long does it usually take"),
    ("change my delivery address", "i need another delivery address for my parcel, how do i change it"),
    ("is the blue chair in stock?", "do you have the blue chair, is it in stock now or not"),
]
GOES_ON = [
    ("how much is shipping to france?", "how much is shipping to spain?"),
    ("where is order 1234?", "where is order 9876?"),
    ("what are your opening hours?", "and on sundays?"),
    ("how do i reset my password?", "thanks, that worked"),
    ("can i get a refund?", "ok, how long does the refund take?"),
    ("is the blue chair in stock?", "what about the red chair?"),
    ("book a table for two", "yes please"),
    ("my card was declined", "which bank do you work with in italy?"),
    ("cancel my subscription", "do i keep access until the end of the month?"),
    ("how long does shipping take?", "can somebody else receive the parcel?"),
]


def test_the_same_in_other_words_is_told_from_what_goes_on() -> None:
    assert sum(rephrased(AGAIN)) >= 9
    assert sum(rephrased(GOES_ON)) == 0
    assert rephrased([]) == []


def test_the_same_words_are_no_rephrase() -> None:
    assert rephrased([("where is my order?", "Where is my order".casefold())]) == [False]


@pytest.mark.parametrize(
    ("message", "content"),
    [("thanks, that is all", True), ("merci beaucoup", True), ("bye", True), ("where is it?", False), ("", False)],
)
def test_thanks_and_goodbyes_end_a_talk_content(message: str, content: bool) -> None:
    assert closes(message) is content


def test_thanks_within_a_long_complaint_end_nothing() -> None:
    assert not closes("thanks for nothing, the parcel was wet and the lamp in it is broken")
