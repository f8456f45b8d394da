import numpy as np
import pytest

from continuum.analytics.projection import Projection, project


def test_intervals_hold_the_truth_about_nine_times_in_ten_and_beat_carrying_the_last_value_on() -> None:
    rng = np.random.default_rng(0)
    held, error, carried = [], [], []
    for _ in range(60):
        ceiling, gap, exponent = rng.uniform(0.7, 0.95), rng.uniform(0.1, 0.4), rng.uniform(0.2, 0.8)
        examples = np.round(200 * 1.5 ** np.arange(5)).astype(int)
        truth = ceiling - gap * (np.append(examples, examples[-1] * 2) / 200) ** -exponent
        means = truth[:-1] + rng.normal(0, 0.008, 5)
        found = project(examples.tolist(), means.tolist(), [0.008] * 5)
        assert isinstance(found, Projection)
        held.append(found.low <= truth[-1] <= found.high)
        error.append(abs(found.mean - truth[-1]))
        carried.append(abs(means[-1] - truth[-1]))

    assert np.mean(held) > 0.78
    assert np.mean(error) < 0.6 * np.mean(carried)


def test_three_points_and_points_without_examples_are_not_projected_from() -> None:
    assert project([100, 200, 300], [0.5, 0.6, 0.65], [0.01] * 3).startswith("3 versions")
    assert project([0, 100, 200, 300], [0.1, 0.5, 0.6, 0.65], [0.01] * 4).startswith("3 versions")


def test_a_flat_curve_is_projected_flat() -> None:
    found = project([100, 200, 300, 400], [0.6] * 4, [0.01] * 4)

    assert isinstance(found, Projection)
    assert found.mean == pytest.approx(0.6, abs=0.03)
