"""Having a database give up the bytes of rows that were deleted, as far as it can."""

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from continuum.store.traces import TRACES, Trace

WAIT_MS = 30_000


def compact(engine: Engine) -> str | None:
    """Rewrite the database without the rows that were deleted; None, or in words what kept it from being done.

    SQLite writes its file anew and empties its log; who reads meanwhile waits. Postgres cleans the tables while others work on
    them: what it may still hold, and where, is for the administrator, and `OUT_OF_REACH` says so.
    """
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if engine.dialect.name == "postgresql":
                for table in sorted(name for name, traces in TRACES.items() if traces.keys() - {Trace.NOTHING}):
                    connection.execute(text(f'VACUUM "{table}"'))
                return None
            cursor = connection.connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={WAIT_MS}")
            cursor.execute("VACUUM")
            busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.close()
    except SQLAlchemyError as error:
        return f"{type(error).__name__}: somebody else uses the database; forget again when it is quiet"
    return "its log is in use and was not emptied; forget again when it is quiet" if busy else None
