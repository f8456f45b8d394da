"""One call that came by two doors, the decorator and the gateway: one row, the same whichever came first.

What the decorator saw stands, and what only the gateway knows is filled in. A row that a proof commits to stays as it is.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from continuum.store.commitments import committed_ids
from continuum.store.rows import in_batches
from continuum.store.tables import interactions, snapshots

COMPLETED = (
    "deployment_id",
    "variant",
    "provider_response_id",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
    "time_to_first_chunk_ms",
    "conversation_id",
    "user_id",
    "parent_id",
    "model",
)
"""What one door may know and the other not."""
DOORS = {"capture", "gateway"}
SEEN = ("body", "status", "error", "latency_ms", "tags", "source", "redaction", "fingerprint", "near_repeat_of")
"""What the decorator saw better: it knows the whole call, of which the gateway served a part."""


def merge(connection: Connection, rows: list[dict[str, Any]]) -> list[str]:
    """Bring what these rows know into the rows of the same ids; snapshots of those that change are no longer read.

    Returns:
        The ids that stand for a row of another task: nothing of them is taken, or whoever may ask for one task could change what
        another one holds.
    """
    rows, foreign = _of_their_tasks(connection, [row for row in rows if row["source"] in DOORS])
    theirs = {name: bindparam(f"new_{name}", type_=interactions.c[name].type) for name in (*COMPLETED, *SEEN)}
    same = interactions.c.id == bindparam("new_id")
    fill = (
        update(interactions).where(same).values({name: func.coalesce(interactions.c[name], theirs[name]) for name in COMPLETED})
    )
    seen = {name: theirs[name] for name in SEEN}
    known = {name: func.coalesce(theirs[name], interactions.c[name]) for name in COMPLETED}
    replace = update(interactions).where(same, interactions.c.source == "gateway").values(seen | known)
    # Locked first: who commits to one of these rows has done so before it is asked which they are, or waits for what they become.
    before = _contents(connection, [row["id"] for row in rows])
    proven = committed_ids(connection, before)
    values = [{f"new_{name}": row[name] for name in ("id", *COMPLETED, *SEEN)} for row in rows if row["id"] not in proven]
    captured = [value for value in values if value["new_source"] == "capture"]
    if captured:
        connection.execute(replace, captured)
    if values:
        connection.execute(fill, values)
    after = _contents(connection, [value["new_id"] for value in values])
    mark_changed(connection, [interaction_id for interaction_id in after if after[interaction_id] != before[interaction_id]])
    return foreign


def _of_their_tasks(connection: Connection, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows whose task is that of the stored one, and the ids of the others."""
    tasks: dict[str, str] = {}
    for batch in in_batches({row["id"] for row in rows}):
        query = select(interactions.c.id, interactions.c.task).where(interactions.c.id.in_(batch))
        tasks |= {row.id: row.task for row in connection.execute(query)}
    ours = [row for row in rows if tasks.get(row["id"], row["task"]) == row["task"]]
    return ours, [row["id"] for row in rows if tasks.get(row["id"], row["task"]) != row["task"]]


def mark_changed(connection: Connection, ids: Iterable[str]) -> None:
    """Mark the snapshots that hold these interactions: they are read from the database until they are written anew.

    It belongs after the change and into its transaction: whoever writes snapshots waits for those who have begun to change.
    """
    for batch in in_batches(ids):
        query = select(interactions.c.task, interactions.c.started_at, interactions.c.sequence).where(
            interactions.c.id.in_(batch)
        )
        mark_places(connection, [(row.task, row.started_at, row.sequence) for row in connection.execute(query)])


def mark_places(connection: Connection, places: Iterable[tuple[str, datetime, int]]) -> None:
    """Mark the snapshots that hold these places: task, beginning and sequence number of interactions that changed or are gone."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for task, started_at, sequence in places:
        numbers.setdefault((task, day_of(started_at)), []).append(sequence)
    holding: set[str] = set()
    for (task, day), changed in numbers.items():
        found = connection.execute(
            select(snapshots.c.id, snapshots.c.first_sequence, snapshots.c.last_sequence)
            .where(snapshots.c.task == task, snapshots.c.day == day)
            .where(snapshots.c.first_sequence <= max(changed), snapshots.c.last_sequence >= min(changed))
        )
        holding |= {row.id for row in found if any(row.first_sequence <= sequence <= row.last_sequence for sequence in changed)}
    # In one order for all writers, so that two that mark the same parts do not wait for each other.
    for part_id in sorted(holding):
        mark = update(snapshots).where(snapshots.c.id == part_id)
        connection.execute(mark.values(stale=True, changes=snapshots.c.changes + 1))


def day_of(moment: datetime) -> str:
    """The day, in UTC, under which an interaction is snapshotted."""
    return moment.astimezone(UTC).date().isoformat()


def _contents(connection: Connection, ids: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """What a merge may change, by id; locked on Postgres, where the right to write is a row's."""
    found: dict[str, tuple[Any, ...]] = {}
    for batch in in_batches(ids):
        query = select(interactions.c.id, *(interactions.c[name] for name in (*COMPLETED, *SEEN)))
        for row in connection.execute(query.where(interactions.c.id.in_(batch)).with_for_update()):
            found[row.id] = tuple(row)
    return found
