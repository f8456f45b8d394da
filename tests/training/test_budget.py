import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import TrainingDiverged
from continuum.training.budget import LADDER, choose_lambda, lost_share
from continuum.training.job import LambdaTried


def trials_of(lost: Callable[[float], float]) -> tuple[Callable[[float], LambdaTried], list[float]]:
    """A training that loses what the function says, and the lambdas it was asked for."""
    asked: list[float] = []

    def try_at(strength: float) -> LambdaTried:
        asked.append(strength)
        return LambdaTried(lambda_ewc=strength, lost=lost(strength), loss=1.0)

    return try_at, asked


def test_the_smallest_lambda_that_keeps_the_budget_is_found_in_three_trainings():
    try_at, asked = trials_of(lambda strength: 0.5 / (1 + strength / 20))

    choice = choose_lambda(try_at, 0.01)

    assert choice.chosen.lambda_ewc == 1000.0
    assert choice.held
    assert asked[0] == 1000.0, "the default comes first"
    assert len(asked) == 3
    assert "smallest" in choice.note


def test_where_nothing_is_lost_anyway_nothing_is_held():
    try_at, _ = trials_of(lambda strength: 0.004)

    choice = choose_lambda(try_at, 0.01)

    assert choice.chosen.lambda_ewc == 0.0
    assert "nothing needs to be held" in choice.note


def test_where_no_lambda_keeps_the_budget_the_one_that_loses_least_is_taken_and_said_so():
    try_at, asked = trials_of(lambda strength: 0.3 if strength == 10_000 else 0.4)

    choice = choose_lambda(try_at, 0.01)

    assert (choice.chosen.lambda_ewc, choice.held) == (10_000.0, False)
    assert "none of the lambdas" in choice.note
    assert "30.00% lost" in choice.note
    assert len(asked) == 3


@given(st.floats(1e-4, 0.9), st.floats(1, 1e5), st.floats(0.3, 3), st.floats(0, 1))
def test_of_a_loss_that_falls_with_lambda_no_smaller_rung_would_have_kept_the_budget(
    budget: float, half: float, power: float, most: float
):
    def lost(strength: float) -> float:
        return most / (1 + (strength / half) ** power)

    try_at, asked = trials_of(lost)
    choice = choose_lambda(try_at, budget)

    kept = [strength for strength in LADDER if lost(strength) <= budget]
    assert choice.held == bool(kept)
    assert choice.chosen.lambda_ewc == (min(kept) if kept else LADDER[-1])
    assert len(asked) <= 3


@given(st.integers(0, 10_000), st.floats(0.05, 0.5), st.integers(1, 20))
def test_of_a_loss_that_jumps_the_chosen_rung_kept_the_budget_and_the_one_below_did_not(seed: int, budget: float, rungs: int):
    ladder = tuple(float(n) for n in range(rungs))
    noise = {strength: random.Random(seed + n).random() for n, strength in enumerate(ladder)}
    try_at, asked = trials_of(noise.__getitem__)

    choice = choose_lambda(try_at, budget, ladder)

    assert len(asked) == len(set(asked)) <= math.ceil(math.log2(rungs + 1))
    assert choice.chosen in choice.tried
    if choice.held:
        place = ladder.index(choice.chosen.lambda_ewc)
        assert noise[ladder[place]] <= budget
        assert place == 0 or noise[ladder[place - 1]] > budget
        assert place == 0 or ladder[place - 1] in asked, "it was tried, not guessed"
    else:
        assert choice.chosen.lost == min(noise[strength] for strength in asked)


def test_a_search_that_was_interrupted_goes_on_with_what_was_found():
    kept: dict[float, LambdaTried] = {}
    trained: list[float] = []

    def try_at(strength: float) -> LambdaTried:
        if strength not in kept:
            if len(trained) == 2:
                raise KeyboardInterrupt
            trained.append(strength)
            kept[strength] = LambdaTried(lambda_ewc=strength, lost=0.5 / (1 + strength / 20), loss=1.0)
        return kept[strength]

    with pytest.raises(KeyboardInterrupt):
        choose_lambda(try_at, 0.01)
    trained.clear()
    choice = choose_lambda(try_at, 0.01)

    assert choice.chosen.lambda_ewc == 1000.0
    assert len(trained) == 1


def test_a_penalty_too_stiff_to_train_with_is_passed_over_for_a_smaller_one():
    def try_at(strength: float) -> LambdaTried:
        if strength >= 3000:
            raise TrainingDiverged("the loss was nan")
        return LambdaTried(lambda_ewc=strength, lost=0.2 if strength >= 1000 else 0.4, loss=1.0)

    choice = choose_lambda(try_at, 0.1)

    assert (choice.chosen.lambda_ewc, choice.held) == (1000.0, False)
    with pytest.raises(TrainingDiverged):
        choose_lambda(try_at, 0.1, (3000.0, 10_000.0))


@pytest.mark.parametrize("ladder", [(), (0.0, 0.0), (10.0, 1.0)])
def test_a_ladder_rises(ladder: tuple[float, ...]):
    with pytest.raises(ValueError, match="must rise"):
        choose_lambda(trials_of(lambda strength: 0.0)[0], 0.1, ladder)


def test_what_is_lost_is_a_share_of_the_probability_that_there_was():
    assert lost_share([0.0, math.log(2)], [math.log(2), math.log(2)]) == pytest.approx(1 / 3)
    assert lost_share([1.0], [0.5]) < 0, "something was gained"
    assert lost_share([1000.0], [1000.0]) == 0.0, "where nothing was known nothing can be lost"
    with pytest.raises(ValueError, match="the same rows"):
        lost_share([1.0], [])
