"""COPY into Postgres by way of temporary tables, which live as long as the connection and are empty after each commit.

Copied twice in one transaction, they hold the first rows still: those are known by then and do not count again.
"""

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

from continuum.store.bodies import Body

BUFFER = 1 << 20
SPECIAL = frozenset("\\\t\n\r")


def copy_bodies(cursor: Any, bodies: Iterable[Body]) -> None:
    """Insert the bodies that are not there yet."""
    cursor.execute(
        "CREATE TEMP TABLE IF NOT EXISTS incoming_bodies (hash bytea, messages json, response json) "
        "WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS"
    )
    _copy(cursor, "COPY incoming_bodies FROM STDIN", bodies)
    # In one order for all writers: two that wait for each other's bodies would wait for ever.
    cursor.execute(
        "INSERT INTO bodies (hash, messages, response) SELECT hash, messages, response FROM incoming_bodies ORDER BY hash "
        "ON CONFLICT (hash) DO NOTHING"
    )


def copy_interactions(cursor: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> set[str]:
    """Insert the interactions that are not there yet, in their order; returns their ids.

    Args:
        cursor: of psycopg2.
        columns: names that this package wrote.
        rows: their values.
    """
    names = ", ".join(columns)
    like = f"SELECT CAST(0 AS integer) AS place, {names} FROM interactions WITH NO DATA"  # noqa: S608
    cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS incoming_interactions ON COMMIT DELETE ROWS AS {like}")
    _copy(cursor, "COPY incoming_interactions FROM STDIN", ((place, *row) for place, row in enumerate(rows)))
    cursor.execute(
        f"INSERT INTO interactions ({names}) SELECT {names} FROM incoming_interactions ORDER BY place "  # noqa: S608
        "ON CONFLICT (id) DO NOTHING RETURNING id"
    )
    return {row[0] for row in cursor.fetchall()}


def _copy(cursor: Any, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    lines = ["\t".join([_field(value) for value in row]) for row in rows]
    cursor.copy_expert(statement, BytesIO(("\n".join(lines) + "\n").encode()), BUFFER)


def _field(value: Any) -> str:
    """A value in the text form of COPY."""
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    text = value if isinstance(value, str) else str(value)
    if SPECIAL.isdisjoint(text):
        return text
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
