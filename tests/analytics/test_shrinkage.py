import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.analytics.shrinkage import Shrinkage, shrink

DIFFERENCE = st.integers(-4, 4).map(lambda quarters: quarters / 4)
CLUSTERS = st.lists(st.lists(DIFFERENCE, max_size=12), min_size=1, max_size=8).filter(any)


def shrunk(*clusters: list[float]) -> Shrinkage:
    return shrink([np.array(values) for values in clusters])


@given(CLUSTERS)
def test_a_gain_lies_between_what_was_measured_and_what_the_clusters_have_in_common(clusters: list[list[float]]) -> None:
    found = shrunk(*clusters)

    for values, believed in zip(clusters, found.clusters, strict=True):
        measured = float(np.mean(values)) if values else found.common
        low, high = sorted((measured, found.common))
        assert low - 1e-9 <= believed.mean <= high + 1e-9
        assert -1 <= believed.low <= believed.high <= 1
        assert 0 <= believed.probability_negative <= 1


@given(CLUSTERS, st.randoms(use_true_random=False))
def test_the_order_of_clusters_decides_nothing(clusters: list[list[float]], random) -> None:
    order = list(range(len(clusters)))
    random.shuffle(order)

    one, other = shrunk(*clusters), shrunk(*(clusters[place] for place in order))

    assert other.common == pytest.approx(one.common, abs=1e-9)
    for place, believed in zip(order, other.clusters, strict=True):
        assert believed.mean == pytest.approx(one.clusters[place].mean, abs=1e-9)


@given(CLUSTERS)
def test_gains_turned_round_are_believed_turned_round(clusters: list[list[float]]) -> None:
    one, other = shrunk(*clusters), shrunk(*([-value for value in values] for values in clusters))

    for here, there in zip(one.clusters, other.clusters, strict=True):
        assert there.mean == pytest.approx(-here.mean, abs=1e-6)
        assert there.low == pytest.approx(-here.high, abs=1e-4)
        assert there.probability_negative == pytest.approx(1 - here.probability_negative, abs=1e-6)


def test_where_nothing_changed_no_cluster_has_a_gain_and_nothing_speaks_for_harm() -> None:
    found = shrunk([0.0] * 20, [0.0] * 5, [0.0])

    for believed in found.clusters:
        assert believed.mean == pytest.approx(0, abs=1e-12)
        assert believed.low < 0 < believed.high
        assert believed.probability_negative == pytest.approx(0.5, abs=1e-9)


def test_one_cluster_that_lost_is_named_beside_many_that_gained_a_little() -> None:
    gained = [[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]] * 9

    *others, lost = shrunk(*gained, [-1.0, -1.0, 0.0, -1.0, -1.0, -1.0, 0.0, -1.0]).clusters

    assert lost.mean < -0.4
    assert lost.probability_negative > 0.95
    assert all(one.mean > 0 for one in others)


def test_a_cluster_that_fell_to_the_bottom_beside_many_in_which_nothing_ever_changes_is_believed_to_have_fallen() -> None:
    *others, lost = shrunk(*[[0.0] * 60] * 30, [-1.0] * 30).clusters

    assert lost.mean == pytest.approx(-1, abs=0.01)
    assert lost.probability_negative > 0.999
    assert all(abs(one.mean) < 0.01 for one in others)


def test_the_same_mean_is_believed_more_on_more_items() -> None:
    others = [[0.0, 1.0, -1.0, 0.0, 0.0, 0.0]] * 6

    *_, few, many = shrunk(*others, [-0.5] * 3, [-0.5] * 30).clusters

    assert many.mean < few.mean < 0
    assert many.probability_negative > few.probability_negative


def test_the_worst_of_many_clusters_of_pure_chance_is_seldom_called_harmful() -> None:
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(60):
        clusters = [rng.choice([-1.0, 0.0, 1.0], size=10, p=[0.2, 0.6, 0.2]) for _ in range(16)]
        named += max(one.probability_negative for one in shrink(clusters).clusters) > 0.95

    # A one-sided test of each cluster at .05 would name some in more than half of such runs.
    assert named <= 6


def test_a_cluster_without_an_item_is_believed_to_be_like_the_others() -> None:
    found = shrunk([0.5, 0.5, 0.25], [0.25, 0.5], [])

    assert found.clusters[2].mean == pytest.approx(found.common)
    assert found.clusters[2].high - found.clusters[2].low > found.clusters[0].high - found.clusters[0].low


def test_without_a_difference_there_is_nothing_to_shrink() -> None:
    with pytest.raises(ValueError, match="at least one difference, found none"):
        shrunk([], [])
