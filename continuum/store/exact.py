"""Rows as the database holds them, to the byte: what a proof is made of and held against.

A row that was altered need not be readable as a record any more, and a record may read the same after a byte of its row changed
(a time with another separator, a truth value of 3, a number in another notation). So nothing is parsed here: texts, JSON and
times are taken as the bytes they are stored as. The same row gives the same on SQLite and on Postgres.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    cast,
    select,
    type_coerce,
)
from sqlalchemy.exc import SQLAlchemyError

from continuum.errors import StoreError
from continuum.store.rows import in_batches
from continuum.store.tables import UtcDateTime

T = TypeVar("T")

WRITTEN_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", re.ASCII)
"""A time as SQLAlchemy writes it to SQLite."""


def exact_rows(connection: Connection, table: Table, column: Column[Any], values: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of a table in which a column has one of these values, in the order of the primary key.

    Empty columns are left out, so that a column which the table gets later, and which may be empty, leaves rows that were there
    as they are.
    """
    chosen = [exact(one, connection.dialect.name) for one in table.c]
    found: list[dict[str, Any]] = []
    for batch in in_batches(values):
        query = select(*chosen).where(column.in_(batch)).order_by(*table.primary_key)
        found += [plain(row, table.c) for row in connection.execute(query)]
    return found


def exact(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    """An expression for what a column holds that no type of ours reads, under the column's name."""
    if dialect != "sqlite":
        return (cast(column, Text) if isinstance(column.type, JSON) else column).label(column.name)
    if isinstance(column.type, JSON | Text | UtcDateTime):
        # As a blob: bytes that are no UTF-8 any more would end the whole query.
        return cast(column, LargeBinary).label(column.name)
    return (type_coerce(column, Integer) if isinstance(column.type, Boolean) else column).label(column.name)


def plain(row: Sequence[Any], columns: Iterable[Column[Any]]) -> dict[str, Any]:
    """A row that was selected by `exact` columns, as JSON can hold it; without its empty columns."""
    held = {column.name: _held(value, column) for column, value in zip(columns, row, strict=True)}
    return {name: value for name, value in held.items() if value is not None}


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spare space, and nothing but ASCII; equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest_of(value: Any) -> str:
    """The sha256 of the canonical JSON, in hex."""
    return sha256(canonical(value)).hexdigest()


def legible(read: Callable[[], T], what: str) -> T:
    """Read a record whose row somebody may have altered.

    Raises:
        StoreError: the row cannot be read; the message names it and quotes nothing of it.
    """
    try:
        return read()
    except (ValueError, SQLAlchemyError) as error:
        raise StoreError(f"{what} cannot be read from the store ({type(error).__name__}); restore it from a backup") from error


def _held(value: Any, column: Column[Any]) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex() if isinstance(column.type, LargeBinary) else _text(bytes(value), column)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    # Whatever else SQLite holds where a truth value belongs stays what it is.
    return bool(value) if isinstance(column.type, Boolean) and value in (0, 1) else value


def _text(held: bytes, column: Column[Any]) -> str:
    text = held.decode("utf-8", "surrogateescape")
    if isinstance(column.type, UtcDateTime) and WRITTEN_TIME.fullmatch(text):
        return text.replace(" ", "T") + "+00:00"
    return text
