import numpy as np
import pytest

from continuum.curation import selection
from continuum.curation.selection import Wanted, facility_location, farthest_first, ranks, select, uncertainty_of


def unit_rows(count: int, dimensions: int = 8, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def two_towns(near_first: int, near_second: int) -> np.ndarray:
    """Rows around two directions."""
    rng = np.random.default_rng(1)
    middles = np.repeat(np.eye(8, dtype=np.float32)[:2], [near_first, near_second], axis=0)
    rows = middles + rng.normal(scale=0.05, size=middles.shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def value(vectors: np.ndarray, weights: np.ndarray, chosen: list[int]) -> float:
    reach = np.maximum(vectors @ vectors.T, 0) * weights[:, None]
    return float(reach[chosen].max(axis=0).sum())


def test_lazy_greedy_takes_what_plain_greedy_takes() -> None:
    vectors, weights = unit_rows(60), np.linspace(0.3, 1, 60)
    plain: list[int] = []
    for _ in range(12):
        plain.append(max((row for row in range(60) if row not in plain), key=lambda row: value(vectors, weights, [*plain, row])))

    assert facility_location(vectors, weights, 12) == plain


def test_a_small_intent_is_represented_before_a_large_one_is_repeated() -> None:
    vectors = two_towns(95, 5)

    chosen = facility_location(vectors, np.ones(100), 2)

    assert {row >= 95 for row in chosen} == {True, False}


def test_of_equal_rows_the_better_is_taken() -> None:
    vectors = np.repeat(unit_rows(4), 2, axis=0)
    scores = np.array([3.5, 5.0] * 4)

    chosen = select(vectors, scores, np.full(8, 0.5), Wanted("active_learning", 4, 0.3))

    assert sorted(chosen) == [1, 3, 5, 7]


def test_a_coefficient_of_one_looks_at_spread_alone() -> None:
    vectors, scores = unit_rows(50), np.linspace(1, 5, 50)

    chosen = select(vectors, scores, np.full(50, 0.5), Wanted("active_learning", 10, 1.0))

    assert chosen == facility_location(vectors, np.ones(50), 10)


def test_everything_is_taken_when_everything_fits() -> None:
    assert select(unit_rows(3), np.ones(3), np.ones(3), Wanted("core_set", 3, 0.3)) == [0, 1, 2]


def test_uncertainty_takes_the_most_uncertain() -> None:
    uncertainty = np.array([0.1, 0.9, 0.5, 0.7])

    assert select(unit_rows(4), np.ones(4), uncertainty, Wanted("uncertainty", 2, 0.3)) == [1, 3]


def test_core_set_leaves_no_row_farther_than_twice_the_best_radius() -> None:
    vectors = two_towns(40, 40)

    chosen = farthest_first(vectors, 2)

    assert {row >= 40 for row in chosen} == {True, False}
    assert len(set(farthest_first(np.repeat(vectors[:1], 5, axis=0), 4))) == 4


@pytest.mark.parametrize("strategy", ["active_learning", "diversity", "uncertainty", "core_set"])
def test_every_strategy_chooses_distinct_rows_and_the_same_each_time(strategy: selection.Strategy) -> None:
    vectors, scores, wanted = unit_rows(80), np.linspace(3.5, 5, 80), Wanted(strategy, 20, 0.3)
    uncertainty = np.linspace(0, 1, 80)

    chosen = select(vectors, scores, uncertainty, wanted)

    assert len(set(chosen)) == 20
    assert select(vectors, scores, uncertainty, wanted) == chosen


def test_large_pools_are_cut_into_parts_and_lose_little(monkeypatch: pytest.MonkeyPatch) -> None:
    topics, spread = unit_rows(30, dimensions=32), unit_rows(400, dimensions=32, seed=1)
    vectors = topics[np.arange(400) % 30] + 0.5 * spread
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    weights = np.ones(400)
    whole = value(vectors, weights, facility_location(vectors, weights, 40))
    at_random = value(vectors, weights, np.random.default_rng(2).choice(400, 40, replace=False).tolist())
    monkeypatch.setattr(selection, "DENSE_ROWS", 100)
    monkeypatch.setattr(selection, "PART_ROWS", 100)

    chosen = select(vectors, np.ones(400), np.full(400, 0.5), Wanted("diversity", 40, 1.0))

    assert len(set(chosen)) == 40
    assert value(vectors, weights, chosen) > at_random + 0.6 * (whole - at_random)


def test_ranks_run_from_0_to_1_and_ties_share() -> None:
    assert ranks(np.array([10.0, 30.0, 20.0])).tolist() == [0.0, 1.0, 0.5]
    assert ranks(np.array([1.0, 1.0, 2.0])).tolist() == [0.25, 0.25, 1.0]
    assert ranks(np.array([4.0, 4.0])).tolist() == [0.5, 0.5]


def test_a_good_answer_among_mixed_neighbours_is_more_uncertain_than_one_among_good() -> None:
    vectors = two_towns(20, 20)
    scores = np.array([5.0] * 20 + [1.0, 5.0] * 10)

    among_good, among_mixed = uncertainty_of(vectors, scores, np.array([0, 39]), 3.5)

    assert among_mixed > among_good


def test_nothing_to_compare_with_is_half_certain() -> None:
    assert uncertainty_of(unit_rows(1), np.array([5.0]), np.array([0]), 3.5).tolist() == [0.5]
