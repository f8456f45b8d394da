"""All tasks at one look: each question is one query, however many tasks there are, and is answered from an index."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, func, select, union

from continuum.store.judging_tables import anchor_rounds, reviews
from continuum.store.rows import Rows
from continuum.store.tables import annotations, checkpoints, datasets, deployments, interactions, snapshots, tasks


@dataclass(frozen=True)
class Learned:
    """What a learning curve is drawn of."""

    golden: str | None = None
    """The newest golden dataset."""
    checkpoint: str | None = None
    """The newest checkpoint."""
    checkpoints: int = 0
    """How many there are."""

    @property
    def fingerprint(self) -> str:
        """The same for the same golden dataset and checkpoints."""
        return f"{self.golden or '-'}/{self.checkpoint or '-'}/{self.checkpoints}"


@dataclass(frozen=True)
class AnchorLook:
    """The newest time that a judge was given a task's anchors by a rubric."""

    version: str
    served_by: str | None
    at: datetime


@dataclass(frozen=True)
class ServedBy:
    """What answered when a judge last scored one of a task's interactions."""

    model: str | None
    at: datetime


class Overview(Rows):
    """Numbers of all tasks, by task; a task of which there is nothing to say is left out, or has 0."""

    def new_interactions(self) -> dict[str, int]:
        """How many interactions each task has above its high-water mark."""
        above = interactions.c.sequence > tasks.c.trained_through
        return self._of_each(select(func.count()).where(interactions.c.task == tasks.c.name, above).scalar_subquery())

    def last_sequences(self) -> dict[str, int]:
        """The highest sequence number of each task, and of what was deployed without one; 0 where there is no interaction."""
        names = union(select(tasks.c.name), select(deployments.c.task)).subquery()
        newest = select(func.max(interactions.c.sequence)).where(interactions.c.task == names.c.name)
        with self.engine.connect() as connection:
            rows = connection.execute(select(names.c.name, newest.scalar_subquery()))
            return {row[0]: row[1] or 0 for row in rows}

    def oldest_interactions(self) -> dict[str, datetime]:
        """When each task's first interaction began."""
        first = select(func.min(interactions.c.started_at)).where(interactions.c.task == tasks.c.name)
        found = self._of_each(first.scalar_subquery())
        return {name: began for name, began in found.items() if began is not None}

    def dataset_versions(self) -> dict[str, int]:
        """How many dataset versions of any kind each task has."""
        return self._counted(datasets.c.task)

    def stale_snapshots(self) -> dict[str, int]:
        """How many Parquet files of each task hold a row that was changed or deleted since."""
        return self._counted(snapshots.c.task, snapshots.c.stale)

    def anchors(self) -> dict[str, int]:
        """How many frozen anchors each task has."""
        return self._counted(reviews.c.task, reviews.c.queue == "anchor")

    def learned(self) -> dict[str, Learned]:
        """Of each task its newest golden dataset, its newest checkpoint and how many there are."""
        golden = (
            select(datasets.c.id)
            .where(datasets.c.task == tasks.c.name, datasets.c.kind == "golden")
            .order_by(datasets.c.version.desc())
            .limit(1)
        )
        newest = (
            select(checkpoints.c.id).where(checkpoints.c.task == tasks.c.name).order_by(checkpoints.c.version.desc()).limit(1)
        )
        many = select(func.count()).select_from(checkpoints).where(checkpoints.c.task == tasks.c.name)
        columns = (tasks.c.name, *(one.scalar_subquery() for one in (golden, newest, many)))
        with self.engine.connect() as connection:
            return {row[0]: Learned(*row[1:]) for row in connection.execute(select(*columns))}

    def anchor_rounds(self) -> dict[tuple[str, str, str], AnchorLook]:
        """The newest round of the anchors, by task, judge and rubric."""
        whose = (anchor_rounds.c.task, anchor_rounds.c.judge, anchor_rounds.c.rubric)
        last = select(*whose, func.max(anchor_rounds.c.created_at).label("at")).group_by(*whose).subquery()
        same = [last.c[column.name] == column for column in whose]
        rounds = select(*whose, anchor_rounds.c.version, anchor_rounds.c.served_by, anchor_rounds.c.created_at)
        rounds = rounds.join(last, (last.c.at == anchor_rounds.c.created_at) & same[0] & same[1] & same[2])
        with self.engine.connect() as connection:
            found = connection.execute(rounds.order_by(anchor_rounds.c.id)).all()
        return {(row[0], row[1], row[2]): AnchorLook(*row[3:]) for row in found}

    def served_by(self, judge: str) -> dict[str, ServedBy]:
        """What stood behind a judge's name when it last selected, by task."""
        mine = (annotations.c.task == tasks.c.name) & (annotations.c.judge == judge) & (annotations.c.role == "selecting")
        newest = select(annotations.c.id).where(mine).order_by(annotations.c.created_at.desc(), annotations.c.id.desc()).limit(1)
        ids = select(newest.scalar_subquery().label("id")).select_from(tasks).subquery()
        rows = select(annotations.c.task, annotations.c.served_by, annotations.c.created_at).join(
            ids, ids.c.id == annotations.c.id
        )
        with self.engine.connect() as connection:
            return {row[0]: ServedBy(row[1], row[2]) for row in connection.execute(rows)}

    def _of_each(self, figure: ColumnElement[Any]) -> dict[str, Any]:
        # A subquery a task is a short walk in an index; grouping the whole table would read all of it.
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(select(tasks.c.name, figure))}

    def _counted(self, task: Column[Any], *conditions: ColumnElement[bool]) -> dict[str, int]:
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(select(task, func.count()).where(*conditions).group_by(task))}
