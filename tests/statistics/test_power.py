import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.paired import t_p, with_worst_case
from continuum.statistics.power import detectable_effect, miss_rate, required_n, required_n_to_approve


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
    plain, cautious = required_n(0.2, 0.03), required_n_to_approve(0.2, 0.0, -0.03)

    found = [t_p(rng.normal(-0.03, 0.2, plain), 0.0, worse=True) < 0.05 for _ in range(2000)]
    approved = [t_p(with_worst_case(rng.normal(0, 0.2, cautious)), -0.03, worse=False) < 0.05 for _ in range(2000)]

    assert sum(found) / 2000 == pytest.approx(0.8, abs=0.05)
    assert sum(approved) / 2000 == pytest.approx(0.8, abs=0.05)


def test_the_miss_rate_is_how_often_a_worse_model_is_not_noticed() -> None:
    rng = np.random.default_rng(7)
    missed = [t_p(rng.normal(-0.03, 0.2, 100), 0.0, worse=True) >= 0.05 for _ in range(2000)]

    assert miss_rate(0.2, 100, 0.03) == pytest.approx(sum(missed) / 2000, abs=0.05)
    assert miss_rate(0.0, 100, 0.03) == 0.0


@pytest.mark.parametrize("effect", [0.0, -0.1])
def test_no_number_shows_an_effect_that_is_not_there(effect: float) -> None:
    with pytest.raises(ValueError, match="must be above zero"):
        required_n(0.2, effect)
