"""Who spends and judges now, and who is dead.

A worker is a process, for as long as it lives. It holds reservations and claims; when it dies, whoever finds it dead books what
it held reserved as spent, for nobody knows what became of its calls, and gives its claims free.
"""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakSet, ref

from sqlalchemy import Connection, Engine, bindparam, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from continuum.ids import new_id
from continuum.store.accounts import BATCH, settle_all_of
from continuum.store.judging_tables import judgements, reservations, workers
from continuum.store.processes import began, ended, this_host
from continuum.store.rows import Rows, insert_new
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

BEAT_S = 20.0
FRESH = timedelta(seconds=30)
"""Whoever was seen so lately needs not be noted again: nobody takes it for dead before it is."""
DEAD_AFTER = timedelta(seconds=120)
"""A process that cannot be looked at, because it runs elsewhere, is dead when it was not seen for so long."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)
SEEN = update(workers).where(workers.c.id == bindparam("of_id")).values(seen_at=bindparam("at"))

_all: "WeakSet[Workers]" = WeakSet()


class Workers(Rows):
    """The processes that spend and judge; this one is among them once it has asked for its name."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._begin_anew()
        _all.add(self)

    def _begin_anew(self) -> None:
        self._row: dict[str, Any] | None = None
        self._seen_at = LONG_AGO
        self._lock = threading.Lock()
        self._resting = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def known(self) -> str | None:
        """This process's worker id; None before it has one."""
        return self._row["id"] if self._row else None

    def here(self, *, now: Callable[[], datetime] = utc_now) -> str:
        """This process's worker id. The first call writes it down and from then on a thread says that the process lives."""
        with self._lock:
            if self._row is None:
                pid = os.getpid()
                row = {"id": new_id(), "host": this_host(), "pid": pid, "began": began(pid) or ""}
                in_one_transaction(self.engine, partial(_write_down, row=row, at=now()))
                self._row = row
            if self._thread is None or self._resting.is_set() or not self._thread.is_alive():
                self._resting = threading.Event()
                arguments = (ref(self), self._resting)
                self._thread = threading.Thread(target=_beat, args=arguments, name="continuum-worker", daemon=True)
                self._thread.start()
            return self._row["id"]

    def see(self, connection: Connection, at: datetime) -> str:
        """Note in the caller's transaction that this process lives: who is about to hold something must not be taken for dead.

        Raises:
            RuntimeError: `here` was not called in this process.
        """
        if self._row is None:
            raise RuntimeError("this process is no worker yet; call here() before the transaction")
        if not timedelta(0) <= at - self._seen_at < FRESH:
            if connection.execute(SEEN, {"of_id": self._row["id"], "at": at}).rowcount == 0:
                _write_down(connection, row=self._row, at=at)  # It was taken for dead, after a long sleep perhaps.
            self._seen_at = at
        return self._row["id"]

    def heard_of(self, worker: str) -> datetime | None:
        """When a worker was last heard of; None of one that is not there, or was buried."""
        with self.engine.connect() as connection:
            return connection.execute(select(workers.c.seen_at).where(workers.c.id == worker)).scalar_one_or_none()

    def rest(self) -> None:
        """Let the thread end; `here` starts another."""
        self._resting.set()

    def settle_dead(self, *, now: Callable[[], datetime] = utc_now) -> int:
        """Book in full what dead workers held reserved, give their claims free and forget them; returns how many there were.

        Any number of processes may do it at once: each worker is settled by one of them, in one transaction.
        """
        with self.engine.connect() as connection:
            dead = self._dead(connection, now())
        return sum(in_one_transaction(self.engine, partial(_bury, row=row)) for row in dead)

    def held_by_dead(self, task: str, *, now: Callable[[], datetime] = utc_now) -> int:
        """Micro-dollars of a task that dead workers hold reserved; nothing is settled. What batches hold is not among it."""
        with self.engine.connect() as connection:
            living = {row.id for row in connection.execute(select(workers.c.id))}
            living -= {row.id for row in self._dead(connection, now())}
            held = connection.execute(select(reservations.c.worker, reservations.c.micro_usd).where(reservations.c.task == task))
            return sum(row.micro_usd for row in held if row.worker not in living and not row.worker.startswith(BATCH))

    def _dead(self, connection: Connection, at: datetime) -> list[Any]:
        host = this_host()
        rows = connection.execute(select(workers)).all()
        return [row for row in rows if row.id != self.known and is_dead(row, at, host)]


def is_dead(row: Any, at: datetime, host: str) -> bool:
    """Whether a worker's process is gone; of this host it is looked at, of another only when it was last seen counts."""
    if row.host == host and (told := ended(row.pid, row.began)) is not None:
        return told
    return at - row.seen_at > DEAD_AFTER


def _write_down(connection: Connection, *, row: dict[str, Any], at: datetime) -> None:
    insert_new(connection, workers, [row | {"seen_at": at}])


def _bury(connection: Connection, *, row: Any) -> bool:
    # Whoever deletes the row settles; one that was seen again meanwhile lives.
    ended = delete(workers).where(workers.c.id == row.id, workers.c.seen_at == row.seen_at)
    if connection.execute(ended).rowcount != 1:
        return False
    settle_all_of(connection, row.id)
    connection.execute(delete(judgements).where(judgements.c.worker == row.id, judgements.c.status.is_(None)))
    return True


def _beat(of: "ref[Workers]", resting: threading.Event) -> None:
    while not resting.wait(BEAT_S):
        found = of()
        if found is None or found.known is None:
            return
        try:
            with found.engine.begin() as connection:
                found.see(connection, utc_now())
        except SQLAlchemyError:
            pass  # The database is away for now, or for good; each booking says so louder, and says that we live as well.
        del found


def _begin_anew_in_child() -> None:
    # A child is another worker; its parent's thread did not come along.
    for one in list(_all):
        one._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
