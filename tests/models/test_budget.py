import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.errors import ConfigurationError
from continuum.models.budget import Budget, BudgetExhausted, in_micro_usd
from continuum.policy import TaskPolicy
from continuum.store.accounts import Balance
from continuum.store.database import Store

call = st.tuples(st.integers(1, 50_000), st.floats(0, 1), st.sampled_from(["settle", "unknown", "release", "cancel", "fail"]))


@settings(max_examples=60)
@given(calls=st.lists(call, min_size=50, max_size=80), limit=st.integers(0, 500_000), seed=st.integers(0, 2**16))
def test_fifty_calls_at_once_never_overspend_whatever_becomes_of_them(
    calls: list[tuple[int, float, str]], limit: int, seed: int
) -> None:
    budget, rng, truly_spent = Budget(limit / 1e6), random.Random(seed), 0

    async def make(bound: int, share: float, fate: str) -> None:
        nonlocal truly_spent
        async with budget.reserve(bound / 1e6) as reservation:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            cost = int(bound * share)
            assert truly_spent + cost <= limit
            if fate == "release":
                return reservation.release()
            truly_spent += cost
            if fate == "settle":
                reservation.settle(cost / 1e6)
            elif fate == "cancel":
                raise asyncio.CancelledError
            elif fate == "fail":
                raise OSError("the line went dead")

    async def all_at_once() -> list[object]:
        return list(await asyncio.gather(*(make(*one) for one in calls), return_exceptions=True))

    outcomes = asyncio.run(all_at_once())

    assert truly_spent <= budget.spent <= limit
    assert budget.reserved == 0
    assert budget.exhausted == any(isinstance(outcome, BudgetExhausted) for outcome in outcomes)


async def test_a_call_that_may_fit_later_waits_for_the_others_to_settle() -> None:
    budget, order = Budget(1.0), []

    async def spend(name: str, bound: float, cost: float) -> None:
        async with budget.reserve(bound) as reservation:
            order.append(f"{name} starts")
            await asyncio.sleep(0.01)
            order.append(f"{name} ends")
            reservation.settle(cost)

    await asyncio.gather(spend("first", 0.8, 0.1), spend("second", 0.8, 0.1))

    assert order == ["first starts", "first ends", "second starts", "second ends"]
    assert budget.spent_usd == 0.2
    assert not budget.exhausted


async def test_a_call_that_will_never_fit_is_turned_away_at_once() -> None:
    budget = Budget(0.05)
    with pytest.raises(BudgetExhausted, match="may cost"):
        async with budget.reserve(0.06):
            pytest.fail("the call was made")
    assert budget.exhausted
    assert budget.spent == 0


async def test_an_unknown_outcome_counts_in_full() -> None:
    budget = Budget(1.0)
    with pytest.raises(TimeoutError):
        async with budget.reserve(0.3):
            raise TimeoutError
    assert budget.spent_usd == 0.3


async def test_a_waiter_that_is_cancelled_leaves_no_trace() -> None:
    budget = Budget(1.0)
    async with budget.reserve(0.9) as held:
        waiter = asyncio.create_task(budget.reserve(0.5).__aenter__())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        held.settle(0.4)
    assert (budget.spent, budget.reserved) == (400_000, 0)


async def test_the_task_s_account_never_shows_less_than_was_spent_and_is_right_at_the_end(store: Store) -> None:
    budget, under_way = Budget.of_task(store, TaskPolicy(task="support"), "annotation"), 0

    async def spend() -> None:
        nonlocal under_way
        async with budget.reserve(0.002) as reservation:
            under_way += 1
            await asyncio.sleep(0)
            account = store.accounts.balance("support")
            assert account.spent_micro_usd + account.reserved_micro_usd >= budget.spent + under_way * 2000
            under_way -= 1
            reservation.settle(0.0005)

    for _ in range(3):
        await asyncio.gather(*(spend() for _ in range(30)))

    assert store.accounts.balance("support") == Balance(spent_micro_usd=90 * 500, reserved_micro_usd=0)


def test_money_is_rounded_up_to_whole_micro_dollars() -> None:
    assert in_micro_usd(0.0000001) == 1
    assert in_micro_usd(0.1 + 0.2) == 300_000


@pytest.mark.parametrize("limit", [-0.01, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(ConfigurationError, match="no limit"):
        Budget(limit)
