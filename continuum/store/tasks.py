"""Tasks: the policy that turns the wheel, the high-water mark and the claim.

Everything that two processes could want at once is one conditional UPDATE: whoever changes the row has won. A policy is read and
written in one transaction, so that what two set beside each other both holds.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Row, or_, select, update

from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.records import Record
from continuum.store.claims import FREE, holder_of, unheld
from continuum.store.rows import Rows, from_row, insert_new
from continuum.store.tables import tasks
from continuum.store.writing import in_one_transaction
from continuum.strict import explained
from continuum.timespan import utc_now

Clock = Callable[[], datetime]


class TaskState(Record):
    """A task as the store knows it now."""

    policy: TaskPolicy
    created_at: datetime
    trained_through: int
    """Sequence number of the last interaction that a turn has learned from."""
    claimed_by: str | None
    claimed_until: datetime | None
    driver: str | None
    """Who last came by to turn the wheel."""
    driver_seen_at: datetime | None

    @property
    def name(self) -> str:
        """The task's name."""
        return self.policy.task

    def turned_by(self, at: datetime) -> str | None:
        """Who holds the task's claim, in words; None when nobody does."""
        return holder_of(self.claimed_by, self.claimed_until, at)


class Tasks(Rows):
    """The registered tasks."""

    def register(self, policy: TaskPolicy, *, now: Clock = utc_now) -> TaskState:
        """Create the task or replace its policy; what it has learned and spent stays.

        Raises:
            ConfigurationError: a value of the policy makes no sense; nothing is written.
        """
        return self.change(policy.task, lambda _: policy, now=now)

    def change(self, name: str, make: Callable[[dict[str, Any]], TaskPolicy], *, now: Clock = utc_now) -> TaskState:
        """Make a task's policy of the one that is stored; a task that is not there yet is registered.

        Of two that change a task at once the second makes its policy of what the first has written, so that neither is lost.

        Args:
            name: the task's name.
            make: from the stored policy as JSON, readable or not and empty where there is no such task, to the new one. It may
                be called again.
            now: the clock.

        Raises:
            ConfigurationError: a value of the policy makes no sense; nothing is written.
            StoreError: the database failed.
        """
        in_one_transaction(self.engine, partial(_change, name=name, make=make, at=now()))
        return self.get(name)

    def ensure(self, name: str, *, now: Clock = utc_now) -> None:
        """Create the task with the default policy if nobody has registered it."""
        with self.engine.begin() as connection:
            ensure_tasks(connection, {name}, now())

    def get(self, name: str) -> TaskState:
        """A task.

        Raises:
            ConfigurationError: there is none of this name, and the message lists those there are; or its policy cannot be read.
        """
        with self.engine.connect() as connection:
            row = connection.execute(select(tasks).where(tasks.c.name == name)).first()
        if row is None:
            known = ", ".join(self.names()) or "none yet"
            raise ConfigurationError(
                f"there is no task {name!r} (known: {known}); capture or import something for it, or register its policy"
            )
        return _state(row)

    def every(self) -> tuple[list[TaskState], dict[str, ConfigurationError]]:
        """All tasks by name, in one read: those that can be read, and by name why the others cannot."""
        states, unreadable = [], {}
        with self.engine.connect() as connection:
            rows = connection.execute(select(tasks).order_by(tasks.c.name)).all()
        for row in rows:
            try:
                states.append(_state(row))
            except ConfigurationError as error:
                unreadable[row.name] = error
        return states, unreadable

    def raw_policy(self, name: str) -> dict[str, Any] | None:
        """A task's policy as it is stored, readable or not; None where there is no such task."""
        with self.engine.connect() as connection:
            row = connection.execute(select(tasks.c.policy).where(tasks.c.name == name)).first()
        return None if row is None else dict(row.policy or {})

    def names(self) -> list[str]:
        """The names of all tasks, sorted."""
        with self.engine.connect() as connection:
            return list(connection.execute(select(tasks.c.name).order_by(tasks.c.name)).scalars())

    def holders(self) -> dict[str, str]:
        """Who holds the claim of each task that is claimed, by task; also where it has ended by itself."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(tasks.c.name, tasks.c.claimed_by).where(tasks.c.claimed_by.is_not(None)))
            return {row.name: row.claimed_by for row in rows}

    def advance(self, name: str, *, base: int, to: int) -> bool:
        """Move the high-water mark from `base` to `to`; False when somebody else moved it first."""
        moved = update(tasks).where(tasks.c.name == name, tasks.c.trained_through == base).values(trained_through=to)
        with self.engine.begin() as connection:
            return connection.execute(moved).rowcount == 1

    def claim(self, name: str, holder: str, *, lasts: timedelta, now: Clock = utc_now) -> bool:
        """Take the right to turn this task's wheel; False while another holder has it. A claim ends by itself.

        The holder that has it may claim again, to keep it longer. What a process of this host held that has ended is free.
        """
        at = now()
        with self.engine.connect() as connection:
            found = connection.execute(select(tasks.c.claimed_by).where(tasks.c.name == name)).scalar_one_or_none()
        free = or_(tasks.c.claimed_by == holder, unheld(tasks, found, at))
        taken = update(tasks).where(tasks.c.name == name, free).values(claimed_by=holder, claimed_until=at + lasts)
        with self.engine.begin() as connection:
            return connection.execute(taken).rowcount == 1

    def release(self, name: str, holder: str) -> None:
        """Give the claim back; nothing happens when the holder no longer has it."""
        mine = update(tasks).where(tasks.c.name == name, tasks.c.claimed_by == holder)
        with self.engine.begin() as connection:
            connection.execute(mine.values(FREE))

    def saw_driver(self, driver: str, *, now: Clock = utc_now) -> None:
        """Note that a driver came by; `status` tells when none has."""
        with self.engine.begin() as connection:
            connection.execute(update(tasks).values(driver=driver, driver_seen_at=now()))


def _change(connection: Connection, *, name: str, make: Callable[[dict[str, Any]], TaskPolicy], at: datetime) -> None:
    stored = select(tasks.c.policy).where(tasks.c.name == name).with_for_update()
    while True:
        row = connection.execute(stored).first()
        made = make({} if row is None else dict(row.policy or {}))
        # A policy that was copied with changes has not been checked, and one that cannot be read would stop every process.
        content = TaskPolicy(**made.model_dump(warnings=False)).model_dump(mode="json")
        if row is not None:
            connection.execute(update(tasks).where(tasks.c.name == name).values(policy=content))
            return
        if insert_new(connection, tasks, [{"name": name, "policy": content, "created_at": at}]):
            return


def _state(row: Row[Any]) -> TaskState:
    try:
        return from_row(TaskState, row)
    except ValidationError as error:
        raise ConfigurationError(
            f"the stored policy of task {row.name!r} cannot be read: {explained(error)}; "
            f"mend it with: continuum tasks set {row.name} FIELD=VALUE"
        ) from error


def ensure_tasks(connection: Connection, names: set[str], at: datetime) -> None:
    """Create those of the tasks that nobody has registered, with the default policy."""
    known = set(connection.execute(select(tasks.c.name).where(tasks.c.name.in_(names))).scalars())
    # In one order for all writers, so that two that create the same tasks do not wait for each other.
    for name in sorted(names - known):
        row = {"name": name, "policy": TaskPolicy(task=name).model_dump(mode="json"), "created_at": at}
        insert_new(connection, tasks, [row])
