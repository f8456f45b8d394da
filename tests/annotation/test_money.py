"""Whether a task's money is in order, on real accounts and real dead processes."""

from datetime import timedelta

import pytest

from continuum.annotation.money import Money
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.store.accounts import AccountKey
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.builders import NOON
from tests.store.test_workers import a_worker, the_dead

KEY = AccountKey("support", "annotation", "2026-03-01")


def policy(budget_usd: float | None = 1.0) -> TaskPolicy:
    return TaskPolicy(task="support", judge=JudgePolicy(budget_usd=budget_usd))


def money_of(store: Store, budget_usd: float | None = 1.0) -> Money:
    return Money.of(store, policy(budget_usd), now=lambda: NOON)


def spend(store: Store, micro_usd: int, key: AccountKey = KEY) -> None:
    worker = store.workers.here()
    assert store.accounts.reserve(key, worker, micro_usd)
    store.accounts.settle(key, worker, reserved_micro_usd=micro_usd, spent_micro_usd=micro_usd)


def test_a_task_that_spent_nothing_is_in_order(store: Store) -> None:
    assert money_of(store).kept
    assert money_of(store).words() == "$0.0000 are spent or reserved in the period from 2026-03-01, the budget is $1.00"
    assert "no budget is set" in money_of(store, None).words()


@pytest.mark.parametrize(("micro_usd", "kept"), [(499_999, True), (500_000, True), (500_001, False)])
def test_annotation_may_spend_its_half_and_no_more(micro_usd: int, kept: bool, store: Store) -> None:
    spend(store, micro_usd)
    assert money_of(store).kept is kept
    assert money_of(store, None).kept
    assert ("annotation has taken $0.5000 of its $0.5000" in money_of(store).words()) is not kept


def test_what_is_reserved_counts_and_another_period_and_another_task_do_not(store: Store) -> None:
    spend(store, 900_000, AccountKey("support", "annotation", "2026-02-01"))
    spend(store, 900_000, AccountKey("sales", "annotation", "2026-03-01"))
    assert money_of(store).kept
    assert store.accounts.reserve(KEY, store.workers.here(), 600_000)
    assert [row.purpose for row in money_of(store).beyond] == ["annotation"]


def test_what_dead_processes_hold_is_told_and_settled_by_nobody_who_looks(store: Store) -> None:
    held = [store.accounts.reserve(KEY, name, 1_000) for name in the_dead(store)]
    store.accounts.reserve(KEY, a_worker(store, "here"), 500)
    store.accounts.reserve(KEY, "batch:b1", 700)
    found = Money.of(store, policy(), now=utc_now)
    assert found.dead_usd == pytest.approx(len(held) * 0.001)
    assert not found.kept
    assert "dead processes hold $0.0030 reserved" in found.words()
    store.workers.settle_dead()
    assert Money.of(store, policy(), now=utc_now).kept


def test_a_process_that_was_seen_lately_elsewhere_is_not_dead_yet(store: Store) -> None:
    name = a_worker(store, "elsewhere", host="elsewhere", seen_at=utc_now())
    store.accounts.reserve(KEY, name, 1_000)
    assert store.workers.held_by_dead("support") == 0
    assert store.workers.held_by_dead("support", now=lambda: utc_now() + timedelta(minutes=5)) == 1_000
