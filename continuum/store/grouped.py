"""Small writes of many calls, grouped: what is asked for while one transaction runs shares the next.

One thread of a process does them, so that its calls never wait for each other's locks, and a call costs the database a share of
a transaction. All of a group is committed or none; where one of them fails, each is done by itself.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine

from continuum.store.writing import in_one_transaction

T = TypeVar("T")
Work = Callable[[Connection], T]
Order = tuple[int, str]
"""Where in a group a piece of work is done. Claims come first and by key, then accounts by name, then annotations: with one order
for all processes, none holds a row that another waits for while it waits for one of the other's."""

CLAIM, BOOKING, ANNOTATION = 0, 1, 2

_all: "WeakSet[GroupedWrites]" = WeakSet()


@dataclass
class Piece:
    """A piece of work that waits to be done."""

    order: Order
    work: Work[Any]
    future: Future[Any] = field(default_factory=Future)


class GroupedWrites:
    """The writes of one process to one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._begin_anew()
        _all.add(self)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Piece] = []
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="continuum-writes")

    def submit(self, work: Work[T], *, order: Order = (BOOKING, "")) -> "Future[T]":
        """Have the work done in a transaction; it may be done again when another transaction was in the way of the first.

        Args:
            work: writes with the connection it is given, and nothing else.
            order: its place among the others of its group.
        """
        piece = Piece(order, work)
        with self._lock:
            self._waiting.append(piece)
            if not self._busy:
                self._busy = True
                self._thread.submit(self._drain)
        return piece.future

    async def write(
        self, work: Work[T], *, order: Order = (BOOKING, ""), undo: Callable[[T], Work[Any] | None] | None = None
    ) -> T:
        """The same, awaited to its end: who is cancelled meanwhile gets the cancellation when it is written.

        Args:
            work: writes with the connection it is given, and nothing else.
            order: its place among the others of its group.
            undo: what is written after it where the caller was cancelled meanwhile; from the work's result.

        Raises:
            StoreError: the database failed; nothing of this work is written.
        """
        future = self.submit(work, order=order)
        cancelled = await _ended(future)
        if cancelled is None:
            return future.result()
        if undo is not None and future.exception() is None and (undoing := undo(future.result())) is not None:
            await _ended(self.submit(undoing, order=order))
        raise cancelled

    def _drain(self) -> None:
        while True:
            with self._lock:
                pieces, self._waiting = self._waiting, []
                if not pieces:
                    self._busy = False
                    return
            self._do(sorted(pieces, key=lambda piece: piece.order))

    def _do(self, pieces: list[Piece]) -> None:
        try:
            results = in_one_transaction(self.engine, lambda connection: [piece.work(connection) for piece in pieces])
        except Exception as error:  # noqa: BLE001 - whoever waits for the work gets it
            if len(pieces) == 1:
                pieces[0].future.set_exception(error)
                return
            for piece in pieces:
                self._do([piece])
            return
        for piece, result in zip(pieces, results, strict=True):
            piece.future.set_result(result)


async def _ended(future: Future[Any]) -> asyncio.CancelledError | None:
    """Wait until the work is done or has failed; the cancellation that came meanwhile."""
    waiter, cancelled = asyncio.wrap_future(future), None
    while not waiter.done():
        try:
            await asyncio.wait([waiter])  # Which leaves the waiter alone when it is cancelled itself.
        except asyncio.CancelledError as error:
            cancelled = error
    waiter.exception()  # The future tells it; here it only counts as seen.
    return cancelled


def _begin_anew_in_child() -> None:
    # The parent's thread did not come along, and what waits for it is the parent's.
    for one in list(_all):
        one._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
