import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.curation import selection
from continuum.curation.selection import Wanted, facility_location, farthest_first, ranks, select, weights_of
from continuum.embedding.cosines import whole


def unit_rows(count: int, dimensions: int = 8, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def two_towns(near_first: int, near_second: int) -> np.ndarray:
    """Rows around two directions."""
    rng = np.random.default_rng(1)
    middles = np.repeat(np.eye(8, dtype=np.float32)[:2], [near_first, near_second], axis=0)
    rows = middles + rng.normal(scale=0.05, size=middles.shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def reach_of(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The cosines and weights that the product rounds to, in exact integers."""
    rows = whole(vectors).astype(np.int64)
    return np.maximum(rows @ rows.T, 0) // selection.COSINES * np.rint(weights * selection.WEIGHTS).astype(np.int64)[:, None]


def value(vectors: np.ndarray, weights: np.ndarray, chosen: list[int]) -> int:
    return int(reach_of(vectors, weights)[chosen].max(axis=0).sum())


def plain_greedy(vectors: np.ndarray, weights: np.ndarray, size: int) -> list[int]:
    """Asks every row each time; the first of equally good ones."""
    reach = reach_of(vectors, weights)
    covered = np.zeros(len(vectors), dtype=np.int64)
    chosen: list[int] = []
    for _ in range(size):
        gains = np.maximum(reach - covered, 0).sum(axis=1)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        covered = np.maximum(covered, reach[chosen[-1]])
    return chosen


@settings(max_examples=60)
@given(rows=st.integers(2, 40), copies=st.integers(1, 3), seed=st.integers(0, 999), share=st.floats(0.1, 1), low=st.floats(0, 1))
def test_lazy_greedy_takes_what_plain_greedy_takes(rows: int, copies: int, seed: int, share: float, low: float) -> None:
    vectors = np.repeat(unit_rows(rows, dimensions=5, seed=seed), copies, axis=0)
    weights = np.random.default_rng(seed).choice([low, 0.5, 1.0], len(vectors))
    size = max(1, int(share * len(vectors)))

    assert facility_location(vectors, weights, size) == plain_greedy(vectors, weights, size)


@settings(max_examples=60)
@given(rows=st.integers(2, 60), copies=st.integers(1, 3), seed=st.integers(0, 999), batch=st.integers(1, 20))
def test_the_farthest_row_is_found_without_comparing_all(rows: int, copies: int, seed: int, batch: int) -> None:
    vectors = np.repeat(unit_rows(rows, dimensions=5, seed=seed), copies, axis=0)
    numbers = whole(vectors).astype(np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "BATCH", batch)
        chosen = farthest_first(vectors, len(vectors) - 1)

    plain = chosen[:1]
    while len(plain) < len(vectors) - 1:
        distance = -(numbers @ numbers[plain].T).max(axis=1)
        distance[plain] = -(10**9)
        plain.append(int(distance.argmax()))
    assert chosen == plain


def test_how_a_machine_rounds_its_sums_decides_nothing() -> None:
    vectors, weights = unit_rows(300, dimensions=64), np.linspace(0.3, 1, 300)
    order = np.random.default_rng(5).permutation(64)

    # The same rows with their components added up in another order.
    assert facility_location(vectors[:, order], weights, 50) == facility_location(vectors, weights, 50)
    assert farthest_first(vectors[:, order], 50) == farthest_first(vectors, 50)


def test_a_small_intent_is_represented_before_a_large_one_is_repeated() -> None:
    vectors = two_towns(95, 5)

    chosen = facility_location(vectors, np.ones(100), 2)

    assert {row >= 95 for row in chosen} == {True, False}


def test_of_equal_rows_the_better_is_taken() -> None:
    vectors = np.repeat(unit_rows(4), 2, axis=0)
    scores = np.array([3.5, 5.0] * 4)

    chosen = select(vectors, scores, np.full(8, 0.5), Wanted("active_learning", 4, 0.3))

    assert sorted(chosen) == [1, 3, 5, 7]


def test_of_equal_and_equally_good_rows_the_uncertain_is_taken() -> None:
    vectors = np.repeat(unit_rows(4), 2, axis=0)

    chosen = select(vectors, np.full(8, 4.0), np.array([0.2, 0.9] * 4), Wanted("active_learning", 4, 0.3))

    assert sorted(chosen) == [1, 3, 5, 7]


def test_a_coefficient_of_one_looks_at_spread_alone() -> None:
    vectors, scores = unit_rows(50), np.linspace(1, 5, 50)

    chosen = select(vectors, scores, np.full(50, 0.5), Wanted("active_learning", 10, 1.0))

    assert chosen == facility_location(vectors, np.ones(50), 10)


@pytest.mark.parametrize("coefficient", [0.0, 0.3, 1.0])
def test_diversity_is_coverage_alone_whatever_the_scores_and_the_coefficient(coefficient: float) -> None:
    vectors, scores = unit_rows(50), np.linspace(1, 5, 50)

    chosen = select(vectors, scores, np.linspace(0, 1, 50), Wanted("diversity", 10, coefficient))

    assert chosen == facility_location(vectors, np.ones(50), 10)


def test_weights_run_from_the_coefficient_to_one_and_count_quality_and_uncertainty_alike() -> None:
    scores, uncertainty = np.array([3.5, 4.0, 4.5, 5.0]), np.array([0.9, 0.1, 0.2, 0.95])

    weights = weights_of(scores, uncertainty, 0.3)

    assert weights.min() == pytest.approx(0.3)
    assert weights.max() == pytest.approx(1.0)
    assert weights.argmax() == 3
    assert weights_of(uncertainty, scores, 0.3).tolist() == weights.tolist()


def test_everything_is_taken_when_everything_fits() -> None:
    assert select(unit_rows(3), np.ones(3), np.ones(3), Wanted("core_set", 3, 0.3)) == [0, 1, 2]


def test_uncertainty_takes_the_most_uncertain_and_of_equals_the_lower_score() -> None:
    uncertainty = np.array([0.1, 0.9, 0.5, 0.7])

    assert select(unit_rows(4), np.ones(4), uncertainty, Wanted("uncertainty", 2, 0.3)) == [1, 3]
    assert select(unit_rows(4), np.array([5, 4, 3.5, 4]), np.full(4, 0.5), Wanted("uncertainty", 2, 0.3)) == [2, 1]


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


@pytest.mark.parametrize("strategy", ["active_learning", "diversity"])
def test_large_pools_are_cut_into_parts_and_lose_little(strategy: selection.Strategy, monkeypatch: pytest.MonkeyPatch) -> None:
    topics, spread = unit_rows(30, dimensions=32), unit_rows(400, dimensions=32, seed=1)
    vectors = topics[np.arange(400) % 30] + 0.5 * spread
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    weights = np.ones(400)
    whole_value = value(vectors, weights, facility_location(vectors, weights, 40))
    at_random = value(vectors, weights, np.random.default_rng(2).choice(400, 40, replace=False).tolist())
    monkeypatch.setattr(selection, "DENSE_ROWS", 100)
    monkeypatch.setattr(selection, "PART_ROWS", 100)

    chosen = select(vectors, np.ones(400), np.full(400, 0.5), Wanted(strategy, 40, 1.0))

    assert len(set(chosen)) == 40
    assert value(vectors, weights, chosen) > at_random + 0.6 * (whole_value - at_random)


def test_a_large_pool_of_one_and_the_same_row_is_cut_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "DENSE_ROWS", 100)
    monkeypatch.setattr(selection, "PART_ROWS", 100)

    chosen = select(np.repeat(unit_rows(1), 350, axis=0), np.ones(350), np.full(350, 0.5), Wanted("diversity", 7, 0.3))

    assert len(set(chosen)) == 7


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20), st.floats(0, 1))
def test_quotas_sum_to_the_total_and_never_exceed_a_part(sizes: list[int], share: float) -> None:
    total = int(share * sum(sizes))

    quotas = selection._quotas(sizes, total)

    assert sum(quotas) == total
    assert all(0 <= quota <= size for quota, size in zip(quotas, sizes, strict=True))


def test_ranks_run_from_0_to_1_and_ties_share() -> None:
    assert ranks(np.array([10.0, 30.0, 20.0])).tolist() == [0.0, 1.0, 0.5]
    assert ranks(np.array([1.0, 1.0, 2.0])).tolist() == [0.25, 0.25, 1.0]
    assert ranks(np.array([4.0, 4.0])).tolist() == [0.5, 0.5]
    assert ranks(np.array([4.0])).tolist() == [0.5]
