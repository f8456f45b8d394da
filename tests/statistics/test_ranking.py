"""AUROC and Spearman's correlation against their definitions, and their intervals against many repetitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from continuum.statistics.ranking import Ranking, auroc, ranked_auroc, ranked_spearman, spearman


def covers(found: Ranking, value: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= value <= found.high


pairs = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30)


@given(pairs)
def test_auroc_is_the_share_of_pairs_in_the_right_order(items: list[tuple[int, bool]]) -> None:
    good = [score for score, is_good in items if is_good]
    bad = [score for score, is_good in items if not is_good]
    found = auroc([score for score, _ in items], [is_good for _, is_good in items])
    if not good or not bad:
        assert np.isnan(found)
    else:
        wins = sum((g > b) + (g == b) / 2 for g in good for b in bad)
        assert found == pytest.approx(wins / len(good) / len(bad))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=40))
def test_spearman_is_scipys(items: list[tuple[int, int]]) -> None:
    left, right = zip(*items, strict=True)
    found = spearman(left, right)
    if len(set(left)) == 1 or len(set(right)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(left, right)[0])


@pytest.mark.slow
def test_an_interval_over_groups_covers_where_one_over_items_would_not() -> None:
    rng = np.random.default_rng(0)
    covered, covered_by_items = 0, 0
    for round_ in range(60):
        group = np.repeat(np.arange(40), 10)
        score = rng.normal(size=40)[group] + 0.3 * rng.normal(size=400)
        good = rng.normal(size=40)[group] + 0.3 * rng.normal(size=400) > 0
        found = ranked_auroc(score, good, [str(n) for n in group], seed=round_, resamples=200)
        alone = ranked_auroc(score, good, [str(n) for n in range(400)], seed=round_, resamples=200)
        covered += covers(found, 0.5)
        covered_by_items += covers(alone, 0.5)
    assert covered >= 0.88 * 60
    assert covered_by_items <= 0.6 * 60


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(1)
    left, right, groups = rng.normal(size=60), rng.normal(size=60), [str(n % 12) for n in range(60)]
    first = ranked_spearman(left, right, groups, seed=3)
    assert first == ranked_spearman(left, right, groups, seed=3)
    assert first != ranked_spearman(left, right, groups, seed=4)
    assert (first.items, first.groups) == (60, 12)


def test_one_group_has_no_interval_and_equal_items_no_ranking() -> None:
    found = ranked_auroc([1, 2, 3], [False, True, True], ["a", "a", "a"], seed=0)
    assert found.value == 1.0
    assert (found.low, found.high) == (None, None)
    with pytest.raises(ValueError, match="all items are equal"):
        ranked_auroc([1, 2, 3], [True, True, True], ["a", "b", "c"], seed=0)
    with pytest.raises(ValueError, match="equally long"):
        spearman([1, 2], [1])
    with pytest.raises(ValueError, match="group of each item"):
        ranked_spearman([1, 2, 3], [3, 2, 1], ["a"], seed=0)
