import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from continuum.analytics.rivals import least_best
from continuum.statistics.selected import given_selection

ERROR = 0.02


def test_a_rival_that_has_nothing_in_common_is_the_limit_itself() -> None:
    assert least_best(0.05, ERROR, [(0.03, 0.0)]) == pytest.approx(0.03)
    assert least_best(0.05, ERROR, [(0.01, 0.0), (0.03, 0.0), (-0.2, 0.0)]) == pytest.approx(0.03)


def test_a_rival_that_moves_along_limits_less() -> None:
    alone, along = (least_best(0.05, ERROR, [(0.03, share * ERROR**2)]) for share in (0.0, 0.5))

    # 0.03 less half of 0.05 is the rival's own; at 0.01 the two would have been the same.
    assert along == pytest.approx(0.01)
    assert alone is not None
    assert along is not None
    assert along < alone


def test_who_was_not_the_best_was_not_chosen_for_it() -> None:
    assert least_best(0.05, ERROR, [(0.06, 0.0), (0.01, 0.0)]) is None
    assert least_best(0.05, ERROR, [(0.04, 1.2 * ERROR**2)]) is None
    assert least_best(0.05, ERROR, []) is None


@given(st.floats(-0.5, 0.5), st.lists(st.tuples(st.floats(-0.5, 0.5), st.floats(-0.9, 0.9)), min_size=1, max_size=5))
def test_the_limit_is_below_the_claim(value: float, rivals: list[tuple[float, float]]) -> None:
    assume(all(other < value - 1e-6 for other, _ in rivals))

    limit = least_best(value, ERROR, [(other, share * ERROR**2) for other, share in rivals])

    assert limit is not None
    assert limit < value


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_best_of_five_is_corrected_to_be_too_high_as_often_as_too_low(share: float) -> None:
    rng, below, held, claims = np.random.default_rng(3), [], [], []
    for _ in range(400):
        truths = rng.normal(0, 0.03, 5)
        drawn = truths + ERROR * (np.sqrt(share) * rng.normal() + np.sqrt(1 - share) * rng.normal(size=5))
        best = int(drawn.argmax())
        limit = least_best(
            float(drawn[best]), ERROR, [(float(other), share * ERROR**2) for n, other in enumerate(drawn) if n != best]
        )
        assert limit is not None
        told = given_selection(float(drawn[best]), ERROR, limit)
        below.append(told.mean < truths[best])
        held.append(told.low <= truths[best] <= told.high)
        claims.append(drawn[best] - truths[best])

    # Four standard errors of a share among 400.
    assert abs(np.mean(below) - 0.5) < 0.1
    assert np.mean(held) > 0.95 - 0.044
    assert np.mean(claims) > 0.003
