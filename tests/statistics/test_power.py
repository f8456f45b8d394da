import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.paired import HALF_AN_ITEM, Moments, student_p, t_p, tango_p, with_worst_case
from continuum.statistics.power import (
    detectable_effect,
    detectable_effect_tango,
    miss_rate,
    required_n,
    required_n_to_approve,
    required_n_to_approve_tango,
)


@given(st.floats(0.01, 0.5), st.floats(0.005, 0.3))
def test_the_required_number_shows_the_effect_and_one_less_does_not(sd: float, effect: float) -> None:
    n = required_n(sd, effect)

    assert detectable_effect(sd, n) <= effect * (1 + 1e-9)
    assert n == 2 or detectable_effect(sd, n - 1) > effect


@given(st.floats(0, 0.5), st.floats(0.005, 0.3))
def test_approving_needs_more_than_a_plain_test(sd: float, gap: float) -> None:
    assert required_n_to_approve(sd, 0.0, -gap) >= required_n(sd, gap)


def test_the_required_number_has_the_power_it_promises() -> None:
    rng = np.random.default_rng(6)
    n = required_n(0.2, 0.03)

    found = [t_p(rng.normal(-0.03, 0.2, n), 0.0, worse=True) < 0.05 for _ in range(2000)]

    assert sum(found) / 2000 == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("alpha", [0.05, 0.0304, 0.0012])
def test_the_number_required_to_approve_has_the_power_it_promises_at_every_level(alpha: float) -> None:
    rng = np.random.default_rng(6)
    n = required_n_to_approve(0.2, 0.0, -0.05, alpha=alpha)

    def approved() -> bool:
        found = with_worst_case(Moments.of(rng.normal(0, 0.2, n)), alpha)
        return student_p(found, -0.05, worse=False) < alpha

    assert sum(approved() for _ in range(2000)) / 2000 == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("alpha", [0.05, 0.0304])
def test_the_number_of_yes_or_no_answers_required_to_approve_has_the_power_it_promises(alpha: float) -> None:
    rng = np.random.default_rng(8)
    n = required_n_to_approve_tango(0.05, -0.02, -0.07, alpha=alpha)

    drawn = rng.multinomial(n, [0.05, 0.07, 0.88], 2000).tolist()
    approved = [tango_p(won, lost + 1, n + 1, -0.07, worse=False) < alpha for won, lost, _ in drawn]

    assert sum(approved) / 2000 == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(("n", "alpha"), [(20, 0.05), (50, 0.05), (200, 0.05), (200, 0.05 / 3)])
def test_the_detectable_effect_is_found_four_times_in_five(n: int, alpha: float) -> None:
    rng = np.random.default_rng(9)
    effect = detectable_effect(0.2, n, alpha=alpha)

    found = [t_p(rng.normal(-effect, 0.2, n), 0.0, worse=True) < alpha for _ in range(4000)]

    # Three standard errors of 4,000 runs.
    assert sum(found) / 4000 == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("margin", [0.0, -0.02])
def test_the_detectable_fall_of_a_share_is_found_four_times_in_five(margin: float) -> None:
    rng = np.random.default_rng(10)
    fall = detectable_effect_tango(0.05, 400, margin)

    lost = 0.05 - margin + fall
    drawn = rng.multinomial(400, [0.05, lost, 0.95 - lost], 2000).tolist()
    found = [tango_p(won, lost, 400, margin, worse=True, correction=HALF_AN_ITEM) < 0.05 for won, lost, _ in drawn]

    assert sum(found) / 2000 == pytest.approx(0.8, abs=0.04)


def test_a_smaller_level_detects_less_and_requires_more() -> None:
    assert detectable_effect(0.2, 100, alpha=0.01) > detectable_effect(0.2, 100)
    assert detectable_effect_tango(0.05, 100, 0.0, alpha=0.01) > detectable_effect_tango(0.05, 100, 0.0)
    assert required_n_to_approve_tango(0.05, 0.0, -0.05, alpha=0.01) > required_n_to_approve_tango(0.05, 0.0, -0.05)


def test_two_groups_detect_nothing_on_the_scale_at_a_tiny_level() -> None:
    assert detectable_effect(0.2, 2, alpha=1e-6) > 1


def test_the_miss_rate_is_how_often_a_worse_model_is_not_noticed() -> None:
    rng = np.random.default_rng(7)
    missed = [t_p(rng.normal(-0.03, 0.2, 100), 0.0, worse=True) >= 0.05 for _ in range(2000)]

    assert miss_rate(0.2, 100, 0.03) == pytest.approx(sum(missed) / 2000, abs=0.05)
    assert miss_rate(0.0, 100, 0.03) == 0.0


@pytest.mark.parametrize("effect", [0.0, -0.1])
def test_no_number_shows_an_effect_that_is_not_there(effect: float) -> None:
    with pytest.raises(ValueError, match="must be above zero"):
        required_n(0.2, effect)


def test_no_number_of_answers_shows_a_share_to_be_above_itself() -> None:
    with pytest.raises(ValueError, match="no number of pairs"):
        required_n_to_approve_tango(0.05, -0.05, -0.05)
