"""Claims: who holds a row, until when, and what is free though somebody's name stands there.

A claim ends by itself. That of a process of this host which has ended, killed perhaps, is not waited for.
"""

import os
import re
from datetime import datetime
from typing import TYPE_CHECKING

from continuum.ids import new_id
from continuum.store.processes import began, ended, this_host

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

NAMED = re.compile(r"process (?P<pid>\d+) of (?P<host>[^,]+), since (?P<began>[^,]*), .+")
"""How a process names itself as a holder; a person is shown what stands before the first comma."""
FREE: dict[str, None] = {"claimed_by": None, "claimed_until": None}
"""What stands in the row of a claim that was given back."""


def holder_name() -> str:
    """Names this process as the holder of something, each time anew: two holders of one process are two."""
    pid = os.getpid()
    return f"process {pid} of {this_host()}, since {began(pid) or ''}, {new_id()}"


def is_gone(holder: str | None) -> bool:
    """Whether a holder is a process of this host that has ended; False of any other, for of those nothing can be seen."""
    named = NAMED.fullmatch(holder or "")
    return named is not None and named["host"] == this_host() and ended(int(named["pid"]), named["began"]) is True


def holder_of(claimed_by: str | None, claimed_until: datetime | None, at: datetime) -> str | None:
    """Who holds a claim, in words; None when nobody does."""
    if claimed_by is None or claimed_until is None or claimed_until < at or is_gone(claimed_by):
        return None
    return claimed_by.partition(",")[0]


def unheld(table: "Table", found: str | None, at: datetime) -> "ColumnElement[bool]":
    """The condition that nobody holds a row, for the statement that takes it.

    Args:
        table: has the columns `claimed_by` and `claimed_until`.
        found: whose name stood there a moment ago. Of many that find its process gone one has the row, for its own name stands
            there then.
        at: the moment.
    """
    unclaimed = table.c.claimed_by.is_(None) | (table.c.claimed_until < at)
    return unclaimed | (table.c.claimed_by == found) if is_gone(found) else unclaimed
