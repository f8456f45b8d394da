"""How hard to hold on: the smallest lambda that loses no more of what was learned than a budget allows.

Each try is a training, so there are few: the ladder is halved, on the premise that a larger lambda loses less. Whatever the truth
of the premise, the lambda that is chosen kept the budget when it was tried, and the rung below it did not.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from continuum.errors import TrainingDiverged
from continuum.training.job import LambdaTried

LADDER = (0.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0)
"""Seven rungs, so that three trainings find any of them; the first to be tried is the middle one, the default of `lambda_ewc`."""


@dataclass(frozen=True)
class Choice:
    """The lambda that was chosen, and why."""

    chosen: LambdaTried
    tried: tuple[LambdaTried, ...]
    """In the order they were tried."""
    held: bool
    """Whether the budget was kept; if not, the chosen one lost least of those that were tried."""
    note: str


def choose_lambda(try_at: Callable[[float], LambdaTried], budget: float, ladder: Sequence[float] = LADDER) -> Choice:
    """Search the ladder for the smallest lambda that loses at most the budget.

    The order of the tries follows from their results alone, so a search that was interrupted goes on when `try_at` remembers
    what it found.

    Args:
        try_at: trains with a lambda and says what was lost.
        budget: the share of the earlier answers' probability that may be lost, above 0 and below 1.
        ladder: rising lambdas; at most log2(rungs + 1) of them, rounded up, are tried.

    Raises:
        ValueError: the ladder is empty or does not rise.
        TrainingDiverged: the training diverged at every lambda that was tried.
    """
    if not ladder or list(ladder) != sorted(set(ladder)):
        raise ValueError(f"a ladder of lambdas must rise, found {tuple(ladder)}")
    tried: list[LambdaTried] = []
    best: LambdaTried | None = None
    diverged: TrainingDiverged | None = None
    low, high = 0, len(ladder)
    while low < high:
        middle = (low + high) // 2
        try:
            found = try_at(ladder[middle])
        except TrainingDiverged as error:
            # A penalty can be too stiff for the learning rate; a stiffer one would be no better.
            diverged, high = error, middle
            continue
        tried.append(found)
        if found.lost <= budget:
            best, high = found, middle
        else:
            low = middle + 1
    if not tried and diverged is not None:
        raise diverged
    chosen = best or min(tried, key=_least)
    return Choice(chosen, tuple(tried), best is not None, _note(chosen, budget, best is not None, tried))


def lost_share(before: Sequence[float], after: Sequence[float]) -> float:
    """The share of the answers' probability that is lost: 1 - mean(exp(-after)) / mean(exp(-before)); below 0 if gained.

    Args:
        before: mean nats per token of each row, of all earlier datasets.
        after: the same rows, in the same order.

    Raises:
        ValueError: the lengths differ, or there are no rows.
    """
    if not before or len(before) != len(after):
        raise ValueError(f"what is lost needs the same rows before and after, found {len(before)} and {len(after)}")
    known = math.fsum(math.exp(-nats) for nats in before)
    # Where nothing was known nothing can be lost.
    return 1 - math.fsum(math.exp(-nats) for nats in after) / known if known > 0 else 0.0


def _least(one: LambdaTried) -> tuple[float, float]:
    return (one.lost if math.isfinite(one.lost) else math.inf, one.lambda_ewc)


def _note(chosen: LambdaTried, budget: float, held: bool, tried: Sequence[LambdaTried]) -> str:
    if not held:
        lambdas = ", ".join(f"{one.lambda_ewc:g}" for one in sorted(tried, key=lambda one: one.lambda_ewc))
        return (
            f"none of the lambdas {lambdas} kept what is lost within {budget:.2%}; the one that lost least was taken: "
            f"{chosen.lambda_ewc:g}, {chosen.lost:.2%} lost. Replay more, or allow more to be lost"
        )
    if chosen.lambda_ewc == 0:
        return f"nothing needs to be held: {chosen.lost:.2%} lost at lambda 0, {budget:.2%} allowed"
    return f"lambda {chosen.lambda_ewc:g} is the smallest that kept the budget: {chosen.lost:.2%} lost, {budget:.2%} allowed"
