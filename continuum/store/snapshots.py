"""Immutable Parquet snapshots of a task's interactions, by the day they began.

A part is announced in the database, as stale, before its file is written, and is read only once it is declared fresh. A row
that changes marks its part in the same transaction, so what is declared is what the database held. Whoever is killed on the
way leaves a part that is read from the database and is written by the next run.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from continuum.config import load_settings
from continuum.ids import new_id
from continuum.store import parts
from continuum.store.frames import PAGE_ROWS, SCHEMA, frame_of
from continuum.store.merging import day_of
from continuum.store.reading import COLUMNS, Filter, paged, readable
from continuum.store.sources import PART, Part, parts_of
from continuum.store.tables import interactions, snapshots
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

PART_ROWS = 20_000
"""The most rows of a part: what a run holds in memory at once."""
SETTLE = timedelta(seconds=60)
"""A call that comes by two doors has come by both after this long, and its part is written once."""
LOCK_WAIT = "5s"


@dataclass(frozen=True)
class SnapshotReport:
    """What a run did."""

    written: int
    """Parts written for the first time, or anew because a row in them changed."""
    rows: int
    """Rows in those parts."""
    compacted: int
    """Parts that went into larger ones."""
    removed: int
    """Parts whose last row is gone."""


def write_snapshots(
    store: "Store", task: str, *, now: Callable[[], datetime] = utc_now, settle: timedelta = SETTLE
) -> SnapshotReport:
    """Write the parts that are missing or stale, and put the small parts of past days together.

    Running it again without new rows writes nothing.

    Args:
        store: whose interactions; the files go below the settings' `snapshots_url`.
        task: whose.
        now: the clock.
        settle: leave what arrived less than this ago to the next run.

    Raises:
        StoreError: the database failed, or others kept writing to it for longer than a run waits.
    """
    root = load_settings().snapshots_url
    parts.sweep(root, task)
    at = now()
    _delete_leftovers(store.engine, task, at - timedelta(seconds=parts.LEFTOVER_SECONDS))
    while in_one_transaction(store.engine, partial(_announce, task=task, root=root, at=at, settle=settle)):
        pass
    written, rows, removed = rewrite_stale(store, task)
    compacted = sum(_compact(store.engine, run, root, at) for run in _runs_to_compact(store.engine, task, day_of(at - settle)))
    return SnapshotReport(written, rows, compacted, removed)


def schema_of_newest(store: "Store", task: str) -> pl.Schema | None:
    """The columns of a task's newest part, as its file has them; None where there is none, or it is on another machine.

    Raises:
        StoreError: the database failed.
    """
    with store.engine.connect() as connection:
        fresh = [part for part in parts_of(connection, task) if not part.stale]
    try:
        return parts.scan([fresh[-1].uri]).collect_schema() if fresh else None
    except Exception as error:
        if not parts.is_missing(error):
            raise
        return None


def rewrite_stale(store: "Store", task: str) -> tuple[int, int, int]:
    """Write the stale parts of a task anew from the database; returns parts and rows written, and parts removed."""
    root = load_settings().snapshots_url
    with store.engine.connect() as connection:
        stale = [part for part in parts_of(connection, task) if part.stale]
    written = rows = removed = 0
    for part in stale:
        count = _write(store.engine, part, root)
        if count == 0:
            removed += 1
        elif count is not None:
            written, rows = written + 1, rows + count
    return written, rows, removed


def _announce(connection: Connection, *, task: str, root: str, at: datetime, settle: timedelta) -> int:
    """Note the parts that the next settled rows make, as stale; returns how many."""
    if connection.dialect.name == "postgresql":
        # Who has begun to write has finished when this is granted: no lower number comes later, and whoever changes a row
        # afterwards finds its part and marks it. The mode also keeps a second run from announcing the same rows.
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"))
        connection.execute(text("LOCK TABLE interactions IN SHARE ROW EXCLUSIVE MODE"))
    last = select(func.coalesce(func.max(snapshots.c.last_sequence), 0)).where(snapshots.c.task == task)
    query = (
        select(interactions.c.sequence, interactions.c.started_at, interactions.c.arrived_at)
        .where(interactions.c.task == task, interactions.c.sequence > last.scalar_subquery())
        .order_by(interactions.c.sequence)
        .limit(PART_ROWS)
    )
    days: dict[str, list[int]] = {}
    for row in connection.execute(query):
        # Of a clock that runs far ahead nothing can be said; its rows do not hold up the others.
        if at - settle < row.arrived_at <= at + settle:
            break
        days.setdefault(day_of(row.started_at), []).append(row.sequence)
    announced = [
        _row(task, day, numbers[0], numbers[-1], len(numbers), part_uri(root, task, day, numbers[0], numbers[-1], 0), at)
        for day, numbers in days.items()
    ]
    if announced:
        connection.execute(insert(snapshots), announced)
    return len(announced)


def part_uri(root: str, task: str, day: str, first: int, last: int, edition: int) -> str:
    """Where a part lies; an edition has a name of its own, so that nobody reads one and takes it for another."""
    suffix = f"-{edition}" if edition else ""
    return f"{root.rstrip('/')}/task={task}/day={day}/part-{first}-{last}{suffix}.parquet"


def _row(task: str, day: str, first: int, last: int, rows: int, uri: str, at: datetime) -> dict[str, object]:
    return {
        "id": new_id(),
        "task": task,
        "day": day,
        "first_sequence": first,
        "last_sequence": last,
        "rows": rows,
        "uri": uri,
        "stale": True,
        "changes": 0,
        "created_at": at,
    }


def _write(engine: Engine, part: Part, root: str) -> int | None:
    """Write a stale part and declare it fresh; the rows in it, None when it changed meanwhile, 0 when it is no more."""
    uri = part_uri(root, part.task, part.day, part.first_sequence, part.last_sequence, part.changes)
    if part.uri != uri:
        # What changed may have been erased: the old file goes before anything else, and the new name is noted before it is used.
        parts.remove(part.uri)
        if not _set(engine, part, uri=uri):
            return None
    frame = _rows_of(engine, part)
    if frame.is_empty():
        parts.remove(uri)
        with engine.begin() as connection:
            connection.execute(delete(snapshots).where(_unchanged(part)))
        return 0
    parts.put(uri, frame)
    if _set(engine, part, rows=frame.height, stale=False):
        return frame.height
    with engine.connect() as connection:
        now_there = connection.execute(select(*PART).where(snapshots.c.id == part.id)).first()
    # Another run may have written the same edition and declared it first: then this file is that one.
    if now_there is None or now_there.stale or now_there.uri != uri:
        parts.remove(uri)
    return None


def _unchanged(part: Part):
    return (snapshots.c.id == part.id) & (snapshots.c.changes == part.changes) & (snapshots.c.stale == part.stale)


def _set(engine: Engine, part: Part, **values: object) -> bool:
    """Change a part's row if the part is still what it was; False when it is not."""
    with engine.begin() as connection:
        return connection.execute(update(snapshots).where(_unchanged(part)).values(values)).rowcount == 1


