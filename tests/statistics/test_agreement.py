import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.statistics.agreement import cohen_kappa, krippendorff_alpha, many_raters, two_raters

A = (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None)
B = (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3)
C = (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None)
D = (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None)
KRIPPENDORFF = list(zip(A, B, C, D, strict=True))
"""Four observers and twelve units with gaps: example D of Krippendorff (2011)."""


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_the_published_example(level, alpha: float) -> None:
    assert krippendorff_alpha(KRIPPENDORFF, level) == pytest.approx(alpha, abs=5e-4)


def test_alpha_of_two_observers_without_gaps_is_that_of_the_published_examples() -> None:
    # Examples A (yes or no, ten units) and B (letters a to e, twelve units) of Krippendorff (2011).
    yes_no = zip((0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0), strict=True)
    assert krippendorff_alpha(list(yes_no), "nominal") == pytest.approx(0.095, abs=5e-4)
    letters = zip(map(ord, "aabbdcccedda"), map(ord, "babbbccceddd"), strict=True)
    assert krippendorff_alpha(list(letters), "nominal") == pytest.approx(0.692, abs=5e-4)


@pytest.mark.parametrize(
    ("table", "kappa"),
    [([[20, 5], [10, 15]], 0.4), ([[45, 15], [25, 15]], 0.1304), ([[25, 35], [5, 35]], 0.2593)],
    ids=["fifty proposals", "the same share, ratings alike", "the same share, ratings unlike"],
)
def test_kappa_is_that_of_the_textbook_s_tables(table: list[list[int]], kappa: float) -> None:
    assert cohen_kappa(*unrolled(np.array(table))) == pytest.approx(kappa, abs=5e-5)


def test_kappa_is_that_of_cohen_s_table() -> None:
    # Cohen (1968), table 1, as of 100 persons: .70 agree, .41 by chance.
    table = np.array([[44, 5, 1], [7, 20, 3], [9, 5, 6]])
    assert cohen_kappa(*unrolled(table)) == pytest.approx(0.492, abs=5e-4)


def test_quadratic_weights_are_cohen_s_sum_over_the_cells_of_the_table() -> None:
    table = np.array([[20, 5, 0], [10, 20, 5], [4, 6, 30]])
    shares = table / table.sum()
    by_chance = np.outer(shares.sum(1), shares.sum(0))
    weights = np.subtract.outer(np.arange(3), np.arange(3)) ** 2
    expected = 1 - (weights * shares).sum() / (weights * by_chance).sum()
    assert cohen_kappa(*unrolled(table), weights="quadratic") == pytest.approx(expected)


def unrolled(table: np.ndarray) -> tuple[list[int], list[int]]:
    """The ratings of two raters from how often they said what together."""
    cells = [(row, column) for (row, column), count in np.ndenumerate(table) for _ in range(round(count))]
    return [row for row, _ in cells], [column for _, column in cells]


def test_a_rater_who_always_says_the_same_has_no_kappa_whatever_share_is_right() -> None:
    truth, constant = [5] * 90 + [1] * 10, [5] * 100
    agreement = two_raters(truth, constant)
    assert (agreement.observed, agreement.constant) == (0.9, 0.9)
    assert agreement.value == pytest.approx(0)
    assert two_raters(truth, constant, "quadratic").value == pytest.approx(0)


def test_ratings_that_never_vary_show_nothing_beyond_chance() -> None:
    assert cohen_kappa([3, 3], [3, 3]) == cohen_kappa([3, 3], [3, 3], weights="quadratic") == 0
    assert krippendorff_alpha([(0.1, 0.1), (0.1, 0.1, 0.1)]) == 0


def test_words_are_compared_as_classes() -> None:
    assert cohen_kappa(["good", "bad", "good"], ["good", "bad", "good"]) == 1


