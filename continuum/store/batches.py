"""Backlogs at a provider's batch endpoint: what was handed over, what is reserved for it, and what became of each request.

A batch holds its money and its claims under a name of its own, which no process's death touches. Each request is settled once,
in the transaction that writes what was said; whoever comes later with the same result changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, case, delete, func, or_, select, update

from continuum.records import Annotation
from continuum.store.accounts import BATCH, AccountKey, Balance, reserve, settle
from continuum.store.judgements import Content, claim, keep, release
from continuum.store.judging_tables import batch_items, batches, workers
from continuum.store.rows import Rows, in_batches, insert_new, to_row
from continuum.store.tables import annotations
from continuum.store.writing import in_one_transaction

OPEN = ("prepared", "sending", "submitted", "ended")
"""The states in which a batch is still somebody's business; `closed` is the one in which it is nobody's."""
LEFT_TO_LIVE = ("unreadable", "refused")
"""Outcomes after which a batch is not tried again: a live call may repair what a file of results cannot."""
MOST_TRIES = 3
"""Batches in which a request may stay without an answer before it is left to a live call."""


@dataclass(frozen=True)
class BatchRow:
    """One batch."""

    id: str
    task: str
    judge: str
    rubric: str
    base_url: str
    state: str
    worker: str | None
    provider_id: str | None
    detail: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @property
    def holder(self) -> str:
        """The name under which it holds money and claims."""
        return f"{BATCH}{self.id}"


@dataclass(frozen=True)
class Candidate:
    """An interaction that may go into a batch."""

    interaction_id: str
    content: Content
    bound_micro_usd: int
    """The most that judging it can cost."""


@dataclass
class Taken:
    """What became of candidates."""

    requests: int = 0
    """Contents that the provider is to judge; interactions of one content make one."""
    interactions: int = 0
    reserved_micro_usd: int = 0
    known: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Interaction ids with what was said of their content before."""
    elsewhere: int = 0
    """Interactions whose content another worker or batch is at."""
    exhausted: bool = False
    """The budget did not cover them all."""


@dataclass(frozen=True)
class Outcome:
    """What became of one request."""

    custom_id: str
    name: str
    """`judged`, `unreadable`, `refused`, `unanswered`, or `returned` where it was never worked on."""
    cost_micro_usd: int | None = 0
    """None where nobody knows: then all that is reserved for it is spent."""
    content: Content | None = None
    judgement: dict[str, Any] | None = None
    """What was said, as JSON; None gives the claim free."""
    annotations: Sequence[Annotation] = ()


