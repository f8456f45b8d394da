"""One transaction that writes, and what an error in it means: a row that cannot be, a writer in the way, or a failure."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import StatementError

from continuum.errors import StoreError
from continuum.store.outages import is_away

T = TypeVar("T")

ATTEMPTS = 8
"""How often a transaction is begun anew after Postgres stopped it in favour of another."""


def in_one_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Do the work in one transaction that holds the right to write from its beginning; again if another was in the way.

    Raises:
        StoreError: the database failed. Its own error goes no further, for it may quote what was being stored.
    """
    for attempt in range(ATTEMPTS):
        try:
            with engine.execution_options(write_first=True).begin() as connection:
                return work(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            found = error
        except StatementError as error:
            found = error.orig or error
        if _stopped_for_another(found) and attempt + 1 < ATTEMPTS:
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
            continue
        told = f"the store cannot be written: {_told(found)}; nothing of the batch is stored, it may be sent again"
        raise StoreError(told).may_pass(is_away(found))
    raise AssertionError("unreachable: the last attempt returns or raises")


def refuses(error: Exception) -> bool:
    """Whether an error says that a value cannot be stored, rather than that storing failed."""
    cause = (error.orig or error) if isinstance(error, StatementError) else error
    if isinstance(cause, ValueError | TypeError | OverflowError):
        return True
    code = getattr(cause, "pgcode", None)
    if code is not None:
        # Class 22 is bad data, 23 a broken constraint, 54 a limit such as the longest value an index takes.
        return code[:2] in {"22", "23", "54"}
    kinds = {kind.__name__ for kind in type(cause).__mro__}
    unbindable = bool(kinds & {"ProgrammingError", "InterfaceError"}) and any(
        words in str(cause) for words in ("binding parameter", "can't adapt")
    )
    return unbindable or bool(kinds & {"DataError", "IntegrityError"})


def _stopped_for_another(error: BaseException) -> bool:
    # 40P01 is a deadlock, 40001 a failed serialisation: nothing was written, and the same again will do.
    return getattr(error, "pgcode", None) in {"40P01", "40001"}


def _told(error: BaseException) -> str:
    """What may be shown of a database's error: errors about data quote the data, and only their kind is named."""
    code = getattr(error, "pgcode", None)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if not kinds & {"OperationalError", "ProgrammingError"} or refuses(error if isinstance(error, Exception) else Exception()):
        return f"{type(error).__name__}{f' ({code})' if code else ''}"
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return first
