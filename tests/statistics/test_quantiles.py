import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.statistics.quantiles import least_groups, quantile_difference, quantile_estimate


def sample(rng: np.random.Generator, groups: int, scale: float = 1.0) -> tuple[list[float], list[str]]:
    """Two calls a conversation, alike within it."""
    latency = scale * rng.lognormal(6, 0.5, groups)
    values = [float(one * rng.lognormal(0, 0.2)) for one in latency for _ in range(2)]
    return values, [f"c{n}" for n in range(groups) for _ in range(2)]


def test_the_interval_of_a_median_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for n in range(40):
        found = quantile_estimate(*sample(rng, 20), 0.5, seed=n)
        held += found.low is not None and found.high is not None and found.low <= np.exp(6) <= found.high

    assert held / 40 > 0.85


def test_a_difference_of_two_samples_holds_what_one_is_slower() -> None:
    rng = np.random.default_rng(5)
    fast, slow = sample(rng, 150), sample(rng, 150, scale=2.0)

    found = quantile_difference(*slow, *fast, 0.5)

    assert found.low is not None
    assert found.high is not None
    assert found.low < np.exp(6) < found.high
    assert found.low > 0
    assert found.items == 600


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=30), st.floats(0.05, 0.95), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_order_of_the_values_changes_nothing(values: list[float], share: float, shuffler) -> None:
    groups = [f"g{n % 5}" for n in range(len(values))]
    pairs = list(zip(values, groups, strict=True))
    shuffler.shuffle(pairs)
    other, other_groups = zip(*pairs, strict=True)

    assert quantile_estimate(values, groups, share) == quantile_estimate(list(other), list(other_groups), share)


@pytest.mark.parametrize(("share", "needed"), [(0.5, 10), (0.95, 100), (0.05, 100), (0.99, 500)])
def test_a_tail_takes_more_groups_than_a_middle(share: float, needed: int) -> None:
    assert least_groups(share) == needed


def test_no_value_is_no_quantile() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        quantile_estimate([], [], 0.5)
