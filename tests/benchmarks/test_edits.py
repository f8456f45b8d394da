import pytest

from benchmarks.curation.edits import KINDS, plant, plant_slips
from continuum.similarity.normalise import canonical

TEXTS = [f"how do I change the limit of my card number {n} today?" for n in range(40)]


def test_each_kind_is_planted_as_often_and_no_text_twice() -> None:
    planted = plant(TEXTS, 5, seed=0)

    assert sorted(one.kind for one in planted) == sorted(5 * list(KINDS))
    assert len({one.original for one in planted}) == len(planted)
    assert planted == plant(TEXTS, 5, seed=0)


def test_an_edit_of_case_or_space_leaves_the_canonical_text_and_others_change_it() -> None:
    for one in plant(TEXTS, 5, seed=1):
        same = canonical(one.text) == canonical(TEXTS[one.original])
        assert same == (one.kind in ("case", "space")) or one.kind in ("word", "5% of words"), one


def test_a_slip_is_one_letter() -> None:
    for one in plant_slips(TEXTS, 20, seed=0):
        assert abs(len(one.text) - len(TEXTS[one.original])) <= 1


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="are needed"):
        plant(TEXTS[:3], 5, seed=0)
