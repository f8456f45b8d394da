"""What was erased is not taken in again: keyed hashes of ids, and the check that every way into the store goes through.

A hash is HMAC-SHA256 of the kind of id and the id, under a key of the store. Who reads the database and guesses an id can test
the guess, and learns that something of this id was erased; of ids that are random there is nothing to guess.
"""

import hmac
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeVar

from sqlalchemy import Connection, bindparam, select, text, update

from continuum.records import Feedback, Interaction
from continuum.store.erasure_tables import erased_ids, erasure_keys
from continuum.store.rows import in_batches, insert_new

Kind = Literal["interaction", "feedback", "user"]
Taken = TypeVar("Taken", Interaction, Feedback)
KEY_BYTES = 32
TOMBSTONE = "erased-"
"""Begins what stands in the place of an id; 32 hexadecimal digits of its hash follow."""


def key_of(connection: Connection) -> bytes:
    """The store's key of these hashes; it is made when there is none, by a transaction that may write."""
    query = select(erasure_keys.c.key).where(erasure_keys.c.id == 1)
    found = connection.execute(query).scalar()
    if found is None:
        insert_new(connection, erasure_keys, [{"id": 1, "key": secrets.token_bytes(KEY_BYTES)}])
        found = connection.execute(query).scalar_one()
    return bytes(found)


def hash_of(key: bytes, kind: Kind | Literal["subject"], name: str, task: str = "") -> str:
    """The keyed hash of an id, 64 hexadecimal digits; of a user within one task where a task is named."""
    said = "\0".join((kind, task, name)).encode("utf-8", "surrogatepass")
    return hmac.digest(key, said, "sha256").hex()


def tombstone_of(key: bytes, interaction_id: str) -> str:
    """What stands in the place of an interaction's id."""
    return f"{TOMBSTONE}{hash_of(key, 'interaction', interaction_id)[:32]}"


def refuse(
    connection: Connection,
    erasure_id: str,
    hashes: Mapping[str, Kind],
    *,
    before: datetime | None,
    at: datetime,
) -> int:
    """Take nothing in any more that has one of these ids; returns how many of them were not refused yet.

    Whoever is writing has finished when this returns: what they stored is found by a transaction that begins now.

    Args:
        connection: of a transaction of its own.
        erasure_id: for the sake of which.
        hashes: of ids, with their kinds.
        before: of users, only what began earlier is refused; None for all of it.
        at: when.
    """
    if connection.dialect.name == "postgresql":
        # Each writer has read this table in its transaction, and so holds it shared until it ends.
        connection.execute(text("LOCK TABLE erased_ids IN ACCESS EXCLUSIVE MODE"))
    new = 0
    rows = [
        {
            "hash": digest,
            "kind": kind,
            "erasure_id": erasure_id,
            "before": before if kind == "user" else None,
            "refused": 0,
            "created_at": at,
        }
        for digest, kind in sorted(hashes.items())
    ]
    for batch in in_batches(rows):
        new += insert_new(connection, erased_ids, batch)
    users = sorted(digest for digest, kind in hashes.items() if kind == "user")
    for batch in in_batches(users):
        # Who asks again is forgotten again: what came since the last time too.
        later = update(erased_ids).where(erased_ids.c.hash.in_(batch), erased_ids.c.before.is_not(None))
        connection.execute(later.values(before=before, erasure_id=erasure_id))
    return new


def without_erased(connection: Connection, records: Sequence[Taken]) -> tuple[list[Taken], list[str]]:
    """The records that may be taken in, and the ids of those that were erased; each of these is counted.

    Args:
        connection: of the transaction that stores them, before it stores any.
        records: interactions, or feedback.
    """
    # As nearly always there are none. On Postgres this also holds off an erasure until the transaction ends.
    if connection.execute(select(erased_ids.c.hash).limit(1)).first() is None:
        return list(records), []
    key = key_of(connection)
    named = [_hashes(key, record) for record in records]
    known = _known(connection, {digest for hashes in named for digest in hashes})
    hits: Counter[str] = Counter()
    kept, erased = list[Taken](), list[str]()
    for record, hashes in zip(records, named, strict=True):
        hit = next((one for one in hashes if one in known and _is_refused(record, known[one])), None)
        if hit is None:
            kept.append(record)
        else:
            hits[hit] += 1
            erased.append(record.id)
    if hits:
        counted = update(erased_ids).where(erased_ids.c.hash == bindparam("named"))
        rows = [{"named": digest, "more": count} for digest, count in sorted(hits.items())]
        connection.execute(counted.values(refused=erased_ids.c.refused + bindparam("more")), rows)
    return kept, erased


def erased_among(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Those of the interactions' ids that are refused."""
    named = list(ids)
    if not named or connection.execute(select(erased_ids.c.hash).limit(1)).first() is None:
        return set()
    key = key_of(connection)
    hashes = {hash_of(key, "interaction", one): one for one in named}
    return {hashes[digest] for digest in _known(connection, hashes)}


def _hashes(key: bytes, record: Interaction | Feedback) -> list[str]:
    if isinstance(record, Interaction):
        names = [record.id, record.provider_response_id]
        own = [hash_of(key, "user", record.user_id, task) for task in ("", record.task)] if record.user_id else []
    else:
        names = [record.interaction_id]
        own = [hash_of(key, "feedback", record.id)]
        own += [hash_of(key, "user", record.user_id)] if record.user_id else []
    return [hash_of(key, "interaction", name) for name in names if name] + own


def _known(connection: Connection, hashes: Iterable[str]) -> dict[str, tuple[str, datetime | None]]:
    found: dict[str, tuple[str, datetime | None]] = {}
    for batch in in_batches(sorted(hashes)):
        query = select(erased_ids.c.hash, erased_ids.c.kind, erased_ids.c.before).where(erased_ids.c.hash.in_(batch))
        found |= {row.hash: (row.kind, row.before) for row in connection.execute(query)}
    return found


def _is_refused(record: Interaction | Feedback, stone: tuple[str, datetime | None]) -> bool:
    kind, before = stone
    began = record.started_at if isinstance(record, Interaction) else record.recorded_at
    return kind != "user" or before is None or began < before
