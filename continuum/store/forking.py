"""What a fork does to open databases: a child inherits none.

A process that inherits an open SQLite database shares its parent's idea of which locks are held, and holds none of them: whoever
closes the database next takes itself for the last, deletes the log of what was written, and what the child commits from then on
is gone without an error (https://www.sqlite.org/howtocorrupt.html, 2.6). So the parent closes its idle connections before it
forks; both open new ones when they next need some.
"""

import os
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from sqlalchemy import Engine

engines: "WeakSet[Engine]" = WeakSet()
"""All of this process."""


def _close_idle_connections() -> None:
    for engine in list(engines):
        engine.dispose()


def _leave_to_parent() -> None:
    # What another thread was working with at that moment is the parent's.
    for engine in list(engines):
        engine.dispose(close=False)


# Hooks before a fork run last registered first: `spool`, which imports this, has its thread rest before connections are closed.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_idle_connections, after_in_child=_leave_to_parent)
