"""Erasures: what was asked to be forgotten and how far that is, and what became of the versions and models that held it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple

from pydantic import AwareDatetime, Field
from sqlalchemy import Connection, desc, func, select, update

from continuum.ids import new_id
from continuum.records import Record
from continuum.store.erasure_tables import erased_artifacts, erased_ids, erasures
from continuum.store.refusing import hash_of, key_of, refuse, tombstone_of
from continuum.store.rows import Rows, from_row, in_batches, insert_new, to_row
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

State = Literal["open", "erased", "done"]
Hashed = Literal["interaction", "feedback", "user", "subject"]
ArtifactKind = Literal["dataset", "verdict", "checkpoint"]
QUARANTINED = "quarantined"


class Change(NamedTuple):
    """What a part of an artifact was before and is after, as proofs hash it."""

    part: str
    """`row`, `files` or `members`."""
    before: Any
    after: Any


class Erasure(Record):
    """One request to forget, and how far it is."""

    id: str = Field(default_factory=new_id)
    kind: Literal["user", "interactions"]
    subject: str
    """A keyed hash of who or what it is about."""
    tasks: tuple[str, ...] | None = None
    """Those that it is narrowed to; None for all."""
    block: bool = False
    state: State = "open"
    work: dict[str, Any] | None = None
    """What is still to be found by its id; None when everything is erased."""
    steps: dict[str, Any] = {}
    """Step to what it came to."""
    receipt: dict[str, Any] | None = None
    asked_at: AwareDatetime = Field(default_factory=utc_now)
    updated_at: AwareDatetime = Field(default_factory=utc_now)


class ErasedArtifact(Record):
    """A dataset version, a verdict or a checkpoint that an erasure changed, or took out of service."""

    kind: ArtifactKind
    id: str
    task: str
    erasure_id: str
    state: Literal["erased", "quarantined", "rebuilt", "dropped"]
    reason: str
    before: dict[str, Any] = {}
    """`row`, `files` and `members` as proofs hash them, before the first erasure."""
    after: dict[str, Any] = {}
    """The same as the last erasure left them."""
    replaced_by: str | None = None
    """The checkpoint that was trained in its place."""
    created_at: AwareDatetime = Field(default_factory=utc_now)
    updated_at: AwareDatetime = Field(default_factory=utc_now)

    def between(self, part: str) -> list[Any]:
        """What a part was after earlier erasures than the last, oldest first."""
        return self.after.get("earlier", {}).get(part, [])


class Erasures(Rows):
    """Requests to forget, ids that are not taken in again, and artifacts that are not what they were."""

    def hashed(
        self, names: Iterable[str], kind: Literal["interaction", "feedback", "user", "subject"], task: str = ""
    ) -> list[str]:
        """The keyed hashes of ids, in their order."""
        key = in_one_transaction(self.engine, key_of)
        return [hash_of(key, kind, name, task) for name in names]

    def tombstones(self, ids: Iterable[str]) -> dict[str, str]:
        """What stands in the place of interactions' ids, by id."""
        key = in_one_transaction(self.engine, key_of)
        return {one: tombstone_of(key, one) for one in ids}

    def begin(self, erasure: Erasure) -> Erasure:
        """Store a request; one about the same that is not finished is taken up instead."""

        def begun(connection: Connection) -> Erasure:
            same = (erasures.c.subject == erasure.subject) & (erasures.c.state == "open")
            row = connection.execute(select(erasures).where(same).order_by(erasures.c.asked_at).limit(1)).first()
            if row is not None:
                return from_row(Erasure, row)
            insert_new(connection, erasures, [to_row(erasure)])
            return erasure

        return in_one_transaction(self.engine, begun)

    def get(self, erasure_id: str) -> Erasure | None:
        """A request by its id."""
        with self.engine.connect() as connection:
            row = connection.execute(select(erasures).where(erasures.c.id == erasure_id)).first()
        return None if row is None else from_row(Erasure, row)

    def every(self, state: State | None = None) -> list[Erasure]:
        """The requests, newest first: all, or those in a state."""
        query = select(erasures).order_by(desc(erasures.c.asked_at), desc(erasures.c.id))
        if state is not None:
            query = query.where(erasures.c.state == state)
        with self.engine.connect() as connection:
            return [from_row(Erasure, row) for row in connection.execute(query)]

    def save(self, erasure: Erasure, *, now: Callable[[], datetime] = utc_now, **values: Any) -> Erasure:
        """Write down how far a request is; returns it as it is then."""
        values |= {"updated_at": now()}
        with self.engine.begin() as connection:
            connection.execute(update(erasures).where(erasures.c.id == erasure.id).values(values))
        return erasure.model_copy(update=values)

    def refuse(
        self,
        erasure_id: str,
        hashes: Mapping[str, Literal["interaction", "feedback", "user"]],
        *,
        before: datetime | None,
        now: Callable[[], datetime] = utc_now,
    ) -> int:
        """Take nothing in any more that has one of these ids; see `refusing.refuse`."""
        done = partial(refuse, erasure_id=erasure_id, hashes=hashes, before=before, at=now())
        return in_one_transaction(self.engine, done)

    def refused(self, erasure_id: str | None = None) -> tuple[int, int]:
        """How many ids are refused, and how often something came that has one: of one request, or of all."""
        query = select(func.count(), func.coalesce(func.sum(erased_ids.c.refused), 0))
        if erasure_id is not None:
            query = query.where(erased_ids.c.erasure_id == erasure_id)
        with self.engine.connect() as connection:
            ids, times = connection.execute(query).one()
        return ids, int(times)

    # --- versions and models ------------------------------------------------------------------------------------------

    def note_change(self, erasure_id: str, kind: ArtifactKind, id: str, task: str, change: Change, **fields: Any) -> None:
        """Write down what became of an artifact; see `note_change`."""
        noted = partial(note_change, erasure_id=erasure_id, kind=kind, id=id, task=task, change=change, fields=fields)
        in_one_transaction(self.engine, noted)

    def artifact(self, kind: ArtifactKind, id: str) -> ErasedArtifact | None:
        """What an erasure did to an artifact; None where none touched it."""
        found = self.artifacts(kind, [id])
        return found[0] if found else None

    def artifacts(self, kind: ArtifactKind, ids: Collection[str]) -> list[ErasedArtifact]:
        """What erasures did to these artifacts."""
        found = []
        with self.engine.connect() as connection:
            for batch in in_batches(sorted(ids)):
                query = select(erased_artifacts).where(erased_artifacts.c.kind == kind, erased_artifacts.c.id.in_(batch))
                found += [from_row(ErasedArtifact, row) for row in connection.execute(query)]
        return found

    def of_erasure(self, erasure_id: str) -> list[ErasedArtifact]:
        """The artifacts that one request touched last."""
        query = select(erased_artifacts).where(erased_artifacts.c.erasure_id == erasure_id)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(erased_artifacts.c.kind, erased_artifacts.c.id))
            return [from_row(ErasedArtifact, row) for row in rows]

    def out_of_service(self, task: str) -> set[str]:
        """Ids of a task's checkpoints that learned from what was erased: none of them may serve or be continued."""
        query = select(erased_artifacts.c.id).where(erased_artifacts.c.kind == "checkpoint", erased_artifacts.c.task == task)
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def waiting(self, task: str | None = None) -> dict[str, list[ErasedArtifact]]:
        """The checkpoints that wait to be trained again, by task."""
        query = select(erased_artifacts).where(erased_artifacts.c.kind == "checkpoint", erased_artifacts.c.state == QUARANTINED)
        if task is not None:
            query = query.where(erased_artifacts.c.task == task)
        found: dict[str, list[ErasedArtifact]] = {}
        with self.engine.connect() as connection:
            for row in connection.execute(query.order_by(erased_artifacts.c.task, erased_artifacts.c.created_at)):
                found.setdefault(row.task, []).append(from_row(ErasedArtifact, row))
        return found


