"""Interactions as they are read: one row with what was said in it, from the database or from a snapshot.

A snapshot holds the same columns as text and numbers, so that a record is made of either in the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Column, ColumnElement, Engine, Select, Text, cast, func, select

from continuum.records import Interaction, Message
from continuum.store.tables import bodies, interactions

FIELDS = tuple(Interaction.model_fields)
MESSAGES = TypeAdapter(tuple[Message, ...])
MESSAGE = TypeAdapter(Message)
PLAIN = {"role", "content"}
SAID: dict[str, ColumnElement[Any]] = {
    "messages": cast(bodies.c.messages, Text).label("messages"),
    "response": func.nullif(cast(bodies.c.response, Text), "null").label("response"),
    "tags": cast(interactions.c.tags, Text).label("tags"),
}
"""What is JSON, as the text it is stored as."""
COLUMNS = ("sequence", *FIELDS, "arrived_at")
"""Columns of a frame and of a snapshot."""
PAGE_ROWS = 500
LONGEST_SHARED = 2000
"""Characters of a message that is made once for all contexts in which it is read."""


@dataclass(frozen=True)
class Filter:
    """Which of a task's interactions are asked for."""

    task: str
    since: datetime | None = None
    until: datetime | None = None
    status: str | None = None
    deployment_id: str | None = None

    def in_database(self, query: Select) -> Select:
        """The query, narrowed."""
        query = query.where(interactions.c.task == self.task)
        if self.since is not None:
            query = query.where(interactions.c.started_at >= self.since)
        if self.until is not None:
            query = query.where(interactions.c.started_at < self.until)
        if self.status is not None:
            query = query.where(interactions.c.status == self.status)
        if self.deployment_id is not None:
            query = query.where(interactions.c.deployment_id == self.deployment_id)
        return query

    def reaches(self, day: str) -> bool:
        """Whether anything of a day can be meant."""
        begin = day_begins(day)
        return (self.since is None or begin + timedelta(days=1) > self.since) and (self.until is None or begin < self.until)


@dataclass(frozen=True)
class Span:
    """Rows by sequence number, both ends included, and by the day they began on where one is given."""

    first: int
    last: int | None = None
    day: str | None = None

    def in_database(self, query: Select) -> Select:
        """The query, narrowed."""
        query = query.where(interactions.c.sequence >= self.first)
        if self.last is not None:
            query = query.where(interactions.c.sequence <= self.last)
        if self.day is not None:
            begin = day_begins(self.day)
            query = query.where(interactions.c.started_at >= begin, interactions.c.started_at < begin + timedelta(days=1))
        return query


def day_begins(day: str) -> datetime:
    """Midnight UTC."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def readable(columns: Sequence[str] = COLUMNS) -> Select:
    """Interactions with what was said in them, the JSON as text; `record_of` makes records of the rows."""
    chosen: list[ColumnElement[Any] | Column[Any]] = [SAID[name] if name in SAID else interactions.c[name] for name in columns]
    query = select(*chosen).select_from(interactions)
    if "messages" in columns or "response" in columns:
        query = query.join(bodies, bodies.c.hash == interactions.c.body)
    return query


def record_of(row: Mapping[Any, Any]) -> Interaction:
    """The record that a row holds."""
    values = {name: row[name] for name in FIELDS}
    values["messages"] = _messages(values["messages"])
    if values["response"] is not None:
        values["response"] = MESSAGE.validate_json(values["response"])
    values["tags"] = orjson.loads(values["tags"]) if values["tags"] != "{}" else {}
    return Interaction.model_validate(values)


def _messages(text: str) -> tuple[Message, ...]:
    """The messages that a JSON text holds. Plain ones are shared: the contexts of a dialogue hold the same ones over and over."""
    made: list[Message] = []
    try:
        values = orjson.loads(text)
    except ValueError:
        values = [None]
    for value in values:
        # Anything else than words may hold numbers that only the full parser reads as they were written.
        if not (isinstance(value, dict) and value.keys() == PLAIN and isinstance(value["content"], str)):
            return MESSAGES.validate_json(text)
        role, content = value["role"], value["content"]
        made.append(_shared(role, content) if len(content) <= LONGEST_SHARED else Message(role=role, content=content))
    return tuple(made)


@lru_cache(maxsize=20_000)
def _shared(role: str, content: str) -> Message:
    return Message(role=role, content=content)


def paged(engine: Engine, query: Select, size: int = PAGE_ROWS, after: int = 0) -> Iterator[Sequence[Any]]:
    """The rows of a query in pages by sequence number, so that no transaction stays open while the caller works."""
    while True:
        page = query.where(interactions.c.sequence > after).order_by(interactions.c.sequence).limit(size)
        with engine.connect() as connection:
            rows = connection.execute(page).all()
        if rows:
            yield rows
        if len(rows) < size:
            return
        after = rows[-1].sequence
