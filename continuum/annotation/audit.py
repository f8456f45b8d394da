"""What people are asked about at random: the audit stream, which calibrates a judge, and the anchors, which show it drift.

Both are drawn by a salted hash of the interaction's id, without a look at any score, so what people say of them stands for all
that was judged. What people volunteer, or are asked because it would teach most, does not, and is never mixed in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from continuum.policy import TaskPolicy
from continuum.splits.sides import unit_hash
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

TRAFFIC_PER_ANCHOR = 10
"""Anchors are drawn once there is this many times as much to draw from: they are taken away from training for good."""
LOOK_BACK = timedelta(days=30)
"""How long after it was judged an interaction may still be drawn, so that nothing is missed when a process dies in between."""


@dataclass(frozen=True)
class Drawn:
    """What was put before people in one go."""

    audit: int
    """Interactions that joined the audit stream."""
    anchors: int
    """Interactions that were frozen as anchors."""


def draw_for_people(store: "Store", policy: TaskPolicy, *, now: Callable[[], datetime] = utc_now) -> Drawn:
    """Draw what a task's policy asks for from what was judged; may be called at any time and any number of times.

    Raises:
        StoreError: the database failed.
    """
    from continuum.store.scores import Scores

    judged = Scores(store.engine).judged_ids(policy.task, since=now() - LOOK_BACK)
    salt = policy.splits.salt
    return Drawn(
        audit=draw_audit(store, policy.task, judged, policy.judge.audit_rate, salt=salt, now=now),
        anchors=freeze_anchors(store, policy.task, policy.judge.anchors, salt=salt, now=now),
    )


def draw_audit(
    store: "Store", task: str, interactions: Iterable[str], rate: float, *, salt: str, now: Callable[[], datetime] = utc_now
) -> int:
    """Draw interactions for the audit stream, each on its own and with the probability `rate`.

    An interaction has a place between 0 and 1 that only the salt and its id decide, and is in when its place lies below the
    rate. It may be considered any number of times: considered at several rates it is in when its place lies below the highest,
    and that is the probability it is recorded with. So whoever considers interactions again must not leave out those that are
    in already, and a task keeps one salt.

    Args:
        store: where the stream is.
        task: whose.
        interactions: ids of what was judged, whatever the scores.
        rate: the probability, 0 to 1.
        salt: decides the places.
        now: the clock.

    Returns:
        How many joined the stream.

    Raises:
        StoreError: the database failed; nothing is written.
    """
    from continuum.store.draws import Draws

    # The purpose is part of the salt: the places must not depend on what else is drawn by the same salt.
    chosen = [interaction_id for interaction_id in interactions if unit_hash(f"{salt}:audit", interaction_id) < rate]
    return Draws(store.engine).audit(task, chosen, rate, now=now) if chosen else 0


def freeze_anchors(store: "Store", task: str, count: int, *, salt: str, now: Callable[[], datetime] = utc_now) -> int:
    """Draw a task's anchors, once and for all: so many of the judged interactions that nothing was trained on.

    They are drawn when there is enough traffic that the loss of them to training does not matter, and never change again;
    nothing of them is ever selected or trained on. Those that are on the golden side stay golden: the guard compares models
    on the questions, and the anchors' scores decide nothing there.

    Args:
        store: where the interactions are.
        task: whose.
        count: how many anchors; 0 for none.
        salt: decides which.
        now: the clock.

    Returns:
        How many were drawn: 0 where there are anchors already, or too little was judged yet.

    Raises:
        StoreError: the database failed; nothing is written.
    """
    from continuum.store.draws import Draws
    from continuum.store.scores import Scores

    if count < 1 or store.reviews.ids(task, "anchor"):
        return 0
    trained = store.datasets.member_ids(task, "training")
    eligible = [one for one in Scores(store.engine).judged_ids(task, valid=True) if one not in trained]
    if len(eligible) < count * TRAFFIC_PER_ANCHOR:
        return 0
    chosen = sorted(eligible, key=lambda one: unit_hash(f"{salt}:anchor", one))[:count]
    frozen, ours = Draws(store.engine).anchors(task, chosen, count / len(eligible), now=now)
    return frozen if ours else 0


def second_sample(ids: Iterable[str], rate: float, salt: str) -> list[str]:
    """Those of the interactions that a second judge scores too: each with the probability `rate`, whatever its scores."""
    return [interaction_id for interaction_id in ids if unit_hash(f"{salt}:second", interaction_id) < rate]
