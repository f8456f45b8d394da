import math

import numpy as np
import pytest

from continuum.statistics.drift import kappa_fall, mean_shift


def each_its_own(n: int) -> list[str]:
    return [f"g{k}" for k in range(n)]


def test_a_judge_that_says_the_same_has_not_moved() -> None:
    found = mean_shift([3, 4, 5, 2], [3, 4, 5, 2], each_its_own(4), alpha=0.01)

    assert (found.shift, found.p) == (0, 1)


def test_a_judge_that_gives_all_the_same_more_has_surely_moved() -> None:
    found = mean_shift([3, 4, 2, 2], [3.5, 4.5, 2.5, 2.5], each_its_own(4), alpha=0.01)

    assert math.isclose(found.shift, 0.5)
    assert found.p == 0


def test_a_shift_is_found_as_often_as_its_level_says_when_there_is_none() -> None:
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(1000):
        quality = rng.normal(3.5, 0.8, 60)
        before, after = (np.clip(quality + rng.normal(0, 0.4, 60), 1, 5).tolist() for _ in range(2))
        p_values.append(mean_shift(before, after, each_its_own(60), alpha=0.01).p)

    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_answers_of_one_conversation_count_as_one() -> None:
    before, after = [3.0] * 40, [3.0] * 20 + [4.0] * 20
    groups = ["a"] * 20 + ["b"] * 20

    assert mean_shift(before, after, each_its_own(40), alpha=0.01).p < 0.001
    assert mean_shift(before, after, groups, alpha=0.01).p > 0.2


@pytest.mark.slow
def test_agreement_that_fell_is_told_from_noise() -> None:
    rng = np.random.default_rng(1)
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(200):
        people = rng.integers(1, 6, 60).astype(float)
        before = np.clip(people + rng.normal(0, 0.8, 60), 1, 5)
        same = np.clip(people + rng.normal(0, 0.8, 60), 1, 5)
        worse = np.clip(3 + 0.4 * (people - 3) + rng.normal(0, 1.2, 60), 1, 5)
        for fell, after in ((False, same), (True, worse)):
            fall = kappa_fall(people.tolist(), before.tolist(), after.tolist(), each_its_own(60))
            found[fell].append(fall.p < 0.01 and fall.fall > 0.1)

    assert np.mean(found[False]) <= 0.02
    assert np.mean(found[True]) >= 0.95


def test_one_conversation_shows_nothing() -> None:
    with pytest.raises(ValueError, match="two groups, found 1"):
        mean_shift([1, 2], [1, 2], ["a", "a"], alpha=0.01)
    with pytest.raises(ValueError, match="two groups, found 1"):
        kappa_fall([1, 2], [1, 2], [1, 2], ["a", "a"])
