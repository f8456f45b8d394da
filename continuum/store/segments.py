"""How far each segment of the spool was drained, and the one transaction that drains some more.

What is written and how far that is are one commit: whoever is killed, and whenever, each record is stored exactly once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.records import Feedback, Interaction
from continuum.store.loading import load, load_feedback
from continuum.store.rows import Rows
from continuum.store.tables import segments
from continuum.store.tasks import ensure_tasks


@dataclass(frozen=True)
class Drained:
    """What became of a piece of a segment."""

    interactions: int
    """How many were new."""
    feedback: int
    """How many were new."""
    refused: tuple[str, ...]
    """Ids of the interactions and feedback that the database would not take, or that were erased before; they are not stored,
    and all others are."""


class Segments(Rows):
    """Offsets by segment; `Store.drain` moves them, in the transaction that writes what was drained."""

    def offset(self, name: str) -> int:
        """Where draining goes on; 0 where nothing of the segment was drained."""
        with self.engine.connect() as connection:
            return connection.execute(select(segments.c.offset).where(segments.c.name == name)).scalar() or 0

    def names(self) -> list[str]:
        """The segments that were drained, in part or whole, and not forgotten; sorted."""
        with self.engine.connect() as connection:
            return list(connection.execute(select(segments.c.name).order_by(segments.c.name)).scalars())

    def forget(self, name: str) -> None:
        """Drop the row of a segment whose file is gone."""
        with self.engine.begin() as connection:
            connection.execute(delete(segments).where(segments.c.name == name))


def drain(
    connection: Connection,
    interactions: Sequence[Interaction],
    feedback: Sequence[Feedback],
    *,
    segment: str | None,
    seen: int,
    offset: int,
    at: datetime,
) -> Drained | None:
    """Write a piece of a segment and move its offset; None, and nothing is written, where somebody else moved it."""
    # First of all, so that of two drainers at one segment the later waits here and holds nothing the other needs.
    if segment is not None and not _moved(connection, segment, seen, offset, at):
        return None
    unnamed = set()
    for task in {interaction.task for interaction in interactions}:
        try:
            checked_task_name(task)
        except ConfigurationError:
            unnamed.add(task)
    stored = [interaction for interaction in interactions if interaction.task not in unnamed] if unnamed else interactions
    refused = [interaction.id for interaction in interactions if interaction.task in unnamed] if unnamed else []
    ensure_tasks(connection, {interaction.task for interaction in stored}, at)
    loaded = load(connection, stored, arrived_at=at)
    said = load_feedback(connection, feedback, arrived_at=at)
    return Drained(loaded.new, said.new, (*refused, *loaded.refused, *loaded.erased, *said.refused, *said.erased))


def _moved(connection: Connection, segment: str, seen: int, offset: int, at: datetime) -> bool:
    """Move the offset from `seen`, which of an unknown segment is 0; False where it is another by now."""
    change = {"offset": offset, "updated_at": at}
    if seen:
        there = (segments.c.name == segment) & (segments.c.offset == seen)
        return connection.execute(update(segments).where(there).values(change)).rowcount == 1
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    begun = dialect.insert(segments).values(name=segment, **change)
    begun = begun.on_conflict_do_update(index_elements=["name"], set_=change, where=segments.c.offset == 0)
    return connection.execute(begun).rowcount == 1
