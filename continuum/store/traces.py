"""Where in the tables something of an interaction can stand, column by column, and taking it out of those that only quote it.

A table or a column that is not named here is one that nobody has thought about: a test holds that there is none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, Engine, Table, and_, select, update

from continuum.store import erasure_tables, guard_tables, judging_tables, serving_tables, wheel_tables  # noqa: F401  the tables
from continuum.store.erasures import ArtifactKind, Change, note_change
from continuum.store.exact import digest_of, exact_rows
from continuum.store.rows import BATCH_ROWS
from continuum.store.tables import metadata
from continuum.store.writing import in_one_transaction

Rewrite = Callable[[Any], Any]


class Trace(StrEnum):
    """What an erasure does with a column."""

    NOTHING = "nothing of an interaction or a user stands in it"
    GOES = "its row is deleted"
    NAMES = "an id in it is replaced by its tombstone"
    QUOTES = "words and ids in it are taken out"
    HASHED = "a keyed or salted hash stands in it, and stays"
    WORK = "ids stand in it until the erasure is done"


_N, _G, _I, _Q, _H, _W = Trace.NOTHING, Trace.GOES, Trace.NAMES, Trace.QUOTES, Trace.HASHED, Trace.WORK
TRACES: dict[str, dict[Trace, tuple[str, ...]]] = {
    "tasks": {
        _N: ("name", "policy", "created_at", "trained_through", "claimed_by", "claimed_until", "driver", "driver_seen_at"),
    },
    "bodies": {_G: ("hash", "messages", "response")},
    "interactions": {_G: (), _I: ("parent_id", "near_repeat_of")},
    "feedback": {_G: ()},
    "raters": {_G: ()},
    "segments": {_N: ()},
    "sides": {_G: ()},
    "snapshots": {_N: ()},
    "annotations": {_G: ()},
    "datasets": {_Q: ("manifest",), _N: ("id", "task", "kind", "name", "version", "uri", "created_at")},
    "dataset_items": {_I: ("interaction_id",), _N: ("dataset_id", "split", "score", "reason")},
    "checkpoints": {_N: ()},
    "verdicts": {
        _Q: ("evidence",),
        _N: (
            *("id", "task", "checkpoint_id", "baseline", "golden_id", "status", "approved", "deltas", "intervals", "p_values"),
            *("failed_checks", "required_examples", "max_traffic", "created_at"),
        ),
    },
    "deployments": {
        _Q: ("alarm",),
        _N: (
            *(
                "id",
                "task",
                "checkpoint_id",
                "model",
                "stable_model",
                "verdict_id",
                "strategy",
                "backend",
                "backend_url",
                "state",
            ),
            *("traffic", "max_traffic", "ramp_schedule", "ramp_interval_hours", "rollback_on_quality_drop", "shadow"),
            *("bake_hours", "hold_limit_hours", "step_at", "approved_traffic", "version", "created_at", "updated_at"),
        ),
    },
    "deployment_events": {
        _Q: ("reason", "evidence"),
        _N: ("deployment_id", "sequence", "at", "actor", "action", "from_traffic", "to_traffic"),
    },
    "reopenings": {_G: ()},
    "feedback_looks": {_N: ()},
    "backfills": {_N: ()},
    "golden_answers": {_G: ()},
    "golden_labels": {_G: ()},
    "golden_uses": {_N: ()},
    "commitments": {_G: ()},
    "tombstones": {_H: ()},
    "gateway_keys": {_N: ()},
    "shadow_answers": {_G: ()},
    "notifications": {
        _Q: ("words", "payload", "error"),
        _N: ("id", "task", "deployment_id", "channel", "kind", "created_at", "attempts", "next_at", "delivered_at"),
    },
    "workers": {_N: ()},
    "accounts": {_N: ()},
    "reservations": {_N: ()},
    "judgements": {_G: ()},
    "admissions": {_N: ()},
    "anchor_rounds": {
        _G: ("scores",),
        _Q: ("evidence",),
        _N: ("id", "task", "judge", "version", "rubric", "served_by", "alarm", "created_at"),
    },
    "reviews": {_G: ()},
    "labels": {_G: ()},
    "batches": {
        _Q: ("detail",),
        _N: ("id", "task", "judge", "rubric", "base_url", "state", "worker", "provider_id", "created_at", "updated_at"),
    },
    "batch_items": {_G: ()},
    "erasures": {
        _W: ("work",),
        _H: ("subject",),
        _N: ("id", "kind", "tasks", "block", "state", "steps", "receipt", "asked_at", "updated_at"),
    },
    "erased_ids": {_H: ("hash",), _N: ("kind", "erasure_id", "before", "refused", "created_at")},
    "erased_artifacts": {_N: ()},
    "erasure_keys": {_N: ()},
}
"""Table to what an erasure does with its columns; a trace without columns is that of all which are not named otherwise.

