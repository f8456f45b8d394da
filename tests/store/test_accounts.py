"""A task's money: never beyond the limit, whoever spends, and what is reserved is always somebody's."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from continuum.store.accounts import AccountKey, Balance
from continuum.store.database import Store
from continuum.store.judging_tables import accounts, reservations

KEY = AccountKey("support", "annotation", "2026-03-01")
LIMIT = 1000

step = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from(["a", "b", "batch:1"]), st.integers(1, 600)),
    st.tuples(st.just("settle"), st.integers(0, 30), st.floats(0, 1)),
    st.tuples(st.just("unknown"), st.integers(0, 30), st.just(1.0)),
    st.tuples(st.just("again"), st.integers(0, 30), st.floats(0, 1)),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, max_size=25))
def test_an_account_is_never_overdrawn_and_its_reservations_sum_to_what_it_holds(store: Store, steps: list[tuple]) -> None:
    with store.engine.begin() as connection:
        connection.execute(delete(accounts))
        connection.execute(delete(reservations))
    held: list[tuple[str, int]] = []
    settled: list[tuple[str, int]] = []

    def settle(worker: str, amount: int, cost: int, unknown: int = 0) -> bool:
        return store.accounts.settle(KEY, worker, reserved_micro_usd=amount, spent_micro_usd=cost, unknown_micro_usd=unknown)

    for kind, chosen, size in steps:
        if kind == "reserve":
            before = store.accounts.balance("support")
            fits = before.spent_micro_usd + before.reserved_micro_usd + size <= LIMIT
            assert store.accounts.reserve(KEY, chosen, size, limit_micro_usd=LIMIT) == fits
            held += [(chosen, size)] if fits else []
        elif kind == "again" and settled:
            worker, amount = settled[chosen % len(settled)]
            if sum(size for name, size in held if name == worker) < amount:
                assert not settle(worker, amount, int(amount * size))
        elif kind in {"settle", "unknown"} and held:
            worker, amount = one = held.pop(chosen % len(held))
            assert settle(worker, amount, int(amount * size), amount if kind == "unknown" else 0)
            settled.append(one)
        balance = store.accounts.balance("support", purpose="annotation", period=KEY.period)
        assert balance.spent_micro_usd + balance.reserved_micro_usd <= LIMIT
        assert balance.reserved_micro_usd == sum(size for _, size in held)
        assert balance.batched_micro_usd == sum(size for name, size in held if name == "batch:1")
        assert balance.unknown_micro_usd <= balance.spent_micro_usd
        with store.engine.connect() as connection:
            assert connection.execute(select(func.coalesce(func.sum(reservations.c.micro_usd), 0))).scalar() == sum(
                size for _, size in held
            )

    for worker, amount in held:
        settle(worker, amount, 0)
    assert store.accounts.balance("support").reserved_micro_usd == 0


def test_many_who_reserve_at_once_get_what_there_is_and_no_more(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: store.accounts.reserve(KEY, f"w{n}", 30, limit_micro_usd=LIMIT), range(60)))

    assert sum(got) == LIMIT // 30
    assert store.accounts.balance("support") == Balance(0, 990)


def test_accounts_are_told_apart_by_task_purpose_and_period(store: Store) -> None:
    other = AccountKey("support", "guard", "2026-03-01")
    for key, amount in ((KEY, 5), (other, 7), (AccountKey("sales", "annotation", "2026-03-01"), 11)):
        store.accounts.reserve(key, "w", amount)
        store.accounts.settle(key, "w", reserved_micro_usd=amount, spent_micro_usd=amount)

    spent = [
        store.accounts.balance("support").spent_micro_usd,
        store.accounts.balance("support", purpose="guard").spent_micro_usd,
        store.accounts.balance("support", period="2026-04-01").spent_micro_usd,
        store.accounts.balance("sales").spent_micro_usd,
    ]

    assert spent == [12, 7, 0, 11]


def test_what_calls_brought_is_written_with_what_they_cost_or_not_at_all(store: Store) -> None:
    store.accounts.reserve(KEY, "w", 100)

    def broken(_: object) -> None:
        raise ValueError("not to be written")

    with pytest.raises(ValueError, match="not to be written"):
        store.accounts.settle(KEY, "w", reserved_micro_usd=100, spent_micro_usd=40, together_with=broken)

    assert store.accounts.balance("support") == Balance(0, 100)
