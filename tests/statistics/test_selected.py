import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from continuum.statistics.paired import Moments, student_p, with_worst_case
from continuum.statistics.selected import given_selection, least_approved, least_unblocked

ERROR = 0.03


@pytest.mark.parametrize(("truth", "limit"), [(0.0, 0.03), (0.02, 0.03), (0.05, 0.03)])
def test_what_was_selected_is_too_large_on_average_and_its_corrected_estimate_is_not_in_the_median(
    truth: float, limit: float
) -> None:
    # Every two-hundredth of what is selected, instead of a sample of it.
    shares = (np.arange(200) + 0.5) / 200
    claimed = stats.truncnorm((limit - truth) / ERROR, np.inf, loc=truth, scale=ERROR).ppf(shares)

    corrected = [given_selection(value, ERROR, limit) for value in claimed]

    assert claimed.mean() > truth + 0.001
    assert np.mean([one.mean < truth for one in corrected]) == 0.5
    assert np.mean([one.low <= truth <= one.high for one in corrected]) == 0.95


@given(st.floats(-0.3, 0.3), st.floats(0.005, 0.1), st.floats(0, 0.3))
def test_a_corrected_estimate_is_never_above_the_claim_and_lies_in_its_interval(value: float, error: float, above: float) -> None:
    found = given_selection(value, error, value - above)

    assert found.mean <= value + 1e-6
    assert -1 <= found.low <= found.mean <= found.high <= 1


def test_the_ends_are_where_the_cut_off_normal_distribution_says() -> None:
    found = given_selection(0.08, ERROR, 0.05)

    def chance(theta: float) -> float:
        return stats.truncnorm((0.05 - theta) / ERROR, np.inf, loc=theta, scale=ERROR).cdf(0.08)

    assert [chance(one) for one in (found.high, found.mean, found.low)] == pytest.approx([0.025, 0.5, 0.975], abs=1e-4)


def test_far_above_the_limit_nothing_changes_and_at_the_limit_nothing_is_known() -> None:
    far, near = given_selection(0.5, ERROR, 0.0), given_selection(0.0501, ERROR, 0.05)

    assert far.mean == pytest.approx(0.5, abs=1e-6)
    assert near.low == -1
    assert near.mean < 0


def test_what_lies_below_the_limit_was_selected_by_something_else() -> None:
    with pytest.raises(ValueError, match=r"selected from 0\.1 up cannot be 0\.05"):
        given_selection(0.05, ERROR, 0.1)


def test_without_an_error_there_is_nothing_to_correct() -> None:
    assert given_selection(0.2, 0, 0.1).mean == 0.2


@given(st.floats(0.05, 0.4), st.integers(20, 2000), st.floats(-0.1, 0.0), st.sampled_from([0.05, 0.03, 0.002]))
def test_the_least_that_is_approved_is_approved_and_what_is_less_is_not(
    sd: float, groups: int, floor: float, alpha: float
) -> None:
    least = least_approved(sd, groups, floor, alpha)

    def p(mean: float) -> float:
        return student_p(with_worst_case(Moments(mean, sd, groups), alpha), floor, worse=False)

    if least < 1:
        assert p(least + 1e-6) < alpha <= p(least - 1e-6)


@given(st.floats(0.05, 0.4), st.integers(20, 2000))
def test_the_least_that_is_not_blocked_lies_below_what_is_allowed(sd: float, groups: int) -> None:
    least = least_unblocked(sd, groups, -0.02, 0.05)

    assert least < -0.02
    if least > -1:
        assert student_p(Moments(least, sd, groups), -0.02, worse=True) == pytest.approx(0.05, abs=1e-5)
