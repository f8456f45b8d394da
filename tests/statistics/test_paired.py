import math
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from continuum.statistics.paired import (
    HALF_AN_ITEM,
    Moments,
    compare,
    group_means,
    student_p,
    t_interval,
    t_p,
    tango_interval,
    tango_p,
    with_worst_case,
)

SCORES = st.floats(min_value=0, max_value=1, allow_nan=False)
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=40)


def each_its_own(n: int) -> list[str]:
    return [f"g{k}" for k in range(n)]


def share_rejected(p_values: list[float], alpha: float = 0.05) -> float:
    return sum(p < alpha for p in p_values) / len(p_values)


@given(PAIRS)
def test_the_delta_is_the_difference_of_the_two_means_and_lies_in_its_interval(pairs: list[tuple[float, float]]) -> None:
    before, after = zip(*pairs, strict=True)

    found = compare(before, after, each_its_own(len(pairs)), min_delta=0.0, resolution=0.03)

    assert math.isclose(found.delta, found.candidate_mean - found.baseline_mean, abs_tol=1e-9)
    assert found.low - 1e-9 <= found.delta <= found.high + 1e-9
    assert 0 <= found.p_regressed <= 1
    assert 0 <= found.p_not_worse <= 1


@given(PAIRS, st.randoms(), st.sampled_from([3, 5, 100]), st.booleans())
def test_the_order_of_items_changes_no_digit(pairs: list[tuple[float, float]], random: Random, groups: int, binary: bool) -> None:
    rows = [(before, after, f"g{k % groups}") for k, (before, after) in enumerate(pairs)]
    if binary:
        rows = [(float(before > 0.5), float(after > 0.5), group) for before, after, group in rows]
    shuffled = rows[:]
    random.shuffle(shuffled)

    first, second = (
        compare(*zip(*order, strict=True), min_delta=-0.02, resolution=0.03, binary=binary) for order in (rows, shuffled)
    )

    assert first == second


@given(PAIRS)
def test_lowering_the_candidate_never_makes_it_look_better(pairs: list[tuple[float, float]]) -> None:
    before, after = zip(*pairs, strict=True)
    groups = each_its_own(len(pairs))
    # A common shift leaves the spread as it is.
    lower = [value - 0.1 for value in after]

    one = compare(before, after, groups, min_delta=0.0, resolution=0.03)
    other = compare(before, lower, groups, min_delta=0.0, resolution=0.03)

    assert other.p_regressed <= one.p_regressed + 1e-9


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60), st.floats(-0.6, 0.6))
def test_the_score_test_and_its_interval_agree(gained: int, lost: int, ties: int, margin: float) -> None:
    n = gained + lost + ties
    assume(n > 0)
    low, high = tango_interval(gained, lost, n)
    assert -1 <= low <= (gained - lost) / n <= high <= 1

    worse, better = tango_p(gained, lost, n, margin, worse=True), tango_p(gained, lost, n, margin, worse=False)
    assert worse + better == pytest.approx(1)
    assume(abs(margin - low) > 1e-6 and abs(margin - high) > 1e-6)
    assert (low < margin < high) == (min(worse, better) > 0.025)


def test_the_score_test_reproduces_worked_values() -> None:
    # Without discordant pairs the interval is z^2 / (n + z^2) to each side; at margin 0 the test is McNemar's.
    assert tango_interval(0, 0, 50) == pytest.approx((-0.0713476, 0.0713476), abs=1e-6)
    assert tango_p(5, 15, 100, 0.0, worse=True) == pytest.approx(0.0126737, abs=1e-6)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60), st.floats(-1.2, 1.2), st.floats(0, 0.5))
def test_a_higher_margin_makes_a_fall_no_harder_to_see_and_an_approval_no_easier(
    gained: int, lost: int, ties: int, margin: float, step: float
) -> None:
    n = gained + lost + ties
    assume(n > 0)

    def p(margin: float, *, worse: bool) -> float:
        return tango_p(gained, lost, n, margin, worse=worse, correction=HALF_AN_ITEM)

    assert p(margin + step, worse=True) <= p(margin, worse=True) + 1e-9
    assert p(margin + step, worse=False) >= p(margin, worse=False) - 1e-9


def test_no_share_is_below_the_end_of_its_scale() -> None:
    assert tango_p(0, 5, 10, -1.0, worse=False) == 0.0
    assert tango_p(0, 10, 10, -1.0, worse=True) == 0.5
    assert compare([1.0] * 12, [0.0] * 12, each_its_own(12), min_delta=-1.0, resolution=0.5, binary=True).p_regressed == 0.5


def test_equal_answers_neither_regressed_nor_are_approved_on_a_few_items() -> None:
    few = compare([1.0] * 20, [1.0] * 20, each_its_own(20), min_delta=0.0, resolution=0.03)
    many = compare([1.0] * 200, [1.0] * 200, each_its_own(200), min_delta=0.0, resolution=0.03)

    assert few.p_regressed == 1.0
    assert few.p_not_worse > 0.05
    assert many.p_not_worse < 0.05


def test_a_constant_fall_is_certain_without_spread() -> None:
    found = compare([0.75] * 12, [0.5] * 12, each_its_own(12), min_delta=-0.02, resolution=0.03)

    assert (found.delta, found.sd, found.p_regressed) == (-0.25, 0.0, 0.0)


