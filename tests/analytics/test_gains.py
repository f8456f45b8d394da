import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.analytics.gains import gain_of, word_of

SCORES = st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=4, max_size=30)
NAMES = [f"g{n:02d}" for n in range(20)]


def test_models_that_answered_the_same_items_are_compared_item_by_item() -> None:
    # The items differ much, the models by exactly 0.1 on each.
    theirs = [n / 25 for n in range(20)]

    found = gain_of([one + 0.1 for one in theirs], theirs, NAMES)

    assert found is not None
    assert (found.paired, found.items, found.groups) == (True, 20, 20)
    assert found.mean == pytest.approx(0.1)
    # Twenty items that all say the same leave a doubt, and far less of one than the spread of the items would.
    assert found.low == pytest.approx(0.1 - 2.093 / 20, abs=1e-3)
    assert found.high == pytest.approx(0.1 + 2.093 / 20, abs=1e-3)


def test_models_without_an_item_in_common_are_compared_unpaired_and_it_is_said() -> None:
    ours = [0.2, 0.6, 1.0, 0.6] * 3 + [None] * 12
    theirs = [None] * 12 + [0.1, 0.5, 0.9, 0.5] * 3

    found = gain_of(ours, theirs, [f"g{n}" for n in range(24)])

    assert found is not None
    assert not found.paired
    assert found.mean == pytest.approx(0.1)
    # The spread of the items is in it now.
    assert found.low is not None
    assert found.low < -0.15
    assert found.word == "open"


def test_a_few_items_in_common_do_not_hide_what_each_answered_alone() -> None:
    ours, theirs = [0.9] * 25 + [None] * 20, [None] * 20 + [0.1] * 25

    found = gain_of(ours, theirs, [f"g{n}" for n in range(45)])

    assert found is not None
    assert (found.paired, found.items, found.word) == (False, 50, "better")


def test_an_interval_that_holds_none_is_open_and_no_interval_is_no_data() -> None:
    assert word_of(gain_of([0.5, 0.1] * 10, [0.1, 0.5] * 10, NAMES)) == "open"
    assert word_of(gain_of([0.5] * 9, [0.1] * 9, NAMES[:9])) == "no data"
    assert word_of(gain_of([None], [0.1], ["a"])) == "no data"


def test_what_should_be_low_is_better_when_it_falls() -> None:
    found = gain_of([0.1] * 20, [0.6] * 20, NAMES, lower_is_better=True)

    assert found is not None
    assert found.word == "better"


@given(SCORES, st.data())
def test_a_gain_turned_round_is_the_same_loss(ours: list[float | None], data: st.DataObject) -> None:
    theirs = data.draw(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=len(ours), max_size=len(ours)))
    groups = [f"g{n // 2}" for n in range(len(ours))]

    there, back = gain_of(ours, theirs, groups), gain_of(theirs, ours, groups)

    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert there.mean == pytest.approx(-back.mean, abs=1e-9)
        assert there.paired == back.paired
        assert (there.low is None) == (back.low is None)
        if there.low is not None and back.high is not None:
            assert there.low == pytest.approx(-back.high, abs=1e-9)
