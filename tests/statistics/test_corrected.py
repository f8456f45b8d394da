from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.statistics.corrected import compare_corrected, too_few_labels
from continuum.statistics.paired import Comparison, compare

LIMITS = {"min_delta": 0.0, "resolution": 0.05}


def a_judge_and_people(
    rng: np.random.Generator, *, delta: float, bias: float, labels: int = 100, n: int = 300, of_one_group: int = 1
) -> tuple[Comparison, Comparison]:
    """The judge alone and corrected; the judge sees each true difference with its bias and some noise."""
    groups = [f"g{k // of_one_group}" for k in range(n)]
    shared = np.repeat(rng.normal(0, 0.1 if of_one_group > 1 else 0.0, n // of_one_group), of_one_group)
    true = rng.normal(delta, 0.15, n) + shared
    before = np.full(n, 0.5)
    after = before + true + bias + rng.normal(0, 0.1, n)
    asked = set(rng.choice(n, labels, replace=False).tolist())
    people = [float(one) if k in asked else None for k, one in enumerate(true)]
    alone = compare(before.tolist(), after.tolist(), groups, **LIMITS)
    return alone, compare_corrected(before.tolist(), after.tolist(), groups, people, **LIMITS)


@pytest.mark.parametrize("of_one_group", [1, 4])
def test_the_corrected_interval_holds_what_people_would_say_and_a_biased_judges_does_not(of_one_group: int) -> None:
    rng = np.random.default_rng(1)
    found = [a_judge_and_people(rng, delta=0.0, bias=0.06, of_one_group=of_one_group) for _ in range(400)]

    assert sum(one.low <= 0 <= one.high for _, one in found) / 400 > 0.92
    assert sum(one.low <= 0 <= one.high for one, _ in found) / 400 < 0.2


def test_a_judge_that_favours_the_candidate_no_longer_hides_its_fall() -> None:
    rng = np.random.default_rng(2)
    found = [a_judge_and_people(rng, delta=-0.06, bias=0.06) for _ in range(200)]

    assert sum(alone.p_regressed < 0.05 for alone, _ in found) / 200 < 0.15
    assert sum(one.p_regressed < 0.05 for _, one in found) / 200 > 0.9
    assert sum(alone.p_not_worse < 0.05 for alone, _ in found) / 200 > 0.8
    assert sum(one.p_not_worse < 0.05 for _, one in found) / 200 < 0.05


def test_a_judge_that_agrees_with_people_makes_the_interval_narrower_than_labels_alone() -> None:
    rng = np.random.default_rng(3)
    _, one = a_judge_and_people(rng, delta=0.0, bias=0.0)

    assert (one.high - one.low) / 2 < 1.96 * 0.15 / 10
    assert (one.test, one.labels, one.items, one.groups) == ("PPI++ on group means", 100, 300, 300)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.randoms())
def test_the_order_of_items_changes_no_digit(seed: int, random: Random) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (float(before), float(after), f"g{k // 2}", float(said) if k % 2 else None)
        for k, (before, after, said) in enumerate(rng.random((80, 3)))
    ]
    shuffled = rows[:]
    random.shuffle(shuffled)

    first, second = (compare_corrected(*zip(*order, strict=True), **LIMITS) for order in (rows, shuffled))

    assert first == second


def test_people_who_all_say_the_same_are_believed_and_not_taken_for_certain_where_they_approve() -> None:
    groups = [f"g{k}" for k in range(40)]
    fell = compare_corrected([0.75] * 40, [0.5] * 40, groups, [-0.25] * 40, **LIMITS)
    equal = compare_corrected([0.75] * 40, [0.75] * 40, groups, [0.0] * 40, **LIMITS)

    assert (fell.delta, fell.p_regressed) == (pytest.approx(-0.25), 0.0)
    assert equal.p_regressed == 1.0
    assert equal.p_not_worse > 0.05


def test_a_few_labels_correct_nothing_and_say_how_many_would() -> None:
    groups = [f"g{k // 5}" for k in range(60)]
    few, crowded = [0.0] * 29 + [None] * 31, [0.0] * 40 + [None] * 20

    assert too_few_labels(few, groups) == (
        "people judged 29 pairs of 6 independent groups; to correct the judge by them, 30 pairs of 10 groups are needed"
    )
    assert too_few_labels(crowded, groups) is not None
    assert too_few_labels([0.0] * 60, groups) is None
    with pytest.raises(ValueError, match="30 pairs of 10 groups"):
        compare_corrected([0.5] * 60, [0.5] * 60, groups, few, **LIMITS)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="equal lengths"):
        compare_corrected([0.5] * 60, [0.5] * 60, ["a"] * 60, [0.0] * 59, **LIMITS)
