"""Did we lose anything: the golden items from before the champion was trained, compared on their own.

A candidate that learns a new topic and forgets the old ones can come out even over the whole golden set, where the new topic has
its share. What the champion could have known is therefore a check of its own: it can block a candidate, never approve one.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from continuum.guard.pairs import Arm, Pairs, pair_up
from continuum.records import Checkpoint
from continuum.splits.golden import GoldenItem

if TYPE_CHECKING:
    from continuum.store.database import Store

KNOWN = ":known"
"""After a metric's name: the same metric on what the champion could have known."""


def known_before(store: "Store", champion: Checkpoint | None, items: Sequence[GoldenItem]) -> list[int]:
    """Positions of the items that arrived before the champion was trained; none without a champion, or if none came since."""
    dataset = store.datasets.get(champion.dataset_id) if champion else None
    if dataset is None:
        return []
    through = int(dataset.manifest.get("through", 0))
    arrived = store.interactions.arrived_through([item.interaction_id for item in items], through)
    known = [n for n, item in enumerate(items) if item.interaction_id in arrived]
    return known if len(known) < len(items) else []


def retention_pairs(
    metrics: Sequence[str], items: Sequence[GoldenItem], known: Sequence[int], before: Arm, after: Arm
) -> list[Pairs]:
    """Each metric on the known items alone; nothing where there are none."""
    if not known:
        return []
    chosen = [items[n] for n in known]
    arms = [replace(arm, scores={m: [arm.scores[m][n] for n in known] for m in metrics}) for arm in (before, after)]
    return [replace(pair_up(metric, chosen, *arms), metric=metric + KNOWN) for metric in metrics]
