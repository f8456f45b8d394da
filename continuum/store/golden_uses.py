"""The ledger of a task's golden questions: which candidates were measured on them, and the how-manieth each was.

The level at which a candidate may be approved depends on how many looks at the same questions came before it. A golden set that
has grown, or lost a few items, is still the same questions; what counts is whether half of them were in the earlier set.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from pydantic import AwareDatetime, Field
from sqlalchemy import Connection, func, select, text

from continuum.ids import new_id
from continuum.records import Record
from continuum.store.guard_tables import golden_uses
from continuum.store.rows import BATCH_ROWS, Rows, from_row, in_batches, insert_new, to_row
from continuum.store.tables import dataset_items
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

SAME_QUESTIONS = 0.5
"""Share of a set's items from which an earlier set that held them counts as the same questions."""
LEDGER_LOCK = 0x676F6C64
"""First key of the Postgres advisory lock under which a task's ledger is written; the second is a hash of the task."""


class GoldenUse(Record):
    """One candidate measured against one baseline on one golden set."""

    id: str = Field(default_factory=new_id)
    task: str
    sequence: int
    """Its place among all uses of the task's golden sets, from 1."""
    golden_id: str
    """Fingerprint of the golden set."""
    checkpoint_id: str
    baseline: str
    """A checkpoint's id, or `production`."""
    position: int
    """The how-manieth look at these questions it is, from 1."""
    created_at: AwareDatetime


class GoldenUses(Rows):
    """The ledger of all tasks."""

    def claim(
        self,
        task: str,
        golden_id: str,
        item_ids: Collection[str],
        checkpoint_id: str,
        baseline: str,
        now: Callable[[], datetime] = utc_now,
    ) -> GoldenUse:
        """The candidate's place in the ledger, taken before it is measured; the same again gets the same place.

        An earlier use counts when at least half of this set's items were in the set it used. The same candidate on another
        set, or against another baseline, is another look and counts.

        Args:
            task: whose golden set it is.
            golden_id: fingerprint of the set.
            item_ids: the interactions that are asked.
            checkpoint_id: the candidate.
            baseline: a checkpoint's id, or `production`.
            now: the clock.

        Raises:
            StoreError: the database failed; nothing is written.
        """

        def claim(connection: Connection) -> GoldenUse:
            # One writer at a time: SQLite's transaction has the database already, Postgres locks the task's ledger.
            if connection.dialect.name == "postgresql":
                lock = text("SELECT pg_advisory_xact_lock(:key, hashtext(:task))")
                connection.execute(lock, {"key": LEDGER_LOCK, "task": task})
            found = connection.execute(
                select(golden_uses).where(
                    golden_uses.c.golden_id == golden_id,
                    golden_uses.c.checkpoint_id == checkpoint_id,
                    golden_uses.c.baseline == baseline,
                )
            ).first()
            if found is not None:
                return from_row(GoldenUse, found)
            before = self._sharing(connection, task, golden_id, item_ids)
            newest = connection.execute(select(func.max(golden_uses.c.sequence)).where(golden_uses.c.task == task)).scalar()
            use = GoldenUse(
                task=task,
                sequence=(newest or 0) + 1,
                golden_id=golden_id,
                checkpoint_id=checkpoint_id,
                baseline=baseline,
                position=len(before) + 1,
                created_at=now(),
            )
            insert_new(connection, golden_uses, [to_row(use)])
            return use

        return in_one_transaction(self.engine, claim)

    def of(self, task: str) -> list[GoldenUse]:
        """All uses of a task's golden sets, oldest first."""
        query = select(golden_uses).where(golden_uses.c.task == task).order_by(golden_uses.c.sequence)
        with self.engine.connect() as connection:
            return [from_row(GoldenUse, row) for row in connection.execute(query)]

    def sharing(self, task: str, golden_id: str, item_ids: Collection[str]) -> list[GoldenUse]:
        """The uses that looked at the same questions, this set's own among them, oldest first."""
        with self.engine.connect() as connection:
            return self._sharing(connection, task, golden_id, item_ids)

    def _sharing(self, connection: Connection, task: str, golden_id: str, item_ids: Collection[str]) -> list[GoldenUse]:
        query = select(golden_uses).where(golden_uses.c.task == task).order_by(golden_uses.c.sequence)
        uses = [from_row(GoldenUse, row) for row in connection.execute(query)]
        sets = {use.golden_id for use in uses} - {golden_id}
        held = {one: 0 for one in sets if _has_members(connection, one)}
        items = dataset_items.c
        for batch in in_batches(sorted(set(item_ids)), BATCH_ROWS):
            counts = select(items.dataset_id, func.count()).where(items.dataset_id.in_(held), items.interaction_id.in_(batch))
            for dataset_id, count in connection.execute(counts.group_by(items.dataset_id)):
                held[dataset_id] += count
        enough = SAME_QUESTIONS * len(set(item_ids))
        # Of a set whose members the store does not know, the worst is supposed: that it held the same questions.
        return [use for use in uses if use.golden_id not in held or held[use.golden_id] >= enough]


def _has_members(connection: Connection, golden_id: str) -> bool:
    query = select(dataset_items.c.dataset_id).where(dataset_items.c.dataset_id == golden_id).limit(1)
    return connection.execute(query).first() is not None
