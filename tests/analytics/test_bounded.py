import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.analytics.bounded import LEAST_GROUPS, bounded_difference, bounded_mean
from continuum.analytics.gains import gain_of, word_of

SAMPLES = 400


def names(count: int) -> list[str]:
    return [f"g{n}" for n in range(count)]


def shares_held(groups: int, losing: float, loss: float, gain: float, seed: int) -> tuple[float, float]:
    """Of samples of groups of which few lose much: whose interval holds the true mean, and who is falsely called better."""
    rng, truth = np.random.default_rng(seed), losing * loss + (1 - losing) * gain
    held = called = 0
    for _ in range(SAMPLES):
        drawn = np.where(rng.random(groups) < losing, loss, gain)
        found = gain_of((0.9 + drawn).tolist(), [0.9] * groups, names(groups))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        called += found.word == "better"
    return held / SAMPLES, called / SAMPLES


@pytest.mark.parametrize("groups", [10, 20, 50, 200])
def test_a_rare_failure_that_a_sample_has_not_seen_is_still_in_the_interval(groups: int) -> None:
    # On average nothing is gained: 3% of answers fail outright, all others are a little better.
    held, called = shares_held(groups, 0.03, -1.0, 0.03 / 0.97, seed=groups)

    # Three standard errors below 0.93, which is what 200 groups hold of so skewed a difference.
    assert held >= 0.89
    assert called <= 0.10


def test_scores_that_are_all_the_same_leave_a_doubt_that_shrinks_with_the_groups() -> None:
    few, many = (bounded_mean([1.0] * count, names(count)) for count in (20, 200))

    assert few.high == many.high == 1.0
    assert few.low is not None
    assert many.low is not None
    assert 0.85 < few.low < 0.95 < many.low < 1.0


def test_below_ten_groups_there_is_a_mean_and_no_interval_and_no_word() -> None:
    items = [f"g{n % 9}" for n in range(40)]

    mean, difference = bounded_mean([0.5] * 40, items), gain_of([0.9] * 40, [0.1] * 40, items)

    assert (mean.mean, mean.low, mean.high, mean.items, mean.groups) == (0.5, None, None, 40, 9)
    assert word_of(difference) == "no data"
    assert bounded_mean([0.5] * LEAST_GROUPS, names(LEAST_GROUPS)).low is not None


def test_samples_that_share_nothing_have_no_interval_where_either_is_small() -> None:
    small = bounded_difference([1.0] * 9, names(9), [0.0] * 50, names(50))
    enough = bounded_difference([1.0] * 20, names(20), [0.75] * 50, names(50))

    assert (small.mean, small.low, small.high) == (1.0, None, None)
    assert enough.low is not None
    assert enough.high is not None
    assert enough.low < enough.mean == 0.25 < enough.high


@given(st.lists(st.floats(0, 1), min_size=10, max_size=30), st.lists(st.floats(0, 1), min_size=10, max_size=30))
def test_an_interval_lies_on_its_scale_around_its_mean_and_has_a_width(ours: list[float], theirs: list[float]) -> None:
    mean = bounded_mean(ours, names(len(ours)))
    difference = bounded_difference(ours, names(len(ours)), theirs, names(len(theirs)))

    assert mean.low is not None
    assert mean.high is not None
    assert 0 <= mean.low <= mean.mean + 1e-9
    assert mean.mean - 1e-9 <= mean.high <= 1
    assert mean.low < mean.high
    assert difference.low is not None
    assert difference.high is not None
    assert -1 <= difference.low < difference.high <= 1


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="found none"):
        bounded_mean([], [])
    with pytest.raises(ValueError, match="found 0 and 1"):
        bounded_difference([], [], [1.0], ["a"])
