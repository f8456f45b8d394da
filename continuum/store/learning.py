"""What was learned: dataset versions, checkpoints and verdicts."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Table, desc, func, select

from continuum.records import Checkpoint, DatasetRecord, Record, Verdict, VerdictStatus
from continuum.store.rows import Rows, from_row, in_batches, insert_new, to_row
from continuum.store.tables import checkpoints, dataset_items, datasets, verdicts


class DatasetItem(Record):
    """Membership of one interaction in one dataset version."""

    interaction_id: str
    split: str
    score: float | None = None
    reason: str = ""


class Datasets(Rows):
    """Dataset versions, training and golden, and who is in them."""

    def add(self, dataset: DatasetRecord, items: Iterable[DatasetItem]) -> DatasetRecord:
        """Store a version with its members, whole or not at all; the same fingerprint again returns what is there."""
        with self.engine.begin() as connection:
            if insert_new(connection, datasets, [to_row(dataset)]):
                for batch in in_batches(items):
                    rows = [{"dataset_id": dataset.id, **to_row(item)} for item in batch]
                    insert_new(connection, dataset_items, rows)
        return self.get(dataset.id) or dataset

    def get(self, id_or_name: str) -> DatasetRecord | None:
        """A version by fingerprint or by name."""
        return self._first((datasets.c.id == id_or_name) | (datasets.c.name == id_or_name))

    def latest(self, task: str, kind: str = "training") -> DatasetRecord | None:
        """The newest version of a task's training or golden dataset."""
        return self._first((datasets.c.task == task) & (datasets.c.kind == kind))

    def versions(self, task: str | None = None) -> list[DatasetRecord]:
        """All versions of a task, or of all tasks, whatever their kind: by task, then oldest first."""
        query = select(datasets).order_by(datasets.c.task, datasets.c.created_at, datasets.c.kind.desc(), datasets.c.version)
        with self.engine.connect() as connection:
            rows = connection.execute(query if task is None else query.where(datasets.c.task == task))
            return [from_row(DatasetRecord, row) for row in rows]

    def next_version(self, task: str, kind: str = "training") -> int:
        """The number the next version gets."""
        newest = self.latest(task, kind)
        return 1 if newest is None else newest.version + 1

    def items(self, dataset_id: str) -> list[DatasetItem]:
        """The members of a version, by interaction id."""
        query = select(dataset_items).where(dataset_items.c.dataset_id == dataset_id).order_by(dataset_items.c.interaction_id)
        with self.engine.connect() as connection:
            return [from_row(DatasetItem, row) for row in connection.execute(query)]

    def member_ids(self, task: str, kind: str) -> set[str]:
        """Ids of the interactions that are, or ever were, in a task's datasets of this kind."""
        query = (
            select(dataset_items.c.interaction_id)
            .join(datasets, datasets.c.id == dataset_items.c.dataset_id)
            .where(datasets.c.task == task, datasets.c.kind == kind)
        )
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def holding(self, interaction_id: str) -> list[DatasetRecord]:
        """The versions, training and golden, that an interaction is a member of, oldest first."""
        query = (
            select(datasets)
            .join(dataset_items, datasets.c.id == dataset_items.c.dataset_id)
            .where(dataset_items.c.interaction_id == interaction_id)
            .order_by(datasets.c.created_at, datasets.c.id)
        )
        with self.engine.connect() as connection:
            return [from_row(DatasetRecord, row) for row in connection.execute(query)]

    def _first(self, condition: ColumnElement[bool]) -> DatasetRecord | None:
        query = select(datasets).where(condition).order_by(desc(datasets.c.version)).limit(1)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else from_row(DatasetRecord, row)


class Checkpoints(Rows):
    """Trained adapters, numbered within their task."""

    def add(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; the same id again changes nothing."""
        self.insert_all(checkpoints, [checkpoint])

    def get(self, id_or_name: str) -> Checkpoint | None:
        """A checkpoint by id, or by its serving name `<task>-v<version>`."""
        task, _, version = id_or_name.rpartition("-v")
        condition = checkpoints.c.id == id_or_name
        if task and version.isdigit():
            condition |= (checkpoints.c.task == task) & (checkpoints.c.version == int(version))
        with self.engine.connect() as connection:
            row = connection.execute(select(checkpoints).where(condition).limit(1)).first()
        return None if row is None else from_row(Checkpoint, row)

    def of(self, task: str) -> list[Checkpoint]:
        """A task's checkpoints, oldest first."""
        query = select(checkpoints).where(checkpoints.c.task == task).order_by(checkpoints.c.version)
        with self.engine.connect() as connection:
            return [from_row(Checkpoint, row) for row in connection.execute(query)]

    def next_version(self, task: str) -> int:
        """The number the next checkpoint gets."""
        with self.engine.connect() as connection:
            newest = connection.execute(select(func.max(checkpoints.c.version)).where(checkpoints.c.task == task)).scalar()
        return (newest or 0) + 1


class Verdicts(Rows):
    """What the guard said, and when."""

    def add(self, verdict: Verdict) -> None:
        """Store a verdict; the same id again changes nothing."""
        self.insert_all(verdicts, [verdict])

    def get(self, verdict_id: str) -> Verdict | None:
        """A verdict by id."""
        return self._newest(verdicts, verdicts.c.id == verdict_id)

    def latest(self, checkpoint_id: str) -> Verdict | None:
        """The newest verdict on a checkpoint."""
        return self._newest(verdicts, verdicts.c.checkpoint_id == checkpoint_id)

    def blocked_since(self, at: datetime) -> list[Verdict]:
        """The verdicts of this time or later that block their candidate, oldest first."""
        query = (
            select(verdicts)
            .where(verdicts.c.created_at >= at, verdicts.c.status == VerdictStatus.BLOCKED.value)
            .order_by(verdicts.c.created_at, verdicts.c.id)
        )
        with self.engine.connect() as connection:
            return [from_row(Verdict, row) for row in connection.execute(query)]

    def _newest(self, table: Table, condition: ColumnElement[bool]) -> Verdict | None:
        query = select(table).where(condition).order_by(desc(table.c.created_at), desc(table.c.id)).limit(1)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else from_row(Verdict, row)
