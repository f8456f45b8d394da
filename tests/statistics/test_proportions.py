import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from continuum.statistics.proportions import clopper_pearson_upper


def test_nothing_in_sixty_may_still_be_one_in_twenty():
    assert clopper_pearson_upper(0, 60) == pytest.approx(1 - 0.05 ** (1 / 60))
    assert clopper_pearson_upper(0, 60) == pytest.approx(0.0487, abs=1e-4)


def test_a_share_of_all_is_bounded_by_one():
    assert clopper_pearson_upper(7, 7) == 1.0


@given(st.data())
def test_with_a_true_share_at_the_bound_so_few_are_seen_once_in_twenty(data: st.DataObject):
    trials = data.draw(st.integers(1, 200))
    count = data.draw(st.integers(0, trials - 1))

    upper = clopper_pearson_upper(count, trials)

    assert count / trials < upper < 1
    assert stats.binom.cdf(count, trials, upper) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(("count", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_no_share_is_had_of_nothing_or_of_more_than_all(count: int, trials: int):
    with pytest.raises(ValueError, match="at least one trial"):
        clopper_pearson_upper(count, trials)