def test_the_interval_holds_the_value_and_is_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(1, 6, 300)
    said = np.clip(truth + rng.integers(-1, 2, 300), 1, 5)
    agreement = two_raters(truth.tolist(), said.tolist(), "quadratic", resamples=500, seed=7)
    assert agreement.low < agreement.value < agreement.high < 1
    assert agreement == two_raters(truth.tolist(), said.tolist(), "quadratic", resamples=500, seed=7)
    alpha = many_raters(list(zip(truth.tolist(), said.tolist(), strict=True)), resamples=500)
    assert alpha.low < alpha.value < alpha.high
    assert alpha.value == pytest.approx(agreement.value, abs=0.02)


def test_items_that_belong_together_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    truth, said = np.repeat(rng.integers(1, 6, (2, 20)), 15, axis=1).tolist()
    groups = [f"conversation {n // 15}" for n in range(300)]
    alone, together = two_raters(truth, said, resamples=400), two_raters(truth, said, groups=groups, resamples=400)
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)
    units = list(zip(truth, said, strict=True))
    assert many_raters(units, groups=groups, resamples=400).high > many_raters(units, resamples=400).high


@pytest.mark.slow
def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Two raters see the same grade with noise of their own; the truth is their kappa over very many items.
    def drawn(rng: np.random.Generator, n: int) -> list[list[int]]:
        grade = rng.integers(1, 6, n)
        return [np.clip(grade + rng.choice([-1, 0, 0, 1], n), 1, 5).tolist() for _ in range(2)]

    truth = cohen_kappa(*drawn(np.random.default_rng(0), 200_000), weights="quadratic")
    samples = [two_raters(*drawn(np.random.default_rng(n), 80), "quadratic", resamples=200) for n in range(1, 151)]
    assert 0.88 <= np.mean([sample.low <= truth <= sample.high for sample in samples]) <= 0.99


@pytest.mark.parametrize("ratings", [[], [(1, None)], [(), (2,)]])
def test_alpha_without_two_ratings_of_anything_is_refused(ratings) -> None:
    with pytest.raises(ValueError, match="two ratings or more"):
        krippendorff_alpha(ratings)


def test_kappa_of_different_items_is_refused() -> None:
    with pytest.raises(ValueError, match="the same items"):
        cohen_kappa([1, 2], [1])
    with pytest.raises(ValueError, match="groups do not fit"):
        many_raters([(1, 1)], groups=["a", "b"])


units = st.lists(st.lists(st.none() | st.integers(1, 5), min_size=2, max_size=4), min_size=1, max_size=12).filter(
    lambda ratings: any(sum(rating is not None for rating in unit) > 1 for unit in ratings)
)


@settings(max_examples=50)
@given(units, st.sampled_from(["nominal", "ordinal", "interval"]), st.randoms())
def test_alpha_is_one_at_most_and_no_order_matters(ratings, level, random) -> None:
    alpha = krippendorff_alpha(ratings, level)
    assert -1.0 - 1e-9 <= alpha <= 1.0
    shuffled = [random.sample(unit, len(unit)) for unit in random.sample(ratings, len(ratings))]
    assert krippendorff_alpha(shuffled, level) == pytest.approx(alpha)


@settings(max_examples=30)
@given(units, st.integers(2, 9), st.integers(-3, 3))
def test_alpha_does_not_change_with_the_scale(ratings, factor: int, shift: int) -> None:
    scaled = [[None if rating is None else factor * rating + shift for rating in unit] for unit in ratings]
    for level in ("nominal", "ordinal", "interval"):
        assert krippendorff_alpha(scaled, level) == pytest.approx(krippendorff_alpha(ratings, level))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=30))
def test_kappa_is_the_same_whoever_comes_first(pairs) -> None:
    a, b = map(list, zip(*pairs, strict=True))
    for weights in (None, "quadratic"):
        assert -1 - 1e-9 <= cohen_kappa(a, b, weights) <= 1
        assert cohen_kappa(a, b, weights) == pytest.approx(cohen_kappa(b, a, weights))
