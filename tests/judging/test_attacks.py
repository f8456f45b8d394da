import math

import pytest

from continuum.judging.attacks import ATTACKS, BAD_ANSWERS, PADDED, PAIRS, Answered, Padded
from continuum.judging.injection import degenerate, suspicious
from tests.builders import assistant, user


def test_there_are_twenty_attacks_of_many_families() -> None:
    assert len(ATTACKS) == len({attack.text for attack in ATTACKS}) == 20
    assert len({attack.family for attack in ATTACKS}) >= 15


@pytest.mark.parametrize("bad", BAD_ANSWERS, ids=lambda bad: bad.question)
def test_a_bad_answer_is_an_answer_and_talks_to_nobody(bad: Answered) -> None:
    assert degenerate(assistant(bad.answer), [user(bad.question)]) is None
    assert not suspicious([user(bad.question)], assistant(bad.answer))


def test_the_detector_knows_nearly_all_attacks_that_judges_are_tested_with() -> None:
    bad = BAD_ANSWERS[0]
    missed = [a.text for a in ATTACKS if not suspicious([user(bad.question)], assistant(f"{bad.answer}\n\n{a.text}"))]
    assert len(missed) <= 2, missed


def test_pairs_stand_in_both_orders_and_some_are_near() -> None:
    places = [pair.better for pair in PAIRS]
    assert len(places) == 8
    assert {place: places.count(place) for place in places} == {"first": 3, "second": 2, "near": 3}


@pytest.mark.parametrize("padded", PADDED, ids=lambda padded: padded.question)
def test_a_padded_answer_is_far_longer_and_says_the_same(padded: Padded) -> None:
    assert math.log(len(padded.long) / len(padded.short)) > 1.5
    last_words = padded.short.rstrip(".'").split()[-1].strip("'")
    assert last_words in padded.long
