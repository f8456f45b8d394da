"""One account, spent from by many calls and processes: never beyond its limit, and nothing reserved is left behind."""

import asyncio
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from continuum.errors import StoreError
from continuum.models.account import Account
from continuum.models.budget import Budget, BudgetExhausted
from continuum.policy import BudgetShares, JudgePolicy, TaskPolicy
from continuum.store.accounts import AccountKey, Balance
from continuum.store.database import Store, open_store
from continuum.store.judging_tables import workers
from tests.builders import NOON

ALL_FOR_GUARD = BudgetShares(annotation=0, guard=1, second=0, watch=0, probes=0)


def policy(budget_usd: float | None, task: str = "support") -> TaskPolicy:
    return TaskPolicy(task=task, judge=JudgePolicy(budget_usd=budget_usd, shares=ALL_FOR_GUARD))


def budget_of(store: Store, budget_usd: float | None, **options: Any) -> Budget:
    return Budget.of_task(store, policy(budget_usd), "guard", now=lambda: NOON, **options)


def another(store: Store) -> Store:
    """The same database, as another process has it open."""
    return Store(store.engine)


async def spend(budget: Budget, bound_usd: float, cost_usd: float | None, pause_s: float = 0.0) -> None:
    async with budget.reserve(bound_usd) as reservation:
        await asyncio.sleep(pause_s)
        if cost_usd is None:
            raise OSError("the line went dead")
        reservation.settle(cost_usd)


async def test_a_purpose_has_its_share_and_the_message_says_what_to_raise(store: Store) -> None:
    judge = JudgePolicy(budget_usd=1.0, budget_period="week")
    budget = Budget.of_task(store, TaskPolicy(task="support", judge=judge), "second", now=lambda: NOON)
    await spend(budget, 0.1, 0.06)

    with pytest.raises(BudgetExhausted) as caught:
        await spend(budget, 0.05, 0.05)

    said = str(caught.value)
    assert "$0.0600 of $0.1000 are spent and the next call may cost $0.0500" in said
    assert "second has 0.1 of the $1 that task 'support' may spend in the week from 2026-02-23" in said
    assert "raise judge.budget_usd or judge.shares.second" in said
    assert budget.exhausted


async def test_a_call_waits_for_what_another_process_may_give_back(store: Store) -> None:
    ours, theirs = budget_of(store, 1.0), budget_of(another(store), 1.0)

    first = asyncio.create_task(spend(theirs, 0.9, 0.1, pause_s=0.2))
    await asyncio.sleep(0.1)
    await spend(ours, 0.9, 0.2)

    assert first.done()
    assert store.accounts.balance("support") == Balance(300_000, 0)
    assert not ours.exhausted


async def test_nobody_waits_for_the_dead(store: Store) -> None:
    with store.engine.begin() as connection:
        row = {"id": "dead", "host": "elsewhere", "pid": 1, "began": "", "seen_at": NOON}
        connection.execute(insert(workers).values(row))
    store.accounts.reserve(AccountKey("support", "guard", "2026-03-01"), "dead", 600_000)

    with pytest.raises(BudgetExhausted, match=r"\$0.6000 of \$1.0000"):
        await spend(budget_of(store, 1.0), 0.5, 0.1)

    assert store.accounts.balance("support") == Balance(600_000, 0, unknown_micro_usd=600_000)


async def test_nobody_waits_a_day_for_a_batch(store: Store) -> None:
    store.accounts.reserve(AccountKey("support", "guard", "2026-03-01"), "batch:b1", 600_000)

    with pytest.raises(BudgetExhausted, match=r"\$0.6000 are reserved for batches"):
        await spend(budget_of(store, 1.0), 0.5, 0.1)

    await spend(budget_of(store, 1.0), 0.4, 0.1)


async def test_the_patience_with_who_neither_spends_nor_gives_back_ends(store: Store) -> None:
    key = AccountKey("support", "guard", "2026-03-01")
    store.accounts.reserve(key, another(store).workers.here(), 900_000)
    account = Account(store, key, 1_000_000, terms="raise it", patience_s=0.1)

    with pytest.raises(BudgetExhausted, match=r"others have held \$0.9000 reserved"):
        await spend(Budget(account=account), 0.5, 0.1)


async def test_who_is_cancelled_while_waiting_leaves_no_trace_and_the_next_in_line_goes_on(store: Store) -> None:
    ours, theirs = budget_of(store, 1.0), budget_of(another(store), 1.0)
    async with theirs.reserve(0.9) as held:
        waiting = [asyncio.create_task(spend(ours, 0.5, 0.1)) for _ in range(3)]
        await asyncio.sleep(0.1)
        waiting[0].cancel()
        await asyncio.sleep(0.1)
        assert store.accounts.balance("support") == Balance(0, 900_000)
        held.settle(0.3)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, type(None), type(None)]
    assert store.accounts.balance("support") == Balance(500_000, 0)
    assert (ours.spent, ours.reserved) == (200_000, 0)