def _rows_of(engine: Engine, part: Part) -> pl.DataFrame:
    query = part.span.in_database(Filter(part.task).in_database(readable()))
    frames = [frame_of(rows, COLUMNS) for rows in paged(engine, query, PAGE_ROWS)]
    return pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)


def _runs_to_compact(engine: Engine, task: str, today: str) -> Iterator[list[Part]]:
    """Neighbouring fresh parts of one past day that fit into one."""
    with engine.connect() as connection:
        found = parts_of(connection, task)
    days: dict[str, list[Part]] = {}
    for part in found:
        if part.day < today:
            days.setdefault(part.day, []).append(part)
    for of_day in days.values():
        run: list[Part] = []
        for part in of_day:
            if run and (part.stale or sum(one.rows for one in run) + part.rows > PART_ROWS):
                if len(run) > 1:
                    yield run
                run = []
            if not part.stale:
                run.append(part)
        if len(run) > 1:
            yield run


def _compact(engine: Engine, run: Sequence[Part], root: str, at: datetime) -> int:
    """Put parts into one; how many, or 0 when one of them changed meanwhile."""
    first, last = run[0], run[-1]
    uri = part_uri(root, first.task, first.day, first.first_sequence, last.last_sequence, 0)
    # For now a file to be deleted: if this run does not come to its end, a later one does that.
    whole = _row(first.task, "", 0, 0, 0, uri, at)
    with engine.begin() as connection:
        connection.execute(insert(snapshots).values(whole))
    span = Part("", first.task, first.day, first.first_sequence, last.last_sequence, 0, uri, False, 0)
    frame = _rows_of(engine, span)
    parts.put(uri, frame)
    fresh = {"day": first.day, "first_sequence": first.first_sequence, "last_sequence": last.last_sequence}
    retired = {"day": "", "first_sequence": 0, "last_sequence": 0, "rows": 0, "stale": True, "created_at": at}
    with engine.execution_options(write_first=True).begin() as connection:
        swapped = [connection.execute(update(snapshots).where(_unchanged(part)).values(retired)).rowcount for part in run]
        mine = update(snapshots).where(snapshots.c.id == whole["id"], snapshots.c.day == "")
        done = all(swapped) and connection.execute(mine.values(**fresh, rows=frame.height, stale=False)).rowcount == 1
        if not done:
            connection.rollback()
    for part_id, its_uri in [(part.id, part.uri) for part in run] if done else [(whole["id"], uri)]:
        parts.remove(its_uri)
        with engine.begin() as connection:
            connection.execute(delete(snapshots).where(snapshots.c.id == part_id, snapshots.c.day == ""))
    return len(run) if done else 0


def _delete_leftovers(engine: Engine, task: str, before: datetime) -> None:
    """Delete the files that a compaction left when it was killed."""
    left = (snapshots.c.task == task) & (snapshots.c.day == "") & (snapshots.c.created_at < before)
    with engine.connect() as connection:
        found = connection.execute(select(snapshots.c.id, snapshots.c.uri).where(left)).all()
    for row in found:
        parts.remove(row.uri)
        with engine.begin() as connection:
            connection.execute(delete(snapshots).where(snapshots.c.id == row.id, left))
