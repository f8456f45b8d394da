"""What judging, the guard and shadows keep of interactions, deleted with them."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, delete, select, update

from continuum.store.accounts import BATCH, AccountKey, settle
from continuum.store.commitments import bury
from continuum.store.erasure_tables import erased_artifacts
from continuum.store.guard_tables import commitments, golden_answers, golden_labels, golden_uses, tombstones
from continuum.store.judgements import conversation_hash, forget
from continuum.store.judging_tables import (
    accounts,
    anchor_rounds,
    batch_items,
    batches,
    judgements,
    labels,
    reservations,
    reviews,
)
from continuum.store.reading import MESSAGES
from continuum.store.rows import BATCH_ROWS
from continuum.store.serving_tables import notifications, shadow_answers
from continuum.store.tables import bodies, interactions
from continuum.store.wheel_tables import backfills, feedback_looks, reopenings


def forget_interactions(
    connection: Connection, ids: Collection[str], tasks: Iterable[str], said: Iterable[bytes], at: datetime
) -> None:
    """Delete what judging and the guard keep of interactions: before their bodies go. What proofs say of them gets tombstones.

    Args:
        connection: of the transaction that deletes them.
        ids: which.
        tasks: whose they are.
        said: the hashes of their bodies.
        at: when.
    """
    bury(connection, ids, at)
    _forget_judgements(connection, bodies.c.hash.in_(set(said)))
    of_reviews = select(reviews.c.id).where(reviews.c.interaction_id.in_(ids))
    connection.execute(delete(labels).where(labels.c.review_id.in_(of_reviews)))
    connection.execute(delete(reviews).where(reviews.c.interaction_id.in_(ids)))
    for table in (golden_answers, golden_labels, shadow_answers, reopenings):
        connection.execute(delete(table).where(table.c.interaction_id.in_(ids)))
    _take_out_of_batches(connection, ids)
    rounds = select(anchor_rounds.c.id, anchor_rounds.c.scores).where(anchor_rounds.c.task.in_(set(tasks)))
    for row in connection.execute(rounds).all():
        left = {name: score for name, score in row.scores.items() if name not in ids}
        if len(left) < len(row.scores):
            connection.execute(update(anchor_rounds).where(anchor_rounds.c.id == row.id).values(scores=left))


def forget_task(connection: Connection, task: str) -> None:
    """Delete all that judging and the guard keep of a task, its accounts too: before its interactions and their bodies go."""
    _forget_judgements(connection, bodies.c.hash.in_(select(interactions.c.body).where(interactions.c.task == task)))
    of_reviews = select(reviews.c.id).where(reviews.c.task == task)
    of_batches = select(batches.c.id).where(batches.c.task == task)
    connection.execute(delete(labels).where(labels.c.review_id.in_(of_reviews)))
    connection.execute(delete(batch_items).where(batch_items.c.batch_id.in_(of_batches)))
    judged = (reviews, batches, backfills, anchor_rounds, reservations, accounts, reopenings, feedback_looks)
    guarded = (golden_answers, golden_labels, golden_uses, commitments, tombstones)
    for table in (*judged, *guarded, shadow_answers, notifications, erased_artifacts):
        connection.execute(delete(table).where(table.c.task == task))


def _forget_judgements(connection: Connection, chosen: ColumnElement[bool]) -> None:
    if connection.execute(select(judgements.c.key).limit(1)).first() is None:
        return
    page = select(bodies.c.hash, cast(bodies.c.messages, Text).label("messages")).where(chosen).order_by(bodies.c.hash)
    rows: Any = connection.execute(page.limit(BATCH_ROWS)).all()
    while rows:
        forget(connection, {conversation_hash(MESSAGES.validate_json(row.messages)) for row in rows})
        rows = connection.execute(page.where(bodies.c.hash > rows[-1].hash).limit(BATCH_ROWS)).all()


def _take_out_of_batches(connection: Connection, ids: Collection[str]) -> None:
    """Delete rows of batches; what is reserved for one goes to another of its request, or else is booked in full."""
    chosen = batch_items.c.interaction_id.in_(ids)
    unsettled = batch_items.c.outcome.is_(None)
    held = connection.execute(select(batch_items).where(chosen, unsettled, batch_items.c.reserved_micro_usd > 0)).all()
    connection.execute(delete(batch_items).where(chosen))
    for row in held:
        others = (batch_items.c.batch_id == row.batch_id, batch_items.c.custom_id == row.custom_id, unsettled)
        heir = connection.execute(select(batch_items.c.interaction_id).where(*others).limit(1)).scalar()
        if heir is not None:
            amount = batch_items.c.reserved_micro_usd + row.reserved_micro_usd
            inherited = update(batch_items).where(*others, batch_items.c.interaction_id == heir)
            connection.execute(inherited.values(reserved_micro_usd=amount))
            continue
        task = connection.execute(select(batches.c.task).where(batches.c.id == row.batch_id)).scalar()
        if task is not None:
            account = AccountKey(task, row.purpose, row.period)
            # The provider may be working on it; nobody will hear what it costs.
            settle(connection, account, f"{BATCH}{row.batch_id}", *[row.reserved_micro_usd] * 3)
