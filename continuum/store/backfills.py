"""Backfills: old traffic that somebody wants judged, or a task led through the wheel once, and how far that is.

    open -> working -> done | incomplete
    open, working -> cancelled;  incomplete, cancelled, done -> open, when somebody asks for what is missing

Each step is one conditional UPDATE: whoever changes the row has won. Who works on one holds its claim, which ends by itself.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from pydantic import AwareDatetime, Field
from sqlalchemy import ColumnElement, Connection, and_, case, desc, or_, select, update

from continuum.ids import new_id
from continuum.records import Record
from continuum.store.claims import FREE, holder_of, unheld
from continuum.store.rows import Rows, from_row
from continuum.store.wheel_tables import backfills
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

Clock = Callable[[], datetime]
State = Literal["open", "working", "done", "incomplete", "cancelled"]
UNFINISHED: tuple[State, ...] = ("open", "working")


class BackfillRow(Record):
    """One backfill, as it stands."""

    id: str = Field(default_factory=new_id)
    task: str
    kind: Literal["judging", "turn"] = "judging"
    """`turn` for a whole turn of the wheel, which has neither bounds nor a rubric."""
    driver: Literal["here", "dagster"] = "here"
    """Who is to work on it: the process that asked, or the Dagster daemon."""
    since: AwareDatetime | None = None
    """Interactions that began then or later; None for all."""
    until: AwareDatetime | None = None
    """And before this; None for all."""
    rubric: list[dict[str, Any]] | None = None
    """The criteria as JSON; None for those of the task's policy when it is worked on."""
    adopt: bool = False
    """Whether the rubric becomes the policy's once all is judged by it."""
    state: State = "open"
    asked_by: str
    attempts: int = 0
    """How often somebody began to work on it since it was last asked for."""
    wanted: int = 0
    """Interactions of the window that are to have a judgement."""
    judged: int = 0
    """Those of them that have one."""
    failed: int = 0
    """Of what is missing: what the judge could not be asked about in the last attempt."""
    unreadable: int = 0
    """Of what is missing: what the judge said nothing readable of in the last attempt."""
    cost_usd: float = 0.0
    """US dollars that its judgements cost so far, also while somebody works on it and after it was cancelled."""
    reason: str | None = None
    """Why it is in its state, in words."""
    claimed_by: str | None = None
    claimed_until: AwareDatetime | None = None
    created_at: AwareDatetime = Field(default_factory=utc_now)
    updated_at: AwareDatetime = Field(default_factory=utc_now)

    @property
    def missing(self) -> int:
        """Interactions of the window that have no judgement."""
        return max(self.wanted - self.judged, 0)

    def worked_on_by(self, at: datetime) -> str | None:
        """Who holds its claim, in words; None when nobody does."""
        return holder_of(self.claimed_by, self.claimed_until, at)


class Backfills(Rows):
    """The backfills of all tasks."""

    def add(self, row: BackfillRow) -> bool:
        """Write a new one down; False, and nothing changes, where there is one of this id."""
        return self.insert_all(backfills, [row]) == 1

    def get(self, backfill_id: str) -> BackfillRow | None:
        """One backfill; None where there is none of this id."""
        found = self._rows(backfills.c.id == backfill_id)
        return found[0] if found else None

    def newest(self, task: str | None = None, *, limit: int = 50) -> list[BackfillRow]:
        """The last so many, of one task or of all, newest first."""
        return self._rows(*([] if task is None else [backfills.c.task == task]), limit=limit)

    def unfinished(self, driver: Literal["here", "dagster"]) -> list[BackfillRow]:
        """Those that a driver has yet to end, of all tasks, newest first."""
        return self._rows(backfills.c.state.in_(UNFINISHED), backfills.c.driver == driver)

    def claim(self, backfill_id: str, holder: str, *, lasts: timedelta, now: Clock = utc_now) -> bool:
        """Take the right to work on one; False where another holder has it, or it is not to be worked on.

        The holder that has it may claim again.
        """
        at = now()
        free = or_(backfills.c.claimed_by == holder, self._unheld(backfill_id, at))
        values = {"claimed_by": holder, "claimed_until": at + lasts, "attempts": backfills.c.attempts + 1, "reason": None}
        return self._move(backfill_id, UNFINISHED, free, at=at, state="working", **values)

    def beat(
        self, backfill_id: str, holder: str, *, lasts: timedelta, judged: int, cost_usd: float = 0.0, now: Clock = utc_now
    ) -> bool:
        """Keep the claim and say how far the work is; False where the claim is lost or the backfill was cancelled."""
        at = now()
        mine = backfills.c.claimed_by == holder
        told = {"judged": judged, "cost_usd": _no_less(cost_usd)}
        return self._move(backfill_id, ("working",), mine, at=at, claimed_until=at + lasts, **told)

    def finish(self, backfill_id: str, holder: str, state: State, *, now: Clock = utc_now, **values: Any) -> bool:
        """End the work of a holder, with what it came to; False where it is no longer the holder's."""
        return self._move(backfill_id, ("working",), backfills.c.claimed_by == holder, at=now(), state=state, **FREE, **values)

    def move(self, backfill_id: str, of: Sequence[State], to: State, *, now: Clock = utc_now, **values: Any) -> bool:
        """Put one that nobody holds from one of some states into another; False where it is in none of them, or is held."""
        at = now()
        return self._move(backfill_id, of, self._unheld(backfill_id, at), at=at, state=to, **{**FREE, **values})

    def cancel(self, backfill_id: str, reason: str, *, now: Clock = utc_now) -> bool:
        """Cancel one that is not ended; who works on it finds its claim gone. False where it is ended."""
        return self._move(backfill_id, UNFINISHED, at=now(), state="cancelled", reason=reason, **FREE)

    def spent(self, backfill_id: str, cost_usd: float) -> None:
        """Write down what was spent on one, US dollars, whatever its state is; less than is known already changes nothing."""
        with self.engine.begin() as connection:
            told = update(backfills).where(backfills.c.id == backfill_id, backfills.c.cost_usd < cost_usd)
            connection.execute(told.values(cost_usd=cost_usd))

    def _unheld(self, backfill_id: str, at: datetime) -> ColumnElement[bool]:
        row = self.get(backfill_id)
        return unheld(backfills, row and row.claimed_by, at)

    def _move(self, backfill_id: str, of: Sequence[State], *conditions: ColumnElement[bool], at: datetime, **values: Any) -> bool:
        chosen = and_(backfills.c.id == backfill_id, backfills.c.state.in_(of), *conditions)
        moved = update(backfills).where(chosen).values(updated_at=at, **values)
        return in_one_transaction(self.engine, partial(_changed_one, statement=moved))

    def _rows(self, *conditions: ColumnElement[bool], limit: int | None = None) -> list[BackfillRow]:
        query = select(backfills).where(*conditions).order_by(desc(backfills.c.created_at), desc(backfills.c.id)).limit(limit)
        with self.engine.connect() as connection:
            return [from_row(BackfillRow, row) for row in connection.execute(query)]


def _no_less(cost_usd: float) -> Any:
    """The cost that is written where it is more than what stands there: spent money is never taken back."""
    return case((backfills.c.cost_usd < cost_usd, cost_usd), else_=backfills.c.cost_usd)


def _changed_one(connection: Connection, *, statement: Any) -> bool:
    return connection.execute(statement).rowcount == 1