def note_change(
    connection: Connection,
    erasure_id: str,
    kind: ArtifactKind,
    id: str,
    task: str,
    change: Change,
    fields: Mapping[str, Any],
    now: Callable[[], datetime] = utc_now,
) -> None:
    """Write down what became of an artifact, in the transaction that changes it or before; what it was first stays written.

    Args:
        connection: of the transaction.
        erasure_id: for the sake of which.
        kind: what it is.
        id: which.
        task: whose.
        change: the part that changes.
        fields: `state`, `reason` and `replaced_by`, where they change.
        now: the clock.
    """
    same = (erased_artifacts.c.kind == kind) & (erased_artifacts.c.id == id)
    row = connection.execute(select(erased_artifacts.c.before, erased_artifacts.c.after).where(same).with_for_update()).first()
    before = {change.part: change.before} | (row.before if row is not None else {})
    after = dict(row.after) if row is not None else {}
    if change.part in after and after[change.part] != change.after:
        # A proof may have been made meanwhile, of what an erasure before this one left.
        earlier = after.get("earlier", {})
        after["earlier"] = {**earlier, change.part: [*earlier.get(change.part, []), after[change.part]]}
    after[change.part] = change.after
    values = {"erasure_id": erasure_id, "before": before, "after": after, "updated_at": now(), **fields}
    if row is not None:
        connection.execute(update(erased_artifacts).where(same).values(values))
        return
    whole = {"kind": kind, "id": id, "task": task, "state": "erased", "reason": "", "replaced_by": None, "created_at": now()}
    insert_new(connection, erased_artifacts, [whole | values])