class Batches(Rows):
    """The batches of all tasks."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.sending: set[str] = set()
        """The batches that this process is handing over now."""

    def add(self, row: BatchRow) -> None:
        """Write a new batch down; it holds nothing yet."""
        values = {name: getattr(row, name) for name in row.__dataclass_fields__}
        in_one_transaction(self.engine, lambda connection: insert_new(connection, batches, [values]))

    def get(self, batch_id: str) -> BatchRow | None:
        """One batch; None where there is none of this id."""
        found = self._rows(batches.c.id == batch_id)
        return found[0] if found else None

    def open(self) -> list[BatchRow]:
        """The batches that are not closed, oldest first."""
        return self._rows(batches.c.state.in_(OPEN))

    def newest(self, task: str, judge: str, base_url: str) -> BatchRow | None:
        """The last batch that was handed to this judge for a task."""
        found = self._rows(batches.c.task == task, batches.c.judge == judge, batches.c.base_url == base_url)
        return found[-1] if found else None

    def _rows(self, *conditions: ColumnElement[bool]) -> list[BatchRow]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(batches).where(*conditions).order_by(batches.c.created_at, batches.c.id))
            return [BatchRow(**row) for row in rows.mappings()]

    def note(self, batch_id: str, at: datetime, *, state: str | None = None, provider: str | None = None, **detail: Any) -> None:
        """Write down how far a batch is; details that are there already and not given stay."""
        in_one_transaction(self.engine, partial(_note, batch_id=batch_id, at=at, state=state, provider=provider, detail=detail))

    def hold(self, batch_id: str, worker: str, at: datetime) -> bool:
        """Take the right to send a batch, from nobody or from a process that is no more; False where it is another's."""
        living = select(workers.c.id).where(workers.c.id == batches.c.worker).exists()
        mine = update(batches).where(
            batches.c.id == batch_id,
            batches.c.state.in_(("prepared", "sending")),
            or_(batches.c.worker.is_(None), batches.c.worker == worker, ~living),
        )
        return in_one_transaction(
            self.engine, lambda connection: connection.execute(mine.values(worker=worker, updated_at=at)).rowcount == 1
        )

    def is_held(self, batch_id: str) -> bool:
        """Whether a process that lives is filling or sending a batch."""
        living = select(workers.c.id).where(workers.c.id == batches.c.worker).exists()
        with self.engine.connect() as connection:
            return connection.execute(select(batches.c.id).where(batches.c.id == batch_id, living)).first() is not None

    def let_go(self, batch_id: str, worker: str) -> None:
        """Give the right to send a batch back."""
        mine = update(batches).where(batches.c.id == batch_id, batches.c.worker == worker)
        in_one_transaction(self.engine, lambda connection: connection.execute(mine.values(worker=None)))

    def drop_if_empty(self, batch_id: str) -> bool:
        """Delete a batch that nothing was put into; False where something was."""
        held = select(batch_items.c.interaction_id).where(batch_items.c.batch_id == batches.c.id).exists()
        empty = delete(batches).where(batches.c.id == batch_id, ~held)
        return in_one_transaction(self.engine, lambda connection: connection.execute(empty).rowcount == 1)

    def take(
        self,
        batch: BatchRow,
        candidates: Sequence[Candidate],
        key: AccountKey,
        *,
        at: datetime,
        limit_micro_usd: int | None,
        room_micro_usd: int | None = None,
    ) -> Taken:
        """Claim what nobody has judged or is judging, reserve what it can cost, and put it into the batch: all or none of it.

        Args:
            batch: which.
            candidates: what may go in, in order; where the money ends, the rest stays out.
            key: the account that pays.
            at: now.
            limit_micro_usd: the limit on the account; None for none.
            room_micro_usd: the most that may be reserved this time; None for no limit of its own.

        Raises:
            StoreError: the database failed, and nothing is taken.
        """
        work = partial(_take, batch=batch, candidates=candidates, key=key, at=at, limit=limit_micro_usd, room=room_micro_usd)
        return in_one_transaction(self.engine, work)

    def settle(self, batch: BatchRow, outcomes: Iterable[Outcome], at: datetime) -> list[tuple[Outcome, int]]:
        """Settle requests with what became of them, in one transaction.

        Returns:
            Those that were not settled before, each with the micro-dollars that are spent for it.

        Raises:
            StoreError: the database failed, and nothing is settled.
        """
        return in_one_transaction(self.engine, partial(_settle, batch=batch, outcomes=list(outcomes), at=at))

    def pending(self, batch_id: str) -> dict[str, list[str]]:
        """The requests that are not settled, each with the interactions it stands for, the one that pays first."""
        columns = (batch_items.c.custom_id, batch_items.c.interaction_id, batch_items.c.reserved_micro_usd)
        query = select(*columns).where(batch_items.c.batch_id == batch_id, batch_items.c.outcome.is_(None))
        found: dict[str, list[str]] = {}
        with self.engine.connect() as connection:
            for custom_id, interaction_id, reserved in connection.execute(query.order_by(batch_items.c.interaction_id)):
                others = found.setdefault(custom_id, [])
                others.insert(0 if reserved else len(others), interaction_id)
        return found

    def outcomes(self, batch_id: str) -> dict[str | None, int]:
        """How many of a batch's interactions came to what; under None those that are not settled."""
        query = select(batch_items.c.outcome, func.count()).where(batch_items.c.batch_id == batch_id)
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(batch_items.c.outcome))}

    def under_way(self, task: str) -> set[str]:
        """The interactions of a task that are in a batch now."""
        query = select(batch_items.c.interaction_id).join(batches, batches.c.id == batch_items.c.batch_id)
        with self.engine.connect() as connection:
            return set(connection.execute(query.where(batches.c.task == task, batch_items.c.outcome.is_(None))).scalars())

    def left_to_live(self, task: str, judge: str, rubric: str) -> set[str]:
        """The interactions that no batch is tried for again, and that this judge has not scored by this rubric."""
        unanswered = func.sum(case((batch_items.c.outcome == "unanswered", 1), else_=0))
        hopeless = func.max(case((batch_items.c.outcome.in_(LEFT_TO_LIVE), 1), else_=0))
        said = select(annotations.c.id).where(
            annotations.c.interaction_id == batch_items.c.interaction_id,
            annotations.c.judge == judge,
            annotations.c.rubric == rubric,
        )
        query = (
            select(batch_items.c.interaction_id)
            .join(batches, batches.c.id == batch_items.c.batch_id)
            .where(batches.c.task == task, batches.c.judge == judge, batches.c.rubric == rubric, ~said.exists())
            .group_by(batch_items.c.interaction_id)
            .having(or_(hopeless == 1, unanswered >= MOST_TRIES))
        )
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())


def _note(
    connection: Connection, *, batch_id: str, at: datetime, state: str | None, provider: str | None, detail: dict[str, Any]
) -> None:
    known = connection.execute(select(batches.c.detail).where(batches.c.id == batch_id).with_for_update()).scalar()
    values: dict[str, Any] = {"updated_at": at, "detail": (known or {}) | detail}
    if state is not None:
        values["state"] = state
    if provider is not None:
        values["provider_id"] = provider
    connection.execute(update(batches).where(batches.c.id == batch_id).values(**values))