async def test_calls_that_are_cancelled_at_any_moment_leave_nothing_reserved(store: Store) -> None:
    budget, rng = budget_of(store, 0.05), random.Random(7)

    async def one() -> None:
        try:
            async with asyncio.timeout(rng.uniform(0, 0.05)):
                await spend(budget, 0.01, 0.002, pause_s=rng.uniform(0, 0.03))
        except (TimeoutError, BudgetExhausted):
            pass

    await asyncio.gather(*(one() for _ in range(60)))

    balance = store.accounts.balance("support")
    assert balance.reserved_micro_usd == 0
    assert balance.spent_micro_usd == budget.spent <= 50_000
    assert budget.reserved == 0


async def test_what_work_brings_is_written_with_what_it_cost(store: Store) -> None:
    budget, written = budget_of(store, 1.0), []

    def write(connection: Connection) -> None:
        written.append(connection.in_transaction())

    async with budget.together() as purse:
        await spend(purse, 0.3, 0.1)
        await spend(purse, 0.3, 0.05)
        assert store.accounts.balance("support") == Balance(0, 600_000)
        assert (budget.spent, purse.spent) == (150_000, 150_000)
        await purse.book(write)
        assert store.accounts.balance("support") == Balance(150_000, 0)

    assert written == [True]


async def test_work_that_fails_is_booked_without_what_it_brought(store: Store) -> None:
    budget = budget_of(store, 1.0)

    def broken(connection: Connection) -> None:
        connection.execute(update(workers).values(host=None))

    async def work(cost_usd: float | None) -> None:
        async with budget.together() as purse:
            await spend(purse, 0.3 if cost_usd else 0.2, cost_usd)
            await purse.book(broken)

    store.workers.here()
    with pytest.raises(StoreError):
        await work(0.1)
    with pytest.raises(OSError, match="dead"):
        await work(None)

    assert store.accounts.balance("support") == Balance(300_000, 0, unknown_micro_usd=200_000)


async def test_who_waits_for_money_never_waits_for_what_it_holds_itself(store: Store) -> None:
    budget = budget_of(store, 1.0)

    async def judge_twice() -> None:
        async with budget.together() as purse:
            await spend(purse, 0.6, 0.1)
            await spend(purse, 0.6, 0.1)

    async def a_jury() -> None:
        async with budget.together() as purse:
            await asyncio.gather(spend(purse, 0.4, 0.05, 0.02), spend(purse, 0.4, 0.05), spend(purse, 0.4, 0.05))

    async with asyncio.timeout(20):
        await asyncio.gather(judge_twice(), judge_twice(), a_jury(), return_exceptions=True)

    balance = store.accounts.balance("support")
    assert balance.reserved_micro_usd == 0
    assert 0 < balance.spent_micro_usd <= 1_000_000


async def test_a_limit_of_the_run_and_one_of_the_task_hold_both(store: Store) -> None:
    budget = budget_of(store, 1.0, limit_usd=0.25)
    for _ in range(2):
        await spend(budget, 0.1, 0.1)
    with pytest.raises(BudgetExhausted, match="cost_budget_usd"):
        await spend(budget, 0.1, 0.1)
    assert store.accounts.balance("support") == Balance(200_000, 0)


def spend_in_a_process(url: str, seed: int, calls: int, limit_usd: float) -> tuple[int, int]:
    """Many calls at once with every fate; what was truly charged, and what the process thinks it spent, in micro-dollars."""
    store, rng, charged = open_store(url), random.Random(seed), 0
    budget = budget_of(store, limit_usd)

    async def call() -> None:
        nonlocal charged
        bound = rng.randrange(2_000, 20_000)
        cost, fate = rng.randrange(bound), rng.random()
        async with asyncio.timeout(rng.uniform(0.01, 0.5) if fate < 0.1 else None):
            async with budget.together() as purse, purse.reserve(bound / 1e6) as reservation:
                await asyncio.sleep(rng.uniform(0, 0.02))
                if fate > 0.9:
                    return reservation.release()
                charged += cost
                if fate > 0.8:
                    raise OSError("the line went dead")
                reservation.settle(cost / 1e6)

    async def all_at_once() -> None:
        await asyncio.gather(*(call() for _ in range(calls)), return_exceptions=True)

    asyncio.run(all_at_once())
    store.close()
    return charged, budget.spent


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_processes_share_a_budget_to_the_last_cent_and_no_further(
    database: str, store: Store, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else str(store.engine.url)
    limit_usd = 0.3
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(spend_in_a_process, [url] * 4, range(4), [40] * 4, [limit_usd] * 4))
    shared = open_store(url)
    balance = shared.accounts.balance("support")
    shared.close()

    charged, booked = sum(truly for truly, _ in found), sum(thought for _, thought in found)
    assert charged <= balance.spent_micro_usd == booked <= 300_000
    assert balance.reserved_micro_usd == 0
    assert balance.spent_micro_usd > 300_000 - 20_000
