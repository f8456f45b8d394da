"""A task's money: an account for each purpose and period, and whose the reserved part is.

Each reservation is one conditional UPDATE, so that any number of processes share an account and none goes beyond its limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from continuum.store.judging_tables import accounts, reservations
from continuum.store.rows import Rows, insert_new

EARLIER = "earlier"
"""The period of what was spent before periods were kept."""


@dataclass(frozen=True)
class AccountKey:
    """One account: whose money, for what, and when."""

    task: str
    purpose: str
    period: str


@dataclass(frozen=True)
class Balance:
    """What an account, or several together, hold; whole micro-dollars."""

    spent_micro_usd: int
    reserved_micro_usd: int
    unknown_micro_usd: int = 0
    """Of what is spent: booked in full for calls whose outcome nobody knows."""


class Accounts(Rows):
    """The accounts of all tasks."""

    def reserve(self, key: AccountKey, worker: str, micro_usd: int, *, limit_micro_usd: int | None = None) -> bool:
        """Set money aside for a call about to be made; False when the limit on the account leaves too little."""
        with self.engine.begin() as connection:
            row = {"task": key.task, "purpose": key.purpose, "period": key.period}
            insert_new(connection, accounts, [row | {"spent_micro_usd": 0, "reserved_micro_usd": 0, "unknown_micro_usd": 0}])
            spend = accounts.c.spent_micro_usd + accounts.c.reserved_micro_usd + micro_usd
            reserved = (
                update(accounts).where(*is_account(key)).values(reserved_micro_usd=accounts.c.reserved_micro_usd + micro_usd)
            )
            if limit_micro_usd is not None:
                reserved = reserved.where(spend <= limit_micro_usd)
            if connection.execute(reserved).rowcount != 1:
                return False
            insert_new(connection, reservations, [row | {"worker": worker, "micro_usd": 0}])
            mine = update(reservations).where(reservations.c.worker == worker, *is_reserved_for(key))
            connection.execute(mine.values(micro_usd=reservations.c.micro_usd + micro_usd))
        return True

    def settle(
        self,
        key: AccountKey,
        worker: str,
        *,
        reserved_micro_usd: int,
        spent_micro_usd: int,
        unknown_micro_usd: int = 0,
        together_with: Callable[[Connection], None] | None = None,
    ) -> None:
        """Turn a reservation into what the calls cost; in the same transaction write what they brought, if anything."""
        with self.engine.begin() as connection:
            settle(connection, key, worker, reserved_micro_usd, spent_micro_usd, unknown_micro_usd)
            if together_with is not None:
                together_with(connection)

    def balance(self, task: str, *, purpose: str | None = None, period: str | None = None) -> Balance:
        """What a task has spent and reserved, for one purpose or all, in one period or ever."""
        columns = (accounts.c.spent_micro_usd, accounts.c.reserved_micro_usd, accounts.c.unknown_micro_usd)
        query = select(*(func.coalesce(func.sum(column), 0) for column in columns)).where(accounts.c.task == task)
        if purpose is not None:
            query = query.where(accounts.c.purpose == purpose)
        if period is not None:
            query = query.where(accounts.c.period == period)
        with self.engine.connect() as connection:
            return Balance(*map(int, connection.execute(query).one()))


def settle(connection: Connection, key: AccountKey, worker: str, reserved: int, spent: int, unknown: int) -> None:
    """The same inside a transaction of the caller's."""
    settled = update(accounts).where(*is_account(key))
    connection.execute(
        settled.values(
            reserved_micro_usd=accounts.c.reserved_micro_usd - reserved,
            spent_micro_usd=accounts.c.spent_micro_usd + spent,
            unknown_micro_usd=accounts.c.unknown_micro_usd + unknown,
        )
    )
    mine = update(reservations).where(reservations.c.worker == worker, *is_reserved_for(key))
    connection.execute(mine.values(micro_usd=reservations.c.micro_usd - reserved))


def is_account(key: AccountKey) -> tuple:
    """Names one row of accounts."""
    return accounts.c.task == key.task, accounts.c.purpose == key.purpose, accounts.c.period == key.period


def is_reserved_for(key: AccountKey) -> tuple:
    """Names the reservations of an account."""
    return reservations.c.task == key.task, reservations.c.purpose == key.purpose, reservations.c.period == key.period
