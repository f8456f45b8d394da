"""Feedback by when it reached the store: what people have said of which interactions since a moment, and how that is told apart.

Only verdicts count here: explicit feedback with a score or a correction. What else is said changes nothing that is learned or
measured.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from continuum.store.judging_tables import reviews
from continuum.store.rows import Rows, in_batches
from continuum.store.sides import CODES
from continuum.store.tables import dataset_items, datasets, feedback, interactions, sides, verdicts

OVERLAP = timedelta(minutes=10)
"""How far clocks may differ, and how long a transaction that writes feedback may take: of what reached the store so shortly
before it was read, a hash tells whether it was seen, and not the time."""
NOTHING = sha256(b"").hexdigest()
"""What stands for an interaction that nobody has judged."""


@dataclass(frozen=True)
class Spoken:
    """An interaction of which people said something since."""

    interaction_id: str
    task: str
    sequence: int
    started_at: datetime
    arrived_at: datetime
    """When the newest of it reached the store."""


@dataclass(frozen=True)
class Given:
    """A verdict, and what it was given on."""

    id: str
    task: str
    checkpoint_id: str
    golden_id: str


class LateFeedback(Rows):
    """The arrivals of feedback, for all tasks at once."""

    def since(self, at: datetime, tasks: Collection[str] | None = None) -> list[Spoken]:
        """The interactions that people gave a verdict on which reached the store after a moment, in no order.

        Args:
            at: the moment.
            tasks: whose; all when left out.
        """
        found: dict[str, Spoken] = {}
        with self.engine.connect() as connection:
            for name in (interactions.c.id, interactions.c.provider_response_id):
                query = (
                    select(*(interactions.c[one] for one in WHAT), func.max(feedback.c.arrived_at).label("arrived_at"))
                    .join(feedback, feedback.c.interaction_id == name)
                    .where(feedback.c.arrived_at > at, is_verdict())
                    .group_by(interactions.c.sequence)
                )
                if tasks is not None:
                    query = query.where(interactions.c.task.in_(tasks))
                for row in connection.execute(query):
                    spoken = Spoken(row.id, row.task, row.sequence, row.started_at, row.arrived_at)
                    before = found.get(spoken.interaction_id)
                    if before is None or before.arrived_at < spoken.arrived_at:
                        found[spoken.interaction_id] = spoken
        return list(found.values())

    def said(self, ids: Iterable[str]) -> dict[str, str]:
        """A hash over the verdicts on each interaction, in hex; those that nobody has judged are left out.

        Two hashes are the same where the same feedback is there, whatever it says and in whatever order it came.
        """
        verdicts: dict[str, set[str]] = defaultdict(set)
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                for query in _verdicts_on(batch):
                    for interaction_id, feedback_id in connection.execute(query):
                        verdicts[interaction_id].add(feedback_id)
        return {one: sha256("\n".join(sorted(names)).encode()).hexdigest() for one, names in verdicts.items()}

    def held_apart(self, ids: Iterable[str], draw: str) -> set[str]:
        """Those of the interactions that no training set may hold, whatever is said of them.

        They are or were golden, are anchors, or stand on the golden side or in quarantine by this draw.
        """
        found: set[str] = set()
        golden = select(dataset_items.c.interaction_id).join(datasets, datasets.c.id == dataset_items.c.dataset_id)
        golden = golden.where(datasets.c.kind == "golden")
        anchors = select(reviews.c.interaction_id).where(reviews.c.queue == "anchor")
        other_side = select(sides.c.interaction_id).where(sides.c.side.in_(APART), sides.c.draw == draw)
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                found.update(connection.execute(golden.where(dataset_items.c.interaction_id.in_(batch))).scalars())
                found.update(connection.execute(anchors.where(reviews.c.interaction_id.in_(batch))).scalars())
                found.update(connection.execute(other_side.where(sides.c.interaction_id.in_(batch))).scalars())
        return found

    def golden_items(self, ids: Iterable[str], among: Collection[str]) -> dict[str, set[str]]:
        """Those of the interactions that these golden datasets hold, by dataset."""
        found: dict[str, set[str]] = defaultdict(set)
        with self.engine.connect() as connection:
            for batch in in_batches(ids):
                held = select(dataset_items.c.dataset_id, dataset_items.c.interaction_id)
                for dataset_id, one in connection.execute(held.where(dataset_items.c.interaction_id.in_(batch))):
                    if dataset_id in among:
                        found[dataset_id].add(one)
        return dict(found)

    def newest_verdicts(self, checkpoints: Iterable[str]) -> list[Given]:
        """The newest verdict on each of these checkpoints, of those that have one; without its evidence."""
        newest: dict[str, Given] = {}
        columns = (verdicts.c.id, verdicts.c.task, verdicts.c.checkpoint_id, verdicts.c.golden_id)
        with self.engine.connect() as connection:
            for batch in in_batches(checkpoints):
                query = select(*columns).where(verdicts.c.checkpoint_id.in_(batch))
                for row in connection.execute(query.order_by(verdicts.c.created_at, verdicts.c.id)):
                    newest[row.checkpoint_id] = Given(*row)
        return list(newest.values())


APART = (CODES["golden"], CODES["quarantined"])
WHAT = ("id", "task", "sequence", "started_at")


def is_verdict() -> ColumnElement[bool]:
    """Whether feedback says how good an answer is, or what it should have been."""
    speaks = or_(feedback.c.score.is_not(None), and_(feedback.c.correction.is_not(None), feedback.c.correction != ""))
    return and_(feedback.c.kind == "explicit", speaks)


def _verdicts_on(ids: Collection[str]) -> list[Select[str, str]]:
    by_id = select(feedback.c.interaction_id, feedback.c.id).where(feedback.c.interaction_id.in_(ids), is_verdict())
    provided = select(interactions.c.id, feedback.c.id).join(
        feedback, feedback.c.interaction_id == interactions.c.provider_response_id
    )
    return [by_id, provided.where(interactions.c.id.in_(ids), is_verdict())]
