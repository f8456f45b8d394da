from collections.abc import Callable

import numpy as np
import pytest

from continuum.guard.decision import Check, Rule, decide, number
from continuum.guard.pairs import Outcome, Pairs

Draw = Callable[[np.random.Generator, int], np.ndarray]


def likert(mean: float) -> Draw:
    """Differences on the grid of a judge's scores, more than half of them ties, with falls as likely as the mean asks."""
    falls = 0.18 - 2 * mean
    shares = np.array([0.04, falls, 0.6 - falls, 0.32, 0.04])
    steps = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
    offset = mean - float(shares @ steps)
    return lambda rng, n: rng.choice(steps, size=n, p=shares) + offset


def gaussian(mean: float) -> Draw:
    return lambda rng, n: rng.normal(mean, 0.2, n)


def rare_failures(mean: float) -> Draw:
    """3% of answers fail outright; the others make up for it as far as the mean says."""
    return lambda rng, n: rng.normal(mean + 0.024, 0.02, n) - 0.8 * (rng.random(n) < 0.03)


def pairs(differences: np.ndarray, metric: str = "helpfulness") -> Pairs:
    before = np.full(len(differences), 0.5)
    groups = tuple(f"g{n}" for n in range(len(differences)))
    return Pairs(metric, groups, tuple(before.tolist()), tuple((before + differences).tolist()), len(differences))


def rule(*metrics: str, min_delta: float = 0.0, significance: bool = True) -> Rule:
    return Rule(dict.fromkeys(metrics or ("helpfulness",), min_delta), 0.03, 0.05, significance)


def outcomes(draw: Draw, n: int, *, runs: int = 400, seed: int = 0) -> dict[Outcome, float]:
    rng = np.random.default_rng(seed)
    found = [decide([pairs(draw(rng, n))], rule())[0].outcome for _ in range(runs)]
    return {outcome: found.count(outcome) / runs for outcome in Outcome}


# The bounds are the nominal 5% and about three standard errors of 400 runs, on fixed seeds.


@pytest.mark.parametrize("family", [likert, gaussian, rare_failures])
@pytest.mark.parametrize("n", [50, 200])
def test_a_model_at_its_threshold_is_seldom_blocked(family: Callable[[float], Draw], n: int) -> None:
    assert outcomes(family(0.0), n)[Outcome.REGRESSED] < 0.08


@pytest.mark.parametrize("family", [likert, gaussian, rare_failures])
@pytest.mark.parametrize("n", [50, 200])
def test_a_model_worse_by_the_resolution_is_seldom_approved(family: Callable[[float], Draw], n: int) -> None:
    assert outcomes(family(-0.03), n)[Outcome.PASSED] < 0.08


def test_a_fall_of_five_points_is_found_on_two_hundred_items_and_an_equal_model_passes_on_a_thousand() -> None:
    assert outcomes(gaussian(-0.05), 200)[Outcome.REGRESSED] > 0.9
    assert outcomes(gaussian(0.0), 1000, runs=200)[Outcome.PASSED] > 0.9


def test_the_required_examples_decide_four_times_in_five() -> None:
    check = next(
        check
        for check in (decide([pairs(gaussian(0.0)(np.random.default_rng(seed), 60))], rule())[0] for seed in range(20))
        if check.outcome == Outcome.UNDECIDED
    )
    assert check.required_examples is not None

    assert outcomes(gaussian(0.0), check.required_examples, runs=300)[Outcome.UNDECIDED] < 0.4
    assert outcomes(gaussian(0.0), 60, runs=300)[Outcome.UNDECIDED] > 0.6


def test_the_false_approval_rate_is_how_often_blocking_alone_lets_a_worse_model_pass() -> None:
    rng = np.random.default_rng(3)
    checks = [decide([pairs(gaussian(-0.03)(rng, 100))], rule())[0] for _ in range(400)]
    let_through = sum(check.outcome != Outcome.REGRESSED for check in checks) / 400
    stated = [check.false_approval_rate for check in checks if check.false_approval_rate is not None]

    assert sum(stated) / len(stated) == pytest.approx(let_through, abs=0.12)


def test_three_metrics_of_an_equal_model_block_it_one_time_in_twenty_at_most() -> None:
    rng = np.random.default_rng(4)
    blocked = 0
    for _ in range(600):
        common = rng.normal(0, 0.14, 100)
        drawn = [pairs(common + rng.normal(0, 0.14, 100), metric) for metric in ("a", "b", "c")]
        blocked += any(check.outcome == Outcome.REGRESSED for check in decide(drawn, rule("a", "b", "c")))

    assert blocked / 600 < 0.08


def test_an_item_without_a_score_is_counted_as_dropped() -> None:
    (check,) = decide([Pairs("helpfulness", ("a", "b"), (0.5, 0.5), (0.5, 0.5), 4)], rule())

    assert (check.outcome, check.dropped) == (Outcome.UNDECIDED, 2)


def test_an_asked_for_rise_that_did_not_come_is_named_as_such() -> None:
    check = regressed(pairs(np.tile([0.0, 0.02], 20)), min_delta=0.05)

    assert check.words == "helpfulness moved by +0.01 (95% 0.007 to 0.013), less than the +0.05 asked for, on 40 golden items"


def test_a_fall_where_none_is_allowed_is_named_as_such() -> None:
    check = regressed(pairs(np.tile([0.0, -0.5], 20)), min_delta=0.0)

    assert check.words == "helpfulness fell by 0.25 (95% -0.33 to -0.17), where no fall is allowed, on 40 golden items"


def regressed(data: Pairs, min_delta: float) -> Check:
    (check,) = decide([data], rule(min_delta=min_delta))
    assert check.outcome == Outcome.REGRESSED
    return check


@pytest.mark.parametrize(("value", "text"), [(0.31, "0.31"), (-0.25, "-0.25"), (0.004, "0.004"), (0.02, "0.02"), (0.0, "0.00")])
def test_numbers_keep_what_two_decimals_would_hide(value: float, text: str) -> None:
    assert number(value) == text
