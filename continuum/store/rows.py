"""Records to rows and back; each class of the store stands on these few functions."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import Connection, Engine, Row, Table
from sqlalchemy.dialects import postgresql, sqlite

R = TypeVar("R", bound=BaseModel)
T = TypeVar("T")

BATCH_ROWS = 500
"""Rows of one INSERT, and ids of one IN: below the parameter limits of both databases."""


def to_row(record: BaseModel) -> dict[str, Any]:
    """A record as column values: plain JSON, but times stay times."""
    row = record.model_dump(mode="json")
    return {name: value if isinstance(value := getattr(record, name), datetime) else row[name] for name in row}


def arriving(records: Iterable[BaseModel], at: datetime) -> list[dict[str, Any]]:
    """Records as rows of a table that notes when each reached the store."""
    return [{**to_row(record), "arrived_at": at} for record in records]


def from_row(model: type[R], row: Row[Any]) -> R:
    """The record that a row holds; columns that are the store's own are left out."""
    values = row._mapping
    return model.model_validate({name: values[name] for name in model.model_fields if name in values})


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows whose keys are not there yet; the count of those that were new."""
    if not rows:
        return 0
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # RETURNING lets SQLAlchemy send many rows in one statement that it compiles once; what comes back are the new ones.
    statement = dialect.insert(table).on_conflict_do_nothing().returning(*table.primary_key)
    return len(connection.execute(statement, rows).all())


def inserting(table: Table) -> dict[str, Any]:
    """An INSERT for each kind of database, to make statements of that are made once: making one costs more than running it."""
    return {"postgresql": postgresql.insert(table), "sqlite": sqlite.insert(table)}


def in_batches(items: Iterable[T], size: int = BATCH_ROWS) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class Rows:
    """Base of the store's classes: one engine, one table or a few."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def insert_all(self, table: Table, records: Iterable[BaseModel]) -> int:
        """Insert records in batches, each its own transaction; those already there are left as they are."""
        new = 0
        for batch in in_batches(records, BATCH_ROWS // 4):
            with self.engine.begin() as connection:
                new += insert_new(connection, table, [to_row(record) for record in batch])
        return new
