"""Many interactions into the store at once, by the quickest way each database has.

SQLite runs one prepared INSERT; Postgres copies into a temporary table and inserts from there, because COPY itself cannot
leave out what is there already. Both write the bodies first, leave known ids as they are, and merge what came by two doors.
A row that the database will not take is found by halving the batch, and costs nobody else anything.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import orjson
from sqlalchemy import Connection

from continuum.records import Feedback, Interaction
from continuum.store import copying
from continuum.store.bodies import Body, body_of
from continuum.store.merging import merge
from continuum.store.refusing import without_erased
from continuum.store.rows import arriving, insert_new, to_row
from continuum.store.tables import feedback, interactions
from continuum.store.writing import refuses

T = TypeVar("T")

PLAIN = tuple(
    column.name for column in interactions.c if column.name not in {"sequence", "started_at", "tags", "body", "arrived_at"}
)
"""Columns that hold what the record holds, as it is."""
COLUMNS = (*PLAIN, "started_at", "tags", "body", "arrived_at")
plain_values = itemgetter(*PLAIN)

PUT_BODY = "INSERT INTO bodies (hash, messages, response) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING"
PUT_INTERACTION = (
    f"INSERT INTO interactions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT (id) DO NOTHING"  # noqa: S608
)


@dataclass
class Loaded:
    """What became of a batch."""

    new: int = 0
    refused: list[str] = field(default_factory=list)
    """Ids of what the database would not take; nothing of them is stored."""
    erased: list[str] = field(default_factory=list)
    """Ids of what was erased before, or is of a user who was: nothing of them is stored again."""


class Incoming(NamedTuple):
    """An interaction on its way in, with its body and the values of `COLUMNS`."""

    record: Interaction
    body: Body
    values: tuple[Any, ...]


def load(connection: Connection, records: Sequence[Interaction], *, arrived_at: datetime) -> Loaded:
    """Insert interactions that are not there yet, in their order, and merge those that came by another door before.

    Args:
        connection: in a transaction that holds the right to write.
        records: what to store.
        arrived_at: the time that is noted for all of them.

    Raises:
        StoreError: the database failed, whatever the rows hold.
    """
    loaded = Loaded()
    incoming = []
    postgres = connection.dialect.name == "postgresql"
    zone = "+00" if postgres else ""
    arrival = written_time(arrived_at, zone)
    records, loaded.erased = without_erased(connection, records)
    for record in records:
        try:
            incoming.append(_incoming(record, arrival, zone))
        except (TypeError, ValueError):
            loaded.refused.append(record.id)
    insert = _insert_by_copy if postgres else _insert
    known: list[Incoming] = []
    for part in _taken(connection, incoming, lambda some: insert(connection, some), loaded.refused):
        known.extend(part)
    loaded.new = len(records) - len(loaded.refused) - len(known)
    rows = [{**to_row(one.record), "body": one.body.hash} for one in known]
    for foreign in _taken(connection, rows, lambda some: merge(connection, some), loaded.refused):
        loaded.refused.extend(foreign)
    return loaded


def load_feedback(connection: Connection, records: Sequence[Feedback], *, arrived_at: datetime) -> Loaded:
    """Insert feedback that is not there yet; a repeated id or idempotency key is left as it is."""
    loaded = Loaded()
    records, loaded.erased = without_erased(connection, records)
    rows = arriving(records, arrived_at)
    loaded.new = sum(_taken(connection, rows, lambda some: insert_new(connection, feedback, some), loaded.refused))
    return loaded


def written_time(moment: datetime, zone: str) -> str:
    """A time as SQLAlchemy writes and reads it: UTC, which Postgres is told and SQLite is not."""
    return moment.astimezone(UTC).isoformat(" ", "microseconds")[:26] + zone


def _incoming(record: Interaction, arrival: str, zone: str) -> Incoming:
    body = body_of(record)
    tags = orjson.dumps(record.tags).decode() if record.tags else "{}"
    values = (*plain_values(record.__dict__), written_time(record.started_at, zone), tags, body.hash, arrival)
    return Incoming(record, body, values)


def _insert(connection: Connection, incoming: Sequence[Incoming]) -> list[Incoming]:
    """Insert on SQLite; returns those whose id was known, or stands in the batch before."""
    cursor: Any = connection.connection.cursor()
    last = cursor.execute("SELECT coalesce(max(sequence), 0) FROM interactions").fetchone()[0]
    cursor.executemany(PUT_BODY, [one.body for one in incoming])
    cursor.executemany(PUT_INTERACTION, [one.values for one in incoming])
    if cursor.rowcount == len(incoming):
        return []
    by_id = "SELECT id FROM interactions WHERE id = ? AND sequence <= ?"
    before = {one.record.id for one in incoming if cursor.execute(by_id, (one.record.id, last)).fetchone()}
    return _not_first(incoming, before)


def _insert_by_copy(connection: Connection, incoming: Sequence[Incoming]) -> list[Incoming]:
    """Insert on Postgres; returns those whose id was known, or stands in the batch before."""
    cursor: Any = connection.connection.cursor()
    copying.copy_bodies(cursor, [one.body for one in incoming])
    new = copying.copy_interactions(cursor, COLUMNS, [one.values for one in incoming])
    if len(new) == len(incoming):
        return []
    return _not_first(incoming, {one.record.id for one in incoming} - new)


def _not_first(incoming: Sequence[Incoming], before: set[str]) -> list[Incoming]:
    """All of an id that was stored before, and of one that comes twice all but the first, which was inserted."""
    seen = set(before)
    repeated = []
    for one in incoming:
        if one.record.id in seen:
            repeated.append(one)
        seen.add(one.record.id)
    return repeated


def _taken(connection: Connection, rows: list[Any], write: Callable[[list[Any]], T], refused: list[str]) -> list[T]:
    """Write the rows, in a savepoint; where the database refuses, each half of them, down to the one that it will not take."""
    if not rows:
        return []
    point: Any = connection.connection.cursor()
    point.execute("SAVEPOINT batch")
    try:
        done = write(rows)
    except Exception as error:
        if not refuses(error):
            raise
        point.execute("ROLLBACK TO SAVEPOINT batch")
    else:
        return [done]
    finally:
        # A transaction that failed as a whole has no savepoint left, and its own error says more.
        with suppress(Exception):
            point.execute("RELEASE SAVEPOINT batch")
    if len(rows) == 1:
        refused.append(rows[0].record.id if isinstance(rows[0], Incoming) else rows[0]["id"])
        return []
    half = len(rows) // 2
    return [
        *_taken(connection, rows[:half], write, refused),
        *_taken(connection, rows[half:], write, refused),
    ]