The scores of `anchor_rounds` lose the entries of the interactions that go.
"""
PROVEN: dict[str, ArtifactKind] = {"datasets": "dataset", "verdicts": "verdict"}
"""Proofs hold the hash of a whole row of these: what it was before is written down, in the same transaction."""


@dataclass(frozen=True)
class Rewritten:
    """A row out of which something was taken."""

    table: str
    id: str
    """Its primary key, with `:` between the columns."""


def trace_of(table: str, column: str) -> Trace | None:
    """What an erasure does with a column; None for one that nobody has thought about."""
    found = TRACES.get(table, {})
    named = next((trace for trace, columns in found.items() if column in columns), None)
    return named or next((trace for trace, columns in found.items() if not columns), None)


def quoting() -> Iterator[tuple[Table, list[Column[Any]]]]:
    """The tables that may quote what was captured, with the columns that may."""
    for table in metadata.sorted_tables:
        columns = [column for column in table.c if trace_of(table.name, column.name) is Trace.QUOTES]
        if columns:
            yield table, columns


def rewrite_quotes(engine: Engine, rewrite: Rewrite, erasure_id: str) -> list[Rewritten]:
    """Take out of every column that may quote it what `rewrite` takes out; returns the rows that changed.

    It may be repeated, and broken off: each page of rows is a transaction of its own.

    Args:
        engine: of the store.
        rewrite: given what a column holds, JSON or text; returns what is left of it, the same where nothing is taken out.
        erasure_id: for the sake of which.
    """
    return [changed for table, columns in quoting() for changed in _rewrite_table(engine, table, columns, rewrite, erasure_id)]


def set_evidence(engine: Engine, verdict_id: str, evidence: dict[str, Any], erasure_id: str) -> None:
    """Put other evidence into a verdict's row; what the row was before is written down."""
    table = metadata.tables["verdicts"]

    def put(connection: Connection) -> None:
        before = exact_rows(connection, table, table.c.id, [verdict_id])
        connection.execute(update(table).where(table.c.id == verdict_id).values(evidence=evidence))
        after = exact_rows(connection, table, table.c.id, [verdict_id])
        if before and before != after:
            change = Change("row", digest_of(before[0]), digest_of(after[0]))
            note_change(connection, erasure_id, "verdict", verdict_id, str(after[0].get("task", "")), change, {})

    in_one_transaction(engine, put)


def _rewrite_table(
    engine: Engine, table: Table, columns: list[Column[Any]], rewrite: Rewrite, erasure_id: str
) -> list[Rewritten]:
    keys = list(table.primary_key)
    query = select(*keys).order_by(*keys)
    if table.name == "datasets":
        # The manifest of a golden set is what its files are held against; nothing that was said stands in it.
        query = query.where(table.c.kind != "golden")
    with engine.connect() as connection:
        names = connection.execute(query).all()
    changed: list[Rewritten] = []
    for start in range(0, len(names), BATCH_ROWS):
        some = names[start : start + BATCH_ROWS]

        def page(connection: Connection, some: Any = some) -> list[Rewritten]:
            made = (_rewrite_row(connection, table, columns, key, rewrite, erasure_id) for key in some)
            return [one for one in made if one is not None]

        changed += in_one_transaction(engine, page)
    return changed


def _rewrite_row(
    connection: Connection, table: Table, columns: list[Column[Any]], key: Any, rewrite: Rewrite, erasure_id: str
) -> Rewritten | None:
    same = and_(*(column == value for column, value in zip(table.primary_key, key, strict=True)))
    row = connection.execute(select(*columns).where(same)).first()
    if row is None:
        return None
    held = {column.name: value for column, value in zip(columns, row, strict=True) if value is not None}
    left = {name: made for name, value in held.items() if (made := rewrite(value)) != value}
    if not left:
        return None
    kind = PROVEN.get(table.name)
    before = exact_rows(connection, table, table.c.id, [key[0]]) if kind else []
    connection.execute(update(table).where(same).values(left))
    if kind:
        after = exact_rows(connection, table, table.c.id, [key[0]])
        change = Change("row", digest_of(before[0]), digest_of(after[0]))
        note_change(connection, erasure_id, kind, key[0], str(after[0].get("task", "")), change, {})
    return Rewritten(table.name, ":".join(map(str, key)))
