"""A task's money: an account for each purpose and period, and whose the reserved part is.

Each reservation is one conditional UPDATE, so that any number of processes share an account and none goes beyond its limit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, select, update

from continuum.store.judging_tables import accounts, reservations
from continuum.store.rows import Rows, insert_new, inserting
from continuum.store.writing import in_one_transaction

BATCH = "batch:"
"""Begins the name under which a provider's batch holds its reservation. It is no process and cannot die."""


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
    batched_micro_usd: int = 0
    """Of what is reserved: by batches, which settle within a day and not within minutes."""


class Accounts(Rows):
    """The accounts of all tasks."""

    def reserve(self, key: AccountKey, worker: str, micro_usd: int, *, limit_micro_usd: int | None = None) -> bool:
        """Set money aside for a call about to be made; False when the limit on the account leaves too little.

        Args:
            key: the account.
            worker: who holds it: a worker's id, or `batch:` and the id of a batch.
            micro_usd: how much.
            limit_micro_usd: what the account's spent and reserved money may come to; None for no limit.

        Raises:
            StoreError: the database failed, and nothing is reserved.
        """
        taken = partial(reserve, key=key, worker=worker, micro_usd=micro_usd, limit_micro_usd=limit_micro_usd)
        return in_one_transaction(self.engine, taken) is None

    def settle(
        self,
        key: AccountKey,
        worker: str,
        *,
        reserved_micro_usd: int,
        spent_micro_usd: int,
        unknown_micro_usd: int = 0,
        together_with: Callable[[Connection], None] | None = None,
    ) -> bool:
        """Turn a reservation into what the calls cost; in the same transaction write what they brought, if anything.

        Returns:
            False when the worker no longer holds so much: it was taken for dead and all of it is booked as spent already. What
            the calls brought is written all the same.

        Raises:
            StoreError: the database failed, and nothing is settled.
        """

        def work(connection: Connection) -> bool:
            settled = settle(connection, key, worker, reserved_micro_usd, spent_micro_usd, unknown_micro_usd)
            if together_with is not None:
                together_with(connection)
            return settled

        return in_one_transaction(self.engine, work)

    def balance(self, task: str, *, purpose: str | None = None, period: str | None = None) -> Balance:
        """What a task has spent and reserved, for one purpose or all, in one period or ever."""
        chosen, held = [accounts.c.task == task], [reservations.c.task == task, reservations.c.worker.startswith(BATCH)]
        if purpose is not None:
            chosen.append(accounts.c.purpose == purpose)
            held.append(reservations.c.purpose == purpose)
        if period is not None:
            chosen.append(accounts.c.period == period)
            held.append(reservations.c.period == period)
        columns = (accounts.c.spent_micro_usd, accounts.c.reserved_micro_usd, accounts.c.unknown_micro_usd)
        query = select(*(func.coalesce(func.sum(column), 0) for column in columns)).where(*chosen)
        batched = select(func.coalesce(func.sum(reservations.c.micro_usd), 0)).where(*held)
        with self.engine.connect() as connection:
            spent, reserved, unknown = map(int, connection.execute(query).one())
            return Balance(spent, reserved, unknown, int(connection.execute(batched).scalar_one()))


def reserve(connection: Connection, key: AccountKey, worker: str, micro_usd: int, limit_micro_usd: int | None) -> Balance | None:
    """The same inside a transaction of the caller's; where the limit leaves too little, what there is, and nothing is written."""
    row = {"task": key.task, "purpose": key.purpose, "period": key.period}
    values = _of(key) | {"amount": micro_usd, "most": NO_LIMIT if limit_micro_usd is None else limit_micro_usd}
    if connection.execute(TAKEN, values).rowcount != 1:
        empty = {"spent_micro_usd": 0, "reserved_micro_usd": 0, "unknown_micro_usd": 0}
        if not insert_new(connection, accounts, [row | empty]) or connection.execute(TAKEN, values).rowcount != 1:
            return standing(connection, key)
    connection.execute(HELD[connection.dialect.name], row | {"worker": worker, "micro_usd": micro_usd})
    return None


def settle(connection: Connection, key: AccountKey, worker: str, reserved: int, spent: int, unknown: int) -> bool:
    """The same inside a transaction of the caller's."""
    if connection.execute(GIVEN_BACK, _of(key) | {"of_worker": worker, "amount": reserved}).rowcount != 1:
        return False
    _book(connection, key, reserved, spent, unknown)
    return True


def settle_all_of(connection: Connection, worker: str) -> None:
    """Book in full whatever a worker holds reserved, and delete its reservations."""
    ended = delete(reservations).where(reservations.c.worker == worker).returning(*reservations.c)
    for row in connection.execute(ended).all():
        _book(connection, AccountKey(row.task, row.purpose, row.period), *[row.micro_usd] * 3)


def standing(connection: Connection, key: AccountKey) -> Balance:
    """What one account holds."""
    row = connection.execute(STANDING, _of(key)).first()
    return Balance(*map(int, row)) if row else Balance(0, 0)


def _book(connection: Connection, key: AccountKey, reserved: int, spent: int, unknown: int) -> None:
    connection.execute(BOOKED, _of(key) | {"amount": reserved, "cost": spent, "blind": unknown})


def _of(key: AccountKey) -> dict[str, str]:
    return {"of_task": key.task, "of_purpose": key.purpose, "of_period": key.period}


# Statements that every call needs are made once.
NO_LIMIT = 2**62
IS_ACCOUNT = tuple(accounts.c[name] == bindparam(f"of_{name}") for name in ("task", "purpose", "period"))
IS_RESERVED_FOR = tuple(reservations.c[name] == bindparam(f"of_{name}") for name in ("task", "purpose", "period"))
AMOUNT = bindparam("amount", type_=BigInteger)
COMMITTED = accounts.c.spent_micro_usd + accounts.c.reserved_micro_usd
TAKEN = (
    update(accounts)
    .where(*IS_ACCOUNT, bindparam("most", type_=BigInteger) >= COMMITTED + AMOUNT)
    .values(reserved_micro_usd=accounts.c.reserved_micro_usd + AMOUNT)
)
HELD = {
    name: insert.on_conflict_do_update(
        index_elements=list(reservations.primary_key),
        set_={"micro_usd": reservations.c.micro_usd + insert.excluded.micro_usd},
    )
    for name, insert in inserting(reservations).items()
}
GIVEN_BACK = (
    update(reservations)
    .where(*IS_RESERVED_FOR, reservations.c.worker == bindparam("of_worker"), reservations.c.micro_usd >= AMOUNT)
    .values(micro_usd=reservations.c.micro_usd - AMOUNT)
)
BOOKED = (
    update(accounts)
    .where(*IS_ACCOUNT)
    .values(
        reserved_micro_usd=accounts.c.reserved_micro_usd - AMOUNT,
        spent_micro_usd=accounts.c.spent_micro_usd + bindparam("cost", type_=BigInteger),
        unknown_micro_usd=accounts.c.unknown_micro_usd + bindparam("blind", type_=BigInteger),
    )
)
STANDING = select(
    accounts.c.spent_micro_usd,
    accounts.c.reserved_micro_usd,
    accounts.c.unknown_micro_usd,
    select(func.coalesce(func.sum(reservations.c.micro_usd), 0))
    .where(*IS_RESERVED_FOR, reservations.c.worker.startswith(BATCH))
    .scalar_subquery(),
).where(*IS_ACCOUNT)
