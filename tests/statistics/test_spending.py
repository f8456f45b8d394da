import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.paired import Moments, student_p, with_worst_case
from continuum.statistics.spending import approval_level

ALPHAS = st.floats(0.001, 0.5)


@given(ALPHAS, st.integers(1, 5000))
def test_what_is_spent_stays_within_alpha_however_many_candidates_come(alpha: float, candidates: int) -> None:
    assert math.fsum(approval_level(alpha, k) for k in range(1, candidates + 1)) <= alpha


@given(ALPHAS, st.integers(1, 1000))
def test_each_further_candidate_has_to_show_more(alpha: float, position: int) -> None:
    assert 0 < approval_level(alpha, position + 1) < approval_level(alpha, position) < alpha


def test_worked_levels() -> None:
    assert approval_level(0.05, 1) == pytest.approx(0.030396, abs=1e-6)
    assert approval_level(0.05, 20) == pytest.approx(0.000076, abs=1e-6)


@pytest.mark.parametrize(("alpha", "position"), [(0.05, 0), (0.0, 1), (1.0, 1)])
def test_what_is_no_level_is_refused(alpha: float, position: int) -> None:
    with pytest.raises(ValueError, match="position from 1"):
        approval_level(alpha, position)


def some_is_approved(rng: np.random.Generator, n: int, *, ledger: bool, rare: bool) -> bool:
    """Whether any of twenty candidates that are exactly at the floor of -0.03 is approved."""
    for position in range(1, 21):
        alpha = approval_level(0.05, position) if ledger else 0.05
        drawn = rng.normal(-0.006, 0.02, n) - 0.8 * (rng.random(n) < 0.03) if rare else rng.normal(-0.03, 0.2, n)
        if student_p(with_worst_case(Moments.of(drawn), alpha), -0.03, worse=False) < alpha:
            return True
    return False


@pytest.mark.parametrize("rare", [False, True])
def test_the_best_of_twenty_bad_candidates_is_seldom_approved(rare: bool) -> None:
    rng = np.random.default_rng(11)

    with_ledger = sum(some_is_approved(rng, 400, ledger=True, rare=rare) for _ in range(300)) / 300
    without = sum(some_is_approved(rng, 400, ledger=False, rare=rare) for _ in range(100)) / 100

    assert with_ledger <= 0.05 + 0.025  # two standard errors of 300 runs
    assert without > 0.2
