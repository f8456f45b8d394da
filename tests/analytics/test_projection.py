import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.analytics.projection import Projection, project


def a_curve(rng: np.random.Generator) -> tuple[list[int], np.ndarray]:
    """Examples of five versions and of four times the last, and the truth at each: a power law."""
    ceiling, gap, exponent = rng.uniform(0.7, 0.95), rng.uniform(0.1, 0.4), rng.uniform(0.2, 0.8)
    examples = [round(200 * 1.6**n) for n in range(5)]
    examples.append(4 * examples[-1])
    return examples, ceiling - gap * (np.array(examples) / 200) ** -exponent


def test_intervals_hold_the_truth_nine_times_in_ten_and_miss_by_less_than_carrying_the_last_value_on() -> None:
    rng = np.random.default_rng(0)
    held, error, carried = [], [], []
    for _ in range(60):
        examples, truth = a_curve(rng)
        means = truth[:-1] + rng.normal(0, 0.01) + rng.normal(0, 0.01, 5)
        found = project(examples[:-1], means.tolist(), [0.014] * 5)
        assert isinstance(found, Projection)
        assert found.examples == examples[-1]
        held.append(found.low <= truth[-1] <= found.high)
        error.append(abs(found.mean - truth[-1]))
        carried.append(abs(means[-1] - truth[-1]))

    assert np.mean(held) >= 0.87
    assert np.mean(error) < 0.7 * np.mean(carried)


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=9), st.floats(0, 0.3), st.integers(1, 10_000), st.integers(1, 10))
def test_whatever_the_versions_scored_the_interval_is_one(means: list[float], error: float, first: int, times: int) -> None:
    examples = [first * (n + 1) for n in range(len(means))]

    found = project(examples, means, [error] * len(means), at=examples[-1] * times)

    assert isinstance(found, Projection)
    assert found.examples == examples[-1] * times
    assert all(0 <= low <= mean <= high <= 1 for _, mean, low, high in found.curve)
    assert found.curve[-1][1:] == pytest.approx((found.mean, found.low, found.high))


def test_versions_that_learned_from_about_as_much_are_not_projected_from() -> None:
    assert project([1000, 1100, 1200, 1300], [0.5, 0.6, 0.65, 0.7], [0.01] * 4) == (
        "the versions learned from 1,000 to 1,300 examples, which is too alike to project from; "
        "the last must have learned from twice as many as the first"
    )


def test_three_points_and_points_without_examples_are_not_projected_from() -> None:
    assert project([100, 200, 300], [0.5, 0.6, 0.65], [0.01] * 3).startswith("3 versions")
    assert project([0, 100, 200, 300], [0.1, 0.5, 0.6, 0.65], [0.01] * 4).startswith("3 versions")


def test_a_flat_curve_is_projected_flat() -> None:
    found = project([100, 200, 300, 400], [0.6] * 4, [0.01] * 4)

    assert isinstance(found, Projection)
    assert found.mean == pytest.approx(0.6, abs=0.03)
