"""Deleting interactions: those older than a task keeps them, and those that somebody asks to be deleted.

With an interaction go its annotations, its feedback, what was said in it where nobody else said the same, what judging keeps of
it, and its place in the snapshots; a proof that names it finds a tombstone. Each batch is a transaction of its own, so that a run
that was stopped goes on where it was.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select

from continuum.store.bodies import delete_unused, keep_bodies_still
from continuum.store.forgetting import forget_interactions
from continuum.store.merging import mark_places
from continuum.store.rows import BATCH_ROWS, in_batches
from continuum.store.snapshots import rewrite_stale
from continuum.store.tables import annotations, dataset_items, feedback, interactions, sides
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

PLACE = (
    interactions.c.id,
    interactions.c.provider_response_id,
    interactions.c.body,
    interactions.c.task,
    interactions.c.started_at,
    interactions.c.sequence,
)


@dataclass(frozen=True)
class RetentionReport:
    """What a run did."""

    deleted: int
    """Interactions that were older than the task keeps them."""
    kept: int
    """Interactions as old that stay, because a dataset version holds them and must go on saying where it came from."""
    parts_rewritten: int
    parts_removed: int


def apply_retention(store: "Store", task: str, *, now: Callable[[], datetime] = utc_now) -> RetentionReport:
    """Delete a task's interactions that began longer ago than its policy keeps them; none where it keeps them all.

    Args:
        store: where they are.
        task: whose.
        now: the clock.

    Raises:
        ConfigurationError: there is no such task.
        StoreError: the database failed; what was deleted before stays deleted, and another run goes on.
    """
    keep_days = store.tasks.get(task).policy.capture.retention_days
    deleted = kept = 0
    if keep_days is not None:
        expired = and_(interactions.c.task == task, interactions.c.started_at < now() - timedelta(days=keep_days))
        member = select(dataset_items.c.interaction_id).where(dataset_items.c.interaction_id == interactions.c.id).exists()
        while count := in_one_transaction(store.engine, partial(_erase_where, condition=expired & ~member, now=now)):
            deleted += count
        with store.engine.connect() as connection:
            kept = connection.execute(select(func.count()).select_from(interactions).where(expired)).scalar_one()
    written, _, removed = rewrite_stale(store, task)
    return RetentionReport(deleted, kept, written, removed)


def erase(store: "Store", ids: Iterable[str], *, now: Callable[[], datetime] = utc_now) -> int:
    """Delete interactions, members of datasets too; returns how many there were.

    Snapshots that held them are no longer read, and `rewrite_stale` writes them without. The files of golden datasets and of
    trainings that were not finished follow when the task is gathered next.
    """
    found = 0
    for batch in in_batches(ids):
        condition = interactions.c.id.in_(batch)
        found += in_one_transaction(store.engine, partial(_erase_where, condition=condition, now=now))
    return found


def _erase_where(connection: Connection, *, condition: ColumnElement[bool], now: Callable[[], datetime]) -> int:
    """Delete the first so many interactions that meet a condition; how many there were."""
    keep_bodies_still(connection)
    rows = connection.execute(select(*PLACE).where(condition).order_by(interactions.c.sequence).limit(BATCH_ROWS)).all()
    if rows:
        _erase(connection, rows, now())
    return len(rows)


def _erase(connection: Connection, rows: Sequence[Any], at: datetime) -> None:
    ids = [row.id for row in rows]
    provided = [row.provider_response_id for row in rows if row.provider_response_id]
    connection.execute(delete(interactions).where(interactions.c.id.in_(ids)))
    connection.execute(delete(annotations).where(annotations.c.interaction_id.in_(ids)))
    connection.execute(delete(sides).where(sides.c.interaction_id.in_(ids)))
    said_of = or_(feedback.c.interaction_id.in_(ids), feedback.c.interaction_id.in_(provided))
    connection.execute(delete(feedback).where(said_of))
    forget_interactions(connection, set(ids), {row.task for row in rows}, {row.body for row in rows}, at)
    delete_unused(connection, {row.body for row in rows})
    mark_places(connection, [(row.task, row.started_at, row.sequence) for row in rows])
