"""What people are told, and whether they were: an outbox, so that nothing that happens waits for a webhook."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, Field
from sqlalchemy import ColumnElement, func, select, update

from continuum.records import Record
from continuum.store.rows import Rows, from_row, to_row
from continuum.store.serving_tables import notifications


class Notification(Record):
    """Something to tell over one channel."""

    id: str
    """Of what happened and the channel: whoever writes it down again changes nothing."""
    task: str
    deployment_id: str | None = None
    channel: str
    kind: str
    words: str
    payload: dict[str, Any] = {}
    created_at: AwareDatetime
    """When it happened."""
    attempts: int = Field(default=0, ge=0)
    """How often somebody set out to deliver it."""
    next_at: AwareDatetime | None = None
    """When it is tried next; None once it is delivered or given up."""
    delivered_at: AwareDatetime | None = None
    error: str | None = None
    """What came of the last attempt that failed."""


class Notifications(Rows):
    """The outbox of all tasks and channels."""

    def add(self, told: Iterable[Notification]) -> int:
        """Write down what is to be told; the count of what was not there yet."""
        return self.insert_all(notifications, told)

    def span(self, channel: str) -> tuple[datetime, datetime] | None:
        """When the first and the last of what a channel was to be told happened; None where it was never told anything."""
        query = select(func.min(notifications.c.created_at), func.max(notifications.c.created_at))
        with self.engine.connect() as connection:
            first, last = connection.execute(query.where(notifications.c.channel == channel)).one()
        return None if first is None else (first, last)

    def due(self, channel: str, now: datetime, *, most: int = 20) -> list[Notification]:
        """What a channel is to be told by now, oldest first."""
        return self._found((notifications.c.channel == channel) & (notifications.c.next_at <= now), most)

    def waiting(self, task: str | None = None, *, most: int = 100) -> list[Notification]:
        """What has still to be told, of one task or of all, oldest first."""
        condition = notifications.c.next_at.is_not(None)
        return self._found(condition if task is None else condition & (notifications.c.task == task), most)

    def of(self, deployment_id: str) -> list[Notification]:
        """What was and is to be told of a deployment, oldest first."""
        return self._found(notifications.c.deployment_id == deployment_id, None)

    def change(self, seen: Notification, **values: Any) -> Notification | None:
        """Change what was seen, unless somebody set out to deliver it meanwhile: None then, and nothing is written."""
        new = Notification.model_validate(seen.model_copy(update=values).model_dump())
        unchanged = (notifications.c.id == seen.id) & (notifications.c.attempts == seen.attempts)
        with self.engine.begin() as connection:
            # What is delivered already is nobody's to deliver again.
            unchanged &= notifications.c.next_at.is_not(None)
            changed = connection.execute(update(notifications).where(unchanged).values(to_row(new))).rowcount
        return new if changed == 1 else None

    def _found(self, condition: ColumnElement[bool], most: int | None) -> list[Notification]:
        query = select(notifications).where(condition).order_by(notifications.c.created_at, notifications.c.id).limit(most)
        with self.engine.connect() as connection:
            return [from_row(Notification, row) for row in connection.execute(query)]
