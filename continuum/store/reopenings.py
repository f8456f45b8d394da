"""What late feedback reopened: interactions that the wheel had used as they were before people said something else of them.

A row holds a hash of what had been said. Nothing is concluded from the order of two clocks where a hash can tell: an interaction
is open as long as what people say of it is not what the newest thing that used it had read.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from pydantic import AwareDatetime
from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from continuum.records import Record
from continuum.store.rows import Rows, from_row, in_batches, insert_new, to_row
from continuum.store.tables import datasets
from continuum.store.wheel_tables import feedback_looks, reopenings
from continuum.store.writing import in_one_transaction

Use = Literal["dataset", "verdict"]


class Reopening(Record):
    """How an interaction that was used stands against what people say of it."""

    interaction_id: str
    use: Use
    used_by: str
    """Fingerprint of the dataset version, or id of the verdict, that used it as it was."""
    task: str
    said: str
    """Hash over the verdicts that were there, of `LateFeedback.said`."""
    opened_at: AwareDatetime | None = None
    """None where it was never open."""
    settled_at: AwareDatetime | None = None
    settled_by: str | None = None
    """The dataset version or the verdict that used it anew."""

    @property
    def is_open(self) -> bool:
        """Does it wait to be used anew?"""
        return self.settled_at is None


class Look(Record):
    """How far late feedback was looked for, in one thing or in a whole task."""

    task: str
    used_by: str = ""
    """A dataset version or a verdict; nothing for the task itself."""
    at: AwareDatetime
    after: int | None = None
    through: int | None = None
    since: AwareDatetime | None = None
    remembers: bool | None = None


@dataclass(frozen=True)
class Open:
    """What of a task is open."""

    interactions: int = 0
    """Considered for a dataset, and of which people said something else since."""
    verdicts: int = 0
    """Given on golden items of which people now say otherwise."""
    items: int = 0
    """Such items, over all verdicts."""


class Reopenings(Rows):
    """The reopenings of all tasks."""

    def counts(self, task: str | None = None) -> dict[str, Open]:
        """What is open of each task that has anything open, in one query."""
        columns = (reopenings.c.task, reopenings.c.use, func.count(reopenings.c.interaction_id.distinct()))
        query = select(*columns, func.count(reopenings.c.used_by.distinct())).where(reopenings.c.settled_at.is_(None))
        if task is not None:
            query = query.where(reopenings.c.task == task)
        found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        with self.engine.connect() as connection:
            for name, use, items, uses in connection.execute(query.group_by(reopenings.c.task, reopenings.c.use)):
                found[name][use] = (items, uses)
        return {
            name: Open(of.get("dataset", (0, 0))[0], of.get("verdict", (0, 0))[1], of.get("verdict", (0, 0))[0])
            for name, of in found.items()
        }

    def count(self, task: str) -> int:
        """How many interactions of a task wait for the next dataset, because people said something of them since the last."""
        return self.counts(task).get(task, Open()).interactions

    def newest_settler(self, task: str) -> str | None:
        """The dataset version that considered reopened interactions of a task last; None where there was none."""
        settled = (reopenings.c.task == task) & (reopenings.c.use == "dataset") & reopenings.c.opened_at.is_not(None)
        query = select(reopenings.c.settled_by).where(settled, reopenings.c.settled_at.is_not(None))
        with self.engine.connect() as connection:
            return connection.execute(query.order_by(reopenings.c.settled_at.desc(), reopenings.c.settled_by).limit(1)).scalar()

    def open_of(self, task: str | None = None, use: Use = "verdict") -> list[Reopening]:
        """What is open of a task, or of all, oldest first."""
        query = select(reopenings).where(reopenings.c.use == use, reopenings.c.settled_at.is_(None))
        if task is not None:
            query = query.where(reopenings.c.task == task)
        with self.engine.connect() as connection:
            ordered = query.order_by(reopenings.c.opened_at, reopenings.c.interaction_id, reopenings.c.used_by)
            return [from_row(Reopening, row) for row in connection.execute(ordered)]

    def of(self, ids: Iterable[str], use: Use) -> dict[str, list[Reopening]]:
        """The rows of each interaction, open, settled and remembered, by interaction id."""
        found: dict[str, list[Reopening]] = defaultdict(list)
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                query = select(reopenings).where(reopenings.c.interaction_id.in_(batch), reopenings.c.use == use)
                for row in connection.execute(query):
                    found[row.interaction_id].append(from_row(Reopening, row))
        return dict(found)

    def to_consider(self, task: str, learned: Collection[str]) -> set[str]:
        """The interactions that the next dataset is to consider again.

        Args:
            task: whose.
            learned: the datasets that the line which goes on has learned from. What another considered was not learned.
        """
        unlearned = or_(reopenings.c.settled_at.is_(None), reopenings.c.settled_by.not_in(learned))
        query = select(reopenings.c.interaction_id).where(
            reopenings.c.task == task, reopenings.c.use == "dataset", reopenings.c.opened_at.is_not(None), unlearned
        )
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())

    # --- what is written ----------------------------------------------------------------------------------------------

    def open(self, rows: Iterable[Reopening], use: Use) -> Counter[str]:
        """Open interactions that one use or the other made of them; one that is open already takes on what was said by now.

        Returns:
            Task to how many were not open.
        """
        opened = Counter[str]()
        for batch in in_batches(rows):
            opened += in_one_transaction(self.engine, partial(_open, rows=batch, use=use))
        return opened

    def remember(self, rows: Iterable[Reopening]) -> None:
        """Note what had been said of interactions when they were used; what a row that was opened says stays."""
        for batch in in_batches(rows):
            in_one_transaction(self.engine, partial(_remember, rows=batch))

    def consider(
        self, said: Mapping[str, str], *, seen: Mapping[str, Collection[str]], by: str, at: datetime, learned: Collection[str]
    ) -> int:
        """Note with which dataset version interactions were considered again; returns how many rows that settles.

        Args:
            said: interaction id to a hash over the verdicts that were there.
            seen: interaction id to the hashes that its rows held when that was found to be all: a row that holds another by now
                stays as it is.
            by: the dataset version.
            at: when.
            learned: the datasets of the line; what another had settled is settled by this one now.
        """
        waits = and_(
            reopenings.c.use == "dataset",
            reopenings.c.opened_at.is_not(None),
            or_(reopenings.c.settled_at.is_(None), reopenings.c.settled_by.not_in(learned)),
        )
        return self._settle(said, waits, by, at, seen)

    def judge(self, said: Mapping[str, str], *, used_by: str, by: str, at: datetime) -> int:
        """Note with which verdict that on golden items was given anew; returns how many items that settles."""
        return self._settle(said, _open_of(used_by), by, at)

    def _settle(
        self,
        said: Mapping[str, str],
        waits: ColumnElement[bool],
        by: str,
        at: datetime,
        seen: Mapping[str, Collection[str]] | None = None,
    ) -> int:
        settled = 0
        for batch in in_batches(sorted(said.items())):
            settled += in_one_transaction(self.engine, partial(_settle, said=batch, waits=waits, by=by, at=at, seen=seen))
        return settled

    def opened_verdicts(self, since: datetime) -> list[tuple[str, int, datetime]]:
        """The verdicts of which items were opened at this time or later: id, how many items, and when the first was."""
        query = select(reopenings.c.used_by, func.count(), func.min(reopenings.c.opened_at))
        query = query.where(reopenings.c.use == "verdict", reopenings.c.opened_at >= since).group_by(reopenings.c.used_by)
        with self.engine.connect() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query.order_by(func.min(reopenings.c.opened_at)))]

    def drop_open(self, used_by: Iterable[str]) -> None:
        """Forget what is open of verdicts that no longer matter."""
        with self.engine.begin() as connection:
            for one in used_by:
                connection.execute(delete(reopenings).where(_open_of(one)))

    # --- how far was looked -------------------------------------------------------------------------------------------

    def marks(self) -> dict[str, datetime]:
        """When late feedback was last looked for: by task, and under the empty name in all tasks at once."""
        return {look.task: look.at for look in self._looks(feedback_looks.c.used_by == "")}

    def versions(self, tasks: Collection[str]) -> list[Look]:
        """The training sets of these tasks that were met."""
        return [look for batch in in_batches(tasks) for look in self._looks(_is_version() & feedback_looks.c.task.in_(batch))]

    def verdicts_looked_through(self, task: str | None = None) -> set[str]:
        """Ids of the verdicts whose golden items were all looked at since they were given."""
        return {look.used_by for look in self._looks((feedback_looks.c.used_by != "") & ~_is_version(), task)}

    def _looks(self, condition: ColumnElement[bool], task: str | None = None) -> list[Look]:
        query = select(feedback_looks).where(condition)
        if task is not None:
            query = query.where(feedback_looks.c.task == task)
        with self.engine.connect() as connection:
            return [from_row(Look, row) for row in connection.execute(query)]

    def unseen_versions(self, task: str | None = None) -> list[tuple[str, str, Any, datetime]]:
        """Training sets that no look has met yet: task, fingerprint, manifest and when each was made."""
        seen = select(feedback_looks.c.used_by).where(
            feedback_looks.c.task == datasets.c.task, feedback_looks.c.used_by == datasets.c.id
        )
        query = select(datasets.c.task, datasets.c.id, datasets.c.manifest, datasets.c.created_at)
        query = query.where(datasets.c.kind == "training", ~seen.exists())
        if task is not None:
            query = query.where(datasets.c.task == task)
        with self.engine.connect() as connection:
            return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]

    def note_looks(self, looks: Iterable[Look]) -> None:
        """Note how far was looked; the moment of a task never moves back."""
        for batch in in_batches(sorted(looks, key=lambda look: (look.task, look.used_by))):
            in_one_transaction(self.engine, partial(_note, looks=batch))

    def forget_looks(self, used_by: Iterable[str]) -> None:
        """Look through these again where they matter once more."""
        with self.engine.begin() as connection:
            for batch in in_batches(used_by):
                connection.execute(delete(feedback_looks).where(feedback_looks.c.used_by.in_(batch)))


def _open(connection: Connection, *, rows: list[Reopening], use: Use) -> Counter[str]:
    waits = and_(reopenings.c.interaction_id.in_([row.interaction_id for row in rows]), reopenings.c.use == use)
    waits &= reopenings.c.settled_at.is_(None)
    columns = (reopenings.c.interaction_id, reopenings.c.used_by, reopenings.c.said)
    # An interaction is open once for training sets, whichever used it, and once for each verdict.
    known = {
        (one, used_by if use == "verdict" else ""): said
        for one, used_by, said in connection.execute(select(*columns).where(waits))
    }
    fresh = list[Reopening]()
    for row in sorted(rows, key=lambda one: (one.interaction_id, one.used_by)):
        said = known.get((row.interaction_id, row.used_by if use == "verdict" else ""))
        if said is None:
            fresh.append(row)
        elif said != row.said:
            mine = and_(
                reopenings.c.interaction_id == row.interaction_id, reopenings.c.use == use, reopenings.c.settled_at.is_(None)
            )
            mine = mine if use == "dataset" else mine & (reopenings.c.used_by == row.used_by)
            connection.execute(update(reopenings).where(mine).values(said=row.said))
    if fresh:
        statement = _inserting(connection)
        again = {name: statement.excluded[name] for name in ("said", "opened_at", "settled_at", "settled_by")}
        connection.execute(
            statement.on_conflict_do_update(index_elements=list(reopenings.primary_key), set_=again),
            [to_row(row) for row in fresh],
        )
    return Counter(row.task for row in fresh)


def _inserting(connection: Connection) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(reopenings)


def _is_version() -> ColumnElement[bool]:
    return feedback_looks.c.through.is_not(None)


def _open_of(verdict: str) -> ColumnElement[bool]:
    return and_(reopenings.c.used_by == verdict, reopenings.c.use == "verdict", reopenings.c.settled_at.is_(None))


def _remember(connection: Connection, *, rows: list[Reopening]) -> None:
    statement = _inserting(connection)
    said = {name: statement.excluded[name] for name in ("said", "settled_at", "settled_by")}
    never_open = reopenings.c.opened_at.is_(None)
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(reopenings.primary_key), set_=said, where=never_open),
        [to_row(row) for row in rows],
    )


def _settle(
    connection: Connection,
    *,
    said: list[tuple[str, str]],
    waits: ColumnElement[bool],
    by: str,
    at: datetime,
    seen: Mapping[str, Collection[str]] | None,
) -> int:
    settled = 0
    for interaction_id, what in said:
        mine = update(reopenings).where(reopenings.c.interaction_id == interaction_id, waits)
        if seen is not None:
            mine = mine.where(reopenings.c.said.in_(seen.get(interaction_id, ())))
        settled += connection.execute(mine.values(said=what, settled_at=at, settled_by=by)).rowcount
    return settled


def _note(connection: Connection, *, looks: list[Look]) -> None:
    for look in looks:
        mine = (feedback_looks.c.task == look.task) & (feedback_looks.c.used_by == look.used_by)
        if not insert_new(connection, feedback_looks, [to_row(look)]):
            later = mine & (feedback_looks.c.at < look.at)
            connection.execute(update(feedback_looks).where(later).values(at=look.at))
