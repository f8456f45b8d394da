"""Whether an error of a database says that it is away, or too busy, for a moment."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from continuum.errors import StoreError

logger = logging.getLogger("continuum")

PASSING = ("08", "40", "53", "57")
"""Classes of Postgres errors that pass by themselves: no connection, a conflict, too few resources, somebody stopped it."""
FULL = "53100"
"""No room on the disk. It stays until somebody makes some."""
SQLITE_BUSY = ("database is locked", "database table is locked", "database is busy")


def is_away(error: BaseException | None) -> bool:
    """Whether the database, rather than what was asked of it, was the cause, and may be there again when asked once more.

    Args:
        error: SQLAlchemy's or a driver's own, or one that was raised because of it.
    """
    return any(_says_so(cause) for cause in causes(error))


@contextmanager
def unless_away(left: str) -> Iterator[None]:
    """Leave undone what the block does where the database is away, and say so; every other error is raised.

    Args:
        left: what is left undone, and what comes of that.
    """
    try:
        yield
    except StoreError as error:
        # The store's own says for itself whether it may pass: what the database said of it went no further.
        if not (error.passing or is_away(error)):
            raise
        logger.warning("%s; %s", error, left)
    except Exception as error:
        if not is_away(error):
            raise
        logger.warning("the store is away: %s", left)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised because of, the newest first; a driver's error beside SQLAlchemy's too."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(driver := getattr(error, "orig", None), BaseException) and driver is not error.__cause__:
            yield driver
        error = error.__cause__


def _says_so(error: BaseException) -> bool:
    if getattr(error, "connection_invalidated", False):
        return True
    kinds = {kind.__name__ for kind in type(error).__mro__}
    module = type(error).__module__
    if module == "sqlite3":
        return any(words in str(error) for words in SQLITE_BUSY)
    if not module.startswith("psycopg"):
        return False
    code = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if code:
        return code[:2] in PASSING and code != FULL
    # Without a code nobody answered: the connection was refused, or broke.
    return bool(kinds & {"OperationalError", "InterfaceError"})
