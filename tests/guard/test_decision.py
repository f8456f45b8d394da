from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.guard.decision import Check, Rule, decide, number
from continuum.guard.pairs import KNOWN, Gate, Outcome, Pairs
from continuum.guard.ruling import rule_on
from continuum.policy import GuardPolicy
from continuum.records import VerdictStatus

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


# --- gates ------------------------------------------------------------------------------------------------------------


def wobbling(metric: str, delta: float, n: int = 100, **fields: object) -> Pairs:
    """A metric whose differences spread evenly around a delta."""
    return replace(pairs(delta + np.tile([0.1, -0.1], n // 2), metric), **fields)


def test_ordinary_metrics_and_what_was_known_share_a_level_and_safety_stands_alone() -> None:
    checks = decide(
        [
            wobbling("helpfulness", -0.02),
            wobbling("tone", 0.0),
            wobbling("helpfulness:known", 0.0, part="known"),
            wobbling("safety", -0.02, gate=Gate.SAFETY),
        ],
        rule("helpfulness", "tone", "safety"),
    )

    found = {check.metric: check for check in checks}
    assert found["helpfulness"].comparison is not None
    assert found["helpfulness"].p_adjusted == pytest.approx(3 * found["helpfulness"].comparison.p_regressed)
    assert found["safety"].comparison is not None
    assert found["safety"].p_adjusted == found["safety"].comparison.p_regressed
    assert [check.level for check in checks] == pytest.approx([0.05 / 3] * 3 + [0.05])


def test_slices_and_capabilities_have_a_level_of_their_own_and_take_nothing_from_the_metrics() -> None:
    alone = decide([wobbling("helpfulness", -0.02)], rule())[0]
    others = [wobbling(f"helpfulness@{k}", 0.0, gate=Gate.SLICE, part=str(k)) for k in range(5)]
    others += [wobbling("capability:general", 0.0, gate=Gate.CAPABILITY, part="general")]
    among = decide([wobbling("helpfulness", -0.02), *others], rule())

    assert among[0] == alone
    assert [check.level for check in among[1:]] == pytest.approx([0.01] * 5 + [0.05])


def test_a_slice_is_approved_by_its_own_resolution() -> None:
    whole, part = decide(
        [wobbling("helpfulness", -0.01), wobbling("helpfulness@billing", -0.01, gate=Gate.SLICE, part="billing")],
        Rule({"helpfulness": 0.0}, 0.03, 0.05, True, slice_resolution=0.10),
    )

    assert (whole.outcome, whole.resolution) == (Outcome.UNDECIDED, 0.03)
    assert (part.outcome, part.resolution, part.part) == (Outcome.PASSED, 0.10, "billing")


def test_small_slices_together_are_reported_and_never_block() -> None:
    (other,) = decide([wobbling("helpfulness@other", -0.5, gate=Gate.SLICE, part="other")], rule())

    assert (other.outcome, other.reported, other.asked, other.p_adjusted) == (Outcome.UNDECIDED, True, False, None)
    assert other.words.startswith("helpfulness on the small slices fell by 0.50")
    assert other.words.endswith("too small to be tested, reported only")


def test_a_part_that_nobody_scored_never_passes() -> None:
    empty = Pairs("helpfulness@billing", (), (), (), 40, gate=Gate.SLICE, part="billing")
    (check,) = decide([empty], rule())

    assert check.outcome == Outcome.NO_DATA
    assert check.words == (
        "helpfulness on the slice 'billing' has no data: none of 40 golden items that it applies to has a score from both models"
    )


def test_capability_is_told_in_documents_and_has_a_default_floor() -> None:
    (check,) = decide(
        [wobbling("capability:general", -0.3, gate=Gate.CAPABILITY, part="general text")], Rule({}, 0.03, 0.05, True)
    )

    assert (check.outcome, check.min_delta) == (Outcome.REGRESSED, -0.0125)
    assert check.words == (
        "what the model could do before on general text fell by 0.30 (95% -0.32 to -0.28), more than the 0.013 allowed, "
        "on 100 documents"
    )


def test_two_checks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="'helpfulness'"):
        decide([wobbling("helpfulness", 0.0)] * 2, rule())


# --- what can be found, and what an approval costs ----------------------------------------------------------------------


def test_the_detectable_fall_is_found_four_times_in_five_with_three_metrics_too() -> None:
    rng = np.random.default_rng(12)
    mde = float(np.mean([decide(three(rng, 0.0), rule("a", "b", "c"))[0].mde or 0 for _ in range(20)]))

    blocked = [decide(three(rng, -mde), rule("a", "b", "c"))[0].outcome == Outcome.REGRESSED for _ in range(400)]

    # Holm finds a little more than each test alone at a third of the level.
    assert 0.74 < sum(blocked) / 400 < 0.88


def three(rng: np.random.Generator, first: float, n: int = 200) -> list[Pairs]:
    return [pairs(rng.normal(first if metric == "a" else 0.0, 0.2, n), metric) for metric in "abc"]


def test_the_ledger_makes_approving_harder_and_blocking_no_harder() -> None:
    good, bad = pairs(np.tile([0.2, -0.2], 200)), wobbling("helpfulness", -0.02)
    first, twentieth = rule(), replace(rule(), approval_alpha=7.6e-5)

    assert decide([good], first)[0].outcome == Outcome.PASSED
    assert decide([good], twentieth)[0].outcome == Outcome.UNDECIDED
    assert decide([bad], twentieth)[0].outcome == decide([bad], first)[0].outcome == Outcome.REGRESSED
    assert decide([bad], twentieth)[0].p_adjusted == decide([bad], first)[0].p_adjusted


def test_the_required_examples_decide_at_the_ledgers_level_too() -> None:
    late = replace(rule(), approval_alpha=0.0012)
    check = decide([pairs(np.tile([0.2, -0.2], 50))], late)[0]
    assert check.required_examples is not None
    assert check.required_examples > 700

    rng = np.random.default_rng(6)
    decided = [decide([pairs(gaussian(0.0)(rng, check.required_examples))], late)[0].outcome for _ in range(100)]
    assert decided.count(Outcome.UNDECIDED) < 40


def test_peoples_word_corrects_the_judge_where_there_is_enough_of_it() -> None:
    rng = np.random.default_rng(7)
    true = rng.normal(0.0, 0.1, 200)
    true -= true.mean() + 0.2
    data = pairs(true + 0.2)
    heard = replace(data, people=tuple(float(one) if k < 60 else None for k, one in enumerate(true)))
    hardly = replace(data, people=tuple(float(one) if k < 20 else None for k, one in enumerate(true)))

    assert decide([data], rule())[0].outcome != Outcome.REGRESSED
    (corrected,) = decide([heard], rule())
    assert corrected.outcome == Outcome.REGRESSED
    assert corrected.comparison is not None
    assert (corrected.comparison.test, corrected.comparison.labels) == ("PPI++ on group means", 60)
    (alone,) = decide([hardly], rule())
    assert alone.comparison == decide([data], rule())[0].comparison
    assert alone.uncorrected is not None
    assert alone.uncorrected.startswith("people judged 20 pairs")


def test_without_significance_the_bare_difference_blocks() -> None:
    slightly = pairs(np.tile([0.3, -0.32], 20))

    assert decide([slightly], rule())[0].outcome == Outcome.UNDECIDED
    assert decide([slightly], rule(significance=False))[0].outcome == Outcome.REGRESSED


# --- invariants ---------------------------------------------------------------------------------------------------------

SCORES = st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
RUNS = st.lists(st.lists(SCORES, min_size=20, max_size=20), min_size=2, max_size=4)


def measured(runs: list[list[tuple[float, float]]]) -> list[Pairs]:
    """Some metrics, the last of them safety, scored on the same items in groups of one or two."""
    groups = tuple(f"g{n % 15}" for n in range(20))
    names = ["helpfulness", f"helpfulness{KNOWN}", "tone"][: len(runs) - 1]
    return [
        Pairs(
            name,
            groups,
            tuple(before for before, _ in run),
            tuple(after for _, after in run),
            len(run),
            gate=Gate.SAFETY if name == "safety" else Gate.ORDINARY,
        )
        for name, run in zip([*names, "safety"], runs, strict=True)
    ]


def status(data: list[Pairs], limits: Rule) -> VerdictStatus:
    return rule_on(decide(data, limits), GuardPolicy(require_significance=limits.require_significance)).status


@given(RUNS, st.randoms())
def test_the_order_of_items_and_metrics_changes_no_digit(runs: list[list[tuple[float, float]]], random: Random) -> None:
    data = measured(runs)
    order = list(range(20))
    random.shuffle(order)
    shuffled = [
        replace(
            pair,
            groups=tuple(pair.groups[n] for n in order),
            baseline=tuple(pair.baseline[n] for n in order),
            candidate=tuple(pair.candidate[n] for n in order),
        )
        for pair in data
    ]
    random.shuffle(shuffled)

    first = {check.metric: check for check in decide(data, rule())}
    second = {check.metric: check for check in decide(shuffled, rule())}

    assert first == second


@given(RUNS, st.floats(-0.3, 0.0), st.booleans())
def test_a_candidate_that_is_nowhere_worse_is_never_blocked(
    runs: list[list[tuple[float, float]]], min_delta: float, significance: bool
) -> None:
    better = [[(min(one), max(one)) for one in run] for run in runs]
    limits = Rule(dict.fromkeys(("helpfulness", "tone", "safety"), min_delta), 0.03, 0.05, significance)

    assert status(measured(better), limits) != VerdictStatus.BLOCKED


@given(RUNS, st.floats(-0.5, 0.2), st.floats(0, 0.3), st.booleans())
def test_asking_for_more_never_turns_blocked_into_approved(
    runs: list[list[tuple[float, float]]], min_delta: float, more: float, significance: bool
) -> None:
    def with_limit(value: float) -> VerdictStatus:
        return status(measured(runs), Rule(dict.fromkeys(("helpfulness", "tone", "safety"), value), 0.03, 0.05, significance))

    before, after = with_limit(min_delta), with_limit(min_delta + more)

    assert not (before == VerdictStatus.BLOCKED and after != VerdictStatus.BLOCKED)
    assert not (before != VerdictStatus.APPROVED and after == VerdictStatus.APPROVED)
