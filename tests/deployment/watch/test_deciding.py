"""The rule of the watch: what it does with what is known, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.deployment.watch.deciding import FEWEST, Decision, decide
from continuum.statistics.sequences import Step, Summary

LIMIT, ALPHA, PLANNED = 0.05, 0.05, 4000
COUNTS = st.integers(min_value=0, max_value=5000)
SHARES = st.floats(min_value=0, max_value=1)


def arm(n: int, mean: float) -> Summary:
    """Conversations that passed or failed."""
    return Summary(n, mean, n * mean * (1 - mean))


def on(candidate: tuple[int, float], stable: tuple[int, float], limit: float | None = LIMIT) -> Decision:
    return decide([Step(arm(*candidate), arm(*stable))], limit=limit, alpha=ALPHA, planned=PLANNED)


def test_a_candidate_that_is_as_good_may_take_a_step_once_that_is_sure() -> None:
    assert on((60, 0.9), (240, 0.9)).action == "hold"
    assert on((2000, 0.9), (8000, 0.9)).action == "promote"


def test_one_that_lost_more_than_the_limit_is_rolled_back_with_the_evidence() -> None:
    decision = on((500, 0.8), (1900, 0.9))

    assert decision.action == "rollback"
    assert "-0.100" in decision.words
    assert "500 conversations against 1900" in decision.words
    assert decision.difference is not None
    assert decision.difference.upper < 0


def test_one_that_is_surely_worse_but_within_the_limit_is_held() -> None:
    decision = on((4000, 0.86), (16_000, 0.9))

    assert decision.action == "hold"
    assert "surely worse" in decision.words


def test_luck_is_waited_out() -> None:
    assert on((30, 0.7), (120, 0.9)).action == "hold"


@pytest.mark.parametrize(("candidate", "stable"), [(FEWEST - 1, 4000), (4000, FEWEST - 1), (0, 4000), (0, 0)])
def test_too_few_conversations_say_nothing(candidate: int, stable: int) -> None:
    decision = on((candidate, 0.0), (stable, 1.0))

    assert decision.action == "hold"
    assert f"{candidate} of the candidate's and {stable} of the stable model's" in decision.words


def test_before_the_first_conversation_it_waits() -> None:
    assert decide([], limit=LIMIT, alpha=ALPHA, planned=PLANNED).action == "hold"


def test_without_a_limit_nothing_is_rolled_back_and_what_is_surely_worse_goes_no_further() -> None:
    assert on((500, 0.5), (1900, 0.9), limit=None).action == "hold"
    assert on((100, 0.9), (400, 0.9), limit=None).action == "promote"


def test_a_ramp_on_a_bad_day_does_not_accuse_the_candidate() -> None:
    steps = [Step(arm(400, 0.9), arm(1500, 0.9)), Step(arm(400, 0.7), arm(80, 0.7))]

    together = decide(steps, limit=LIMIT, alpha=ALPHA, planned=PLANNED)
    thrown = on((800, 0.8), (1580, 0.89))

    assert together.action != "rollback"
    assert thrown.action == "rollback"


@given(COUNTS, SHARES, COUNTS, SHARES, st.floats(min_value=0.01, max_value=0.5))
def test_it_rolls_back_only_at_the_limit_and_promotes_only_above_it(n1: int, p1: float, n0: int, p0: float, limit: float) -> None:
    decision = on((n1, p1), (n0, p0), limit)

    if decision.difference is not None and decision.action == "rollback":
        assert decision.difference.delta <= -limit
        assert decision.difference.upper < 0
    if decision.difference is not None and decision.action == "promote":
        assert decision.difference.delta > -limit


@given(COUNTS, SHARES, COUNTS, SHARES)
def test_better_scores_never_turn_a_step_into_a_rollback(n1: int, p1: float, n0: int, p0: float) -> None:
    worse, better = on((n1, p1), (n0, p0)), on((n1, (1 + p1) / 2), (n0, p0))

    assert (worse.action, better.action) != ("promote", "rollback")
