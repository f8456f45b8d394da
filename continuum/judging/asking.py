"""Asking a judge about many answers: so many at a time, each outcome told as it comes, and an end to what has no hope."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from continuum.errors import ContinuumError, JudgeError
from continuum.judging.cached import UnderWayElsewhere
from continuum.judging.judge import Judge, Judgement, held_open, must_be_priced
from continuum.judging.missing import judge_broke
from continuum.models.budget import Budget, BudgetExhausted
from continuum.records import Message
from continuum.rubric import Criterion

K = TypeVar("K")

HOPELESS_ROUNDS = 2
"""When this many judgements for each slot have failed and none has succeeded, the rest is not tried."""


async def judge_each(
    cases: Iterable[tuple[K, Sequence[Message], Message]],
    criteria: Sequence[Criterion],
    judge: Judge,
    *,
    on_outcome: Callable[[K, Judgement | JudgeError], Awaitable[None] | None],
    concurrency: int = 8,
    budget: Budget | None = None,
    ask: Callable[[K, Sequence[Message], Message], Awaitable[Judgement]] | None = None,
) -> None:
    """Ask for a judgement of each case, and tell each outcome as soon as it is there.

    A failed judgement is an outcome and the rest goes on. Once the budget turns a call away no further case is taken up. A case
    that another process is asking about is neither a failure nor a success.

    Args:
        cases: a key, a conversation and the answer to judge; taken up one by one, as there is room.
        criteria: what to judge by.
        judge: whom to ask.
        on_outcome: gets the key and the judgement, or the error in its place; what it returns is awaited.
        concurrency: judgements under way at once. Where the budget itself bounds the calls, some more are prepared meanwhile, so
            that the next call goes out as soon as one comes back.
        budget: what pays for them.
        ask: how the judge is asked about a case, where that takes more than the plain question.

    Raises:
        ConfigurationError: the judge cannot be asked at all, raises what no judge raises, or has no price and the budget a limit;
            outcomes before it have been told.
        StoreError: the store failed under a judge that uses it.
        JudgeError: not one judgement succeeded, and nobody else is asking about any.
    """
    if budget is not None and budget.limited:
        must_be_priced(judge)
    waiting = iter(cases)
    succeeded = 0
    elsewhere = 0
    failures: list[JudgeError] = []
    refused: ContinuumError | None = None

    async def take_up() -> None:
        nonlocal succeeded, elsewhere, refused
        for key, conversation, response in waiting:
            try:
                if ask is not None:
                    outcome = await ask(key, conversation, response)
                else:
                    outcome = await judge.judge(conversation, response, criteria, budget=budget)
                succeeded += 1
            except JudgeError as error:
                outcome = error
                if isinstance(error, UnderWayElsewhere):
                    elsewhere += 1
                elif not isinstance(error, BudgetExhausted):
                    failures.append(error)
            except ContinuumError as error:
                refused = error
                return
            except Exception as error:  # noqa: BLE001 - a judge may be anybody's code; it ends the batch as an error of ours
                refused = judge_broke(judge, error, conversation, response)
                refused.__cause__ = error
                return
            try:
                if (told := on_outcome(key, outcome)) is not None:
                    await told
            except ContinuumError as error:
                refused = error
            hopeless = not succeeded and len(failures) >= HOPELESS_ROUNDS * concurrency
            if refused or hopeless or (budget is not None and budget.exhausted):
                return

    async with held_open(judge), asyncio.TaskGroup() as group:
        ahead = concurrency // 2 + 2 if budget is not None and budget.calls is not None else 0
        for _ in range(concurrency + ahead):
            group.create_task(take_up())
    if refused:
        raise refused
    if failures and not succeeded and not elsewhere:
        raise failures[0]
