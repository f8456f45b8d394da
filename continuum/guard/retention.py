"""Did we lose anything: the golden items from before the champion was trained, compared on their own.

A candidate that learns a new topic and forgets the old ones can come out even over the whole golden set, where the new topic has
its share. What the champion could have known is therefore a check of its own: it can block a candidate, never approve one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from continuum.guard.pairs import KNOWN, Arm, Gate, Pairs, pair_up
from continuum.records import Checkpoint
from continuum.splits.golden import GoldenItem

if TYPE_CHECKING:
    from continuum.store.database import Store


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
    metrics: Sequence[str],
    items: Sequence[GoldenItem],
    known: Sequence[int],
    before: Arm,
    after: Arm,
    people: Mapping[str, Sequence[float | None]] | None = None,
) -> list[Pairs]:
    """Each metric on the known items alone; nothing where there are none.

    They are all of the ordinary gate, safety too: its own gate has it over all items.

    Args:
        metrics: which both arms have scores of.
        items: in the order of the arms' scores.
        known: positions of the known items.
        before: the baseline.
        after: the candidate.
        people: metric to people's differences, item by item.
    """
    if not known:
        return []
    found = [pair_up(m, items, before, after, people=(people or {}).get(m, ()), among=known) for m in metrics]
    return [replace(pairs, metric=pairs.metric + KNOWN, gate=Gate.ORDINARY, part=KNOWN[1:]) for pairs in found]
