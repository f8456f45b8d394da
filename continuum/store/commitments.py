"""What proofs say of interactions without saying it: salted hashes of what was captured, and tombstones of what was erased.

A commitment is `sha256(salt || canonical JSON of the row)`. Who has the row and its salt can check it; the hash alone tells
nothing, not even of a row that could be guessed. With the row goes the salt, and a tombstone says that the commitment was kept.
A row that is committed to is not merged into any more: it stays as it was proven.
"""

import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, delete, select

from continuum.store.exact import canonical, exact, exact_rows, plain
from continuum.store.guard_tables import commitments, tombstones
from continuum.store.rows import Rows, in_batches, insert_new
from continuum.store.tables import bodies, interactions
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

SALT_BYTES = 32
CAPTURED = (
    *("id", "task", "sequence", "started_at", "arrived_at", "status", "error", "model", "conversation_id", "user_id"),
    *("parent_id", "provider_response_id", "latency_ms", "time_to_first_chunk_ms", "input_tokens", "output_tokens"),
    *("cached_tokens", "reasoning_tokens", "cost_usd", "deployment_id", "variant", "source", "tags", "redaction", "fingerprint"),
    "near_repeat_of",
)
"""Columns of an interaction that are committed to, beside what was said. A column that the table gets later is not among them:
a commitment stands for good."""
COMMITTED = (*(interactions.c[name] for name in CAPTURED), bodies.c.messages, bodies.c.response)


@dataclass(frozen=True)
class Committed:
    """A commitment, and what opens it."""

    interaction_id: str
    salt: bytes
    commitment: str


class Commitments(Rows):
    """Commitments to interactions, and the tombstones of those that were erased."""

    def make(self, ids: Iterable[str], *, now: Callable[[], datetime] = utc_now) -> dict[str, Committed]:
        """Commit to interactions; one that is committed to already keeps its commitment.

        Args:
            ids: of which.
            now: the clock.

        Returns:
            The commitments by interaction id; an id that is not in the store, and never was committed to, has none.

        Raises:
            StoreError: the database failed.
        """
        found: dict[str, Committed] = {}
        for batch in in_batches(ids):
            found |= in_one_transaction(self.engine, partial(_commit, ids=batch, at=now()))
        return found

    def of(self, named: Iterable[str]) -> dict[str, Committed]:
        """What opens these commitments, by commitment; those of erased rows cannot be opened."""
        with self.engine.connect() as connection:
            rows = exact_rows(connection, commitments, commitments.c.commitment, named)
        return {row["commitment"]: _opened(row) for row in rows}

    def tombstones(self, named: Iterable[str]) -> dict[str, str]:
        """Those of the commitments whose rows were erased, with the time, in ISO form."""
        with self.engine.connect() as connection:
            rows = exact_rows(connection, tombstones, tombstones.c.commitment, named)
        return {row["commitment"]: row["erased_at"] for row in rows}

    def captured(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Interactions as they are committed to, by id: the columns to the byte, and what was said as its JSON text."""
        with self.engine.connect() as connection:
            return {row["id"]: row for batch in in_batches(ids) for row in _captured(connection, batch)}


def commitment_to(salt: bytes, row: Any) -> str:
    """sha256 over the salt and the canonical JSON of a row, in hex: binding, and hiding while the salt is unknown."""
    return sha256(salt + canonical(row)).hexdigest()


def committed_ids(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of the interactions that are committed to, and must stay as they are.

    The caller holds their rows locked, so that nobody commits to one of them meanwhile.
    """
    query = select(commitments.c.interaction_id)
    return {
        found
        for batch in in_batches(ids)
        for found in connection.execute(query.where(commitments.c.interaction_id.in_(batch))).scalars()
    }


def bury(connection: Connection, ids: Collection[str], at: datetime) -> None:
    """Put a tombstone in the place of each commitment to these interactions; their salts are gone then."""
    chosen = commitments.c.interaction_id.in_(ids)
    rows = connection.execute(select(commitments.c.commitment, commitments.c.task).where(chosen)).all()
    if rows:
        insert_new(connection, tombstones, [{"commitment": row.commitment, "task": row.task, "erased_at": at} for row in rows])
        connection.execute(delete(commitments).where(chosen))


def _commit(connection: Connection, ids: list[str], at: datetime) -> dict[str, Committed]:
    known = {row["interaction_id"] for row in exact_rows(connection, commitments, commitments.c.interaction_id, ids)}
    new = []
    for row in _captured(connection, [one for one in ids if one not in known], hold=True):
        salt = secrets.token_bytes(SALT_BYTES)
        values = {"interaction_id": row["id"], "task": row["task"], "salt": salt, "created_at": at}
        new.append(values | {"commitment": commitment_to(salt, row)})
    insert_new(connection, commitments, sorted(new, key=lambda values: values["interaction_id"]))
    # Read back: another process may have been quicker.
    rows = exact_rows(connection, commitments, commitments.c.interaction_id, ids)
    return {row["interaction_id"]: _opened(row) for row in rows}


def _captured(connection: Connection, ids: Collection[str], *, hold: bool = False) -> list[dict[str, Any]]:
    """Rows as they are committed to; with `hold` nobody changes or deletes them until the transaction ends."""
    if not ids:
        return []
    chosen = [exact(column, connection.dialect.name) for column in COMMITTED]
    # An outer join: a row whose body is gone was altered, and is not missing.
    query: Select[Any] = select(*chosen).select_from(interactions.outerjoin(bodies, bodies.c.hash == interactions.c.body))
    query = query.where(interactions.c.id.in_(ids)).order_by(interactions.c.id)
    if hold:
        query = query.with_for_update(read=True, of=interactions)
    return [plain(row, COMMITTED) for row in connection.execute(query)]


def _opened(row: dict[str, Any]) -> Committed:
    try:
        salt = bytes.fromhex(row["salt"])
    except (KeyError, TypeError, ValueError):
        # Somebody put something else in its place: it opens nothing.
        salt = b""
    return Committed(row.get("interaction_id", ""), salt, row["commitment"])