def test_items_of_one_group_count_once() -> None:
    before, after = [1.0] * 6, [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    groups = ["a", "a", "a", "a", "b", "c"]

    found = compare(before, after, groups, min_delta=0.0, resolution=0.03, binary=True)

    assert (found.items, found.groups) == (6, 3)
    assert found.delta == pytest.approx(-1 / 12)
    assert found.test == "paired t on group means"
    assert list(group_means(after, groups)) == [0.75, 1.0, 1.0]


def test_independent_binary_answers_get_the_score_test() -> None:
    found = compare([1.0, 0.0] * 10, [1.0, 1.0] * 10, each_its_own(20), min_delta=0.0, resolution=0.03, binary=True)

    assert found.test == "Tango score"
    assert found.delta == 0.5


def test_one_group_and_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="two groups, found 1"):
        compare([1.0, 1.0], [0.0, 1.0], ["a", "a"], min_delta=0.0, resolution=0.03)
    with pytest.raises(ValueError, match="equal lengths"):
        compare([1.0, 1.0], [0.0], ["a", "b"], min_delta=0.0, resolution=0.03)


# --- error rates: 2,000 simulated guards each; the bounds are five standard errors wide -----------------------------


def test_a_model_at_its_threshold_is_blocked_one_time_in_twenty() -> None:
    rng = np.random.default_rng(1)
    dense = [t_p(rng.normal(-0.02, 0.2, 100), -0.02, worse=True) for _ in range(2000)]
    binary = [
        tango_p(*rng.multinomial(200, [0.04, 0.06, 0.9])[:2], 200, -0.02, worse=True)  # type: ignore[misc]
        for _ in range(2000)
    ]

    assert share_rejected(dense) == pytest.approx(0.05, abs=0.025)
    assert share_rejected(binary) == pytest.approx(0.05, abs=0.025)


def test_conversations_would_break_a_test_on_items_and_do_not_break_the_test_on_groups() -> None:
    rng = np.random.default_rng(2)
    naive, grouped = [], []
    groups = np.repeat(each_its_own(40), 5)
    for _ in range(2000):
        # Half of the variance lies between conversations.
        differences = np.repeat(rng.normal(0, 0.14, 40), 5) + rng.normal(0, 0.14, 200)
        naive.append(t_p(differences, 0.0, worse=True))
        grouped.append(t_p(group_means(differences, groups), 0.0, worse=True))

    assert share_rejected(naive) > 0.12
    assert share_rejected(grouped) == pytest.approx(0.05, abs=0.025)


def test_the_imagined_worst_case_stops_false_approvals_where_failures_are_rare() -> None:
    rng = np.random.default_rng(3)
    plain, guarded = [], []
    for _ in range(2000):
        # Truly 0.03 below the threshold: a small common gain and 3% of answers that fail outright.
        found = Moments.of(rng.normal(-0.006, 0.02, 50) - 0.8 * (rng.random(50) < 0.03))
        plain.append(student_p(found, -0.03, worse=False))
        guarded.append(student_p(with_worst_case(found), -0.03, worse=False))

    assert share_rejected(plain) > 0.15
    assert share_rejected(guarded) < 0.05


def test_at_the_level_of_one_test_one_failure_is_imagined_and_more_at_smaller_levels() -> None:
    found = Moments(0.1, 0.2, 99)

    assert with_worst_case(found).n == pytest.approx(100)
    assert with_worst_case(found).mean == pytest.approx((9.9 - 1) / 100)
    assert with_worst_case(found, 0.2).n == pytest.approx(100)
    assert 102 < with_worst_case(found, 0.0001).n < 105


def chance_of_blocking(gained: float, lost: float, n: int, margin: float, correction: float) -> float:
    """Exactly: the probability of all counts of wins and losses that the score test blocks at 0.05."""
    wins, losses = stats.binom(n, gained), lambda k: stats.binom(n - k, lost / (1 - gained))
    chance = 0.0
    for won in range(n + 1):
        if wins.pmf(won) < 1e-9:
            continue
        blocking = [k for k in range(n - won + 1) if tango_p(won, k, n, margin, worse=True, correction=correction) < 0.05]
        # More losses never look better, so those that block are all from the first on.
        chance += wins.pmf(won) * (losses(won).sf(blocking[0] - 1) if blocking else 0.0)
    return float(chance)


@pytest.mark.parametrize(("n", "margin"), [(50, 0.0), (50, -0.02), (100, -0.02), (200, -0.02)])
@pytest.mark.parametrize("gained", [0.01, 0.05])
def test_few_yes_or_no_answers_block_a_model_at_its_threshold_one_time_in_twenty(n: int, margin: float, gained: float) -> None:
    assert chance_of_blocking(gained, gained - margin, n, margin, HALF_AN_ITEM) <= 0.05


def test_without_the_correction_for_continuity_they_would_block_it_too_often() -> None:
    assert chance_of_blocking(0.01, 0.03, 100, -0.02, 0.0) > 0.07


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(4)
    held = [low <= 0.1 <= high for low, high in (t_interval(rng.normal(0.1, 0.3, 15)) for _ in range(2000))]

    assert sum(held) / len(held) == pytest.approx(0.95, abs=0.025)
