"""Confidence sequences of a difference: what they say, and that they are not wrong more often than they claim."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.sequences import Difference, Step, Summary, difference, difference_of, summary

ALPHA = 0.05
SCORES = st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=60)


def compared(candidate: list[float], stable: list[float], **kwargs: float) -> Difference:
    found = difference(candidate, stable, alpha=kwargs.get("alpha", ALPHA), planned=int(kwargs.get("planned", 300)))
    assert found is not None
    return found


def passed(rng: np.random.Generator, mean: float, count: int) -> list[float]:
    return (rng.random(count) < mean).astype(float).tolist()


def of_passes(passes: int, n: int) -> Summary:
    return Summary(n, passes / n, passes * (1 - passes / n))


def test_the_difference_is_that_of_the_means_between_its_bounds() -> None:
    found = compared([1.0, 0.5, 0.75, 0.75], [0.5, 0.5])

    assert (found.candidate, found.stable) == (4, 2)
    assert found.delta == pytest.approx(0.25)
    assert -1 <= found.lower < 0.25 < found.upper <= 1


def test_without_conversations_of_both_arms_there_is_no_difference() -> None:
    assert difference([], [1.0], alpha=ALPHA, planned=300) is None
    assert difference_of([], alpha=ALPHA, planned=300) is None
    assert difference_of([Step(summary([1.0]), summary([])), Step(summary([]), summary([1.0]))], alpha=ALPHA, planned=300) is None


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 4.0, math.nan])
def test_a_score_off_the_scale_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        summary([0.5, wrong])


@pytest.mark.parametrize(("alpha", "planned"), [(0.0, 300), (0.5, 300), (0.05, 0)])
def test_a_level_or_plan_out_of_range_is_refused(alpha: float, planned: int) -> None:
    with pytest.raises(ValueError, match="alpha"):
        difference([1.0], [1.0], alpha=alpha, planned=planned)


def test_the_width_is_that_of_the_published_formula() -> None:
    # n1 = n0 = 200: m = 100 comparisons, at which it is planned to be tightest.
    found = compared([0.0, 1.0] * 100, [0.0, 1.0] * 100, planned=100)

    t = 2 * math.log(1 / ALPHA) + math.log(1 + 2 * math.log(1 / ALPHA))
    radius = found.se * math.sqrt(2 * (t + 1) / t * math.log(math.sqrt(t + 1) / (2 * ALPHA) + 1))
    assert found.upper == pytest.approx(radius)
    assert found.lower == pytest.approx(-radius)
    # The unseen scores of 0 and 1 change nothing for an arm that is half and half but its count.
    assert found.se == pytest.approx(math.sqrt(2 * 0.25 * 206 / 205 / 200))


@given(SCORES, SCORES)
def test_exchanging_the_arms_turns_the_sign(candidate: list[float], stable: list[float]) -> None:
    there, back = compared(candidate, stable), compared(stable, candidate)

    assert there.delta == pytest.approx(-back.delta)
    assert there.lower == pytest.approx(-back.upper)
    assert there.se == pytest.approx(back.se)


@given(SCORES, SCORES, st.floats(min_value=0.001, max_value=0.04))
def test_to_be_surer_is_to_say_less(candidate: list[float], stable: list[float], alpha: float) -> None:
    surer, found = compared(candidate, stable, alpha=alpha), compared(candidate, stable)

    assert surer.lower <= found.lower
    assert surer.upper >= found.upper


@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=4), st.randoms())
def test_the_order_of_the_steps_does_not_matter(arms, random) -> None:
    steps = [Step(summary(candidate), summary(stable)) for candidate, stable in arms]
    shuffled = random.sample(steps, len(steps))

    found, again = (difference_of(order, alpha=ALPHA, planned=300) for order in (steps, shuffled))

    assert found is not None
    assert again is not None
    assert (found.delta, found.lower, found.se) == pytest.approx((again.delta, again.lower, again.se))


def test_a_day_on_which_all_are_worse_is_no_difference() -> None:
    good, bad = Summary(1000, 0.9, 90.0), Summary(1000, 0.7, 210.0)
    few_good, few_bad = Summary(50, 0.9, 4.5), Summary(50, 0.7, 10.5)

    found = difference_of([Step(few_good, good), Step(bad, few_bad)], alpha=ALPHA, planned=300)

    assert found is not None
    assert found.delta == pytest.approx(0)


def test_a_step_that_only_one_arm_has_says_nothing() -> None:
    both, alone = Step(summary([1.0, 0.0]), summary([1.0, 1.0])), Step(summary([0.0] * 9), summary([]))

    assert difference_of([both, alone], alpha=ALPHA, planned=300) == difference_of([both], alpha=ALPHA, planned=300)


def test_one_conversation_says_nothing_whatever_its_score() -> None:
    found = compared([0.0], [1.0])

    assert found.lower == -1
    assert found.upper > 0


def test_an_arm_that_never_failed_is_not_thought_perfect() -> None:
    assert compared([1.0] * 40, [1.0] * 400).lower < -0.1
    assert compared([1.0] * 4000, [1.0] * 4000).lower > -0.01


@pytest.mark.parametrize("mean", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("ratio", [19, 1])
def test_the_bounds_hold_at_all_looks_together(mean: float, ratio: int) -> None:
    rng, trials, every, looks = np.random.default_rng(3), 400, 40, 25
    arms = [np.cumsum(rng.binomial(n, mean, (trials, looks)), axis=1) for n in (every, every * ratio)]
    missed = {"lower": 0, "upper": 0}
    for candidate, stable in zip(*arms, strict=True):
        seen = [
            Step(of_passes(int(one), every * look), of_passes(int(other), every * ratio * look))
            for look, (one, other) in enumerate(zip(candidate, stable, strict=True), start=1)
        ]
        found = [difference_of([step], alpha=ALPHA, planned=300) for step in seen]
        missed["lower"] += any(one is not None and one.lower > 0 for one in found)
        missed["upper"] += any(one is not None and one.upper < 0 for one in found)

    # Three standard errors of a share of 0.05 above it.
    assert max(missed.values()) / trials < ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / trials)


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(4)
    found = [compared(passed(rng, 0.8, 500), passed(rng, 0.9, 1900)).upper < 0 for _ in range(50)]

    assert np.mean(found) > 0.9