def _take(
    connection: Connection,
    *,
    batch: BatchRow,
    candidates: Sequence[Candidate],
    key: AccountKey,
    at: datetime,
    limit: int | None,
    room: int | None,
) -> Taken:
    taken, new, shared = Taken(), [], []
    # Claimed in one order by all, so that two who take the same never wait for each other.
    contents = {candidate.content.key: candidate.content for candidate in candidates}
    claims = {key: claim(connection, content, batch.holder, at) for key, content in sorted(contents.items())}
    asked = _asked(connection, batch.id, [name for name, claimed in claims.items() if claimed.mine])
    for candidate in candidates:
        claimed = claims[candidate.content.key]
        if claimed.judgement is not None:
            taken.known.append((candidate.interaction_id, claimed.judgement))
        elif not claimed.mine:
            taken.elsewhere += 1
        elif candidate.content.key in asked:
            shared.append(candidate)
        else:
            new.append(candidate)
            asked.add(candidate.content.key)
    affordable = _reserved(connection, batch, new, key, limit, room)
    turned_away = {candidate.content.key for candidate in new[affordable:]}
    for custom_id in turned_away:
        release(connection, custom_id, batch.holder)
    rows = {"batch_id": batch.id, "purpose": key.purpose, "period": key.period}
    paid = [(candidate, candidate.bound_micro_usd) for candidate in new[:affordable]]
    free = [(candidate, 0) for candidate in shared if candidate.content.key not in turned_away]
    for candidate, bound in (*paid, *free):
        item = {"interaction_id": candidate.interaction_id, "custom_id": candidate.content.key, "reserved_micro_usd": bound}
        taken.interactions += insert_new(connection, batch_items, [rows | item | {"outcome": None}])
    taken.requests, taken.exhausted = affordable, affordable < len(new)
    taken.reserved_micro_usd = sum(bound for _, bound in paid)
    return taken


def _asked(connection: Connection, batch_id: str, custom_ids: Iterable[str]) -> set[str]:
    """Those of the ids under which the batch has a request already."""
    found: set[str] = set()
    for some in in_batches(custom_ids):
        query = select(batch_items.c.custom_id).where(batch_items.c.batch_id == batch_id, batch_items.c.custom_id.in_(some))
        found.update(connection.execute(query).scalars())
    return found


def _reserved(
    connection: Connection, batch: BatchRow, new: Sequence[Candidate], key: AccountKey, limit: int | None, room: int | None
) -> int:
    """Reserve for as many of the candidates as there is money for, from the first on; how many that are."""
    count = _fitting(new, room)
    while count:
        amount = sum(candidate.bound_micro_usd for candidate in new[:count])
        short: Balance | None = reserve(connection, key, batch.holder, amount, limit)
        if short is None or limit is None:
            return count
        # Fewer than before: what was found standing left no room for all of these.
        count = min(count - 1, _fitting(new, limit - short.spent_micro_usd - short.reserved_micro_usd))
    return 0


def _fitting(candidates: Sequence[Candidate], room: int | None) -> int:
    if room is None:
        return len(candidates)
    count = 0
    for candidate in candidates:
        room -= candidate.bound_micro_usd
        if room < 0:
            break
        count += 1
    return count


def _settle(connection: Connection, *, batch: BatchRow, outcomes: Sequence[Outcome], at: datetime) -> list[tuple[Outcome, int]]:
    new: list[tuple[Outcome, int]] = []
    money: dict[AccountKey, list[int]] = defaultdict(lambda: [0, 0, 0])
    for outcome in outcomes:
        theirs = (
            batch_items.c.batch_id == batch.id,
            batch_items.c.custom_id == outcome.custom_id,
            batch_items.c.outcome.is_(None),
        )
        ended = update(batch_items).where(*theirs).values(outcome=outcome.name)
        items = connection.execute(ended.returning(*batch_items.c)).all()
        if not items:
            continue
        reserved = sum(item.reserved_micro_usd for item in items)
        spent = reserved if outcome.cost_micro_usd is None else outcome.cost_micro_usd
        new.append((outcome, spent))
        account = money[AccountKey(batch.task, items[0].purpose, items[0].period)]
        for n, amount in enumerate((reserved, spent, reserved if outcome.cost_micro_usd is None else 0)):
            account[n] += amount
        if outcome.judgement is not None and outcome.content is not None:
            keep(connection, outcome.content, outcome.judgement, at, worker=batch.holder)
        else:
            release(connection, outcome.custom_id, batch.holder)
        insert_new(connection, annotations, [to_row(annotation) for annotation in outcome.annotations])
    for account, amounts in sorted(money.items(), key=lambda entry: (entry[0].purpose, entry[0].period)):
        settle(connection, account, batch.holder, *amounts)
    return new
