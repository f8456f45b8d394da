"""Each metric on each slice of the golden items, so that a gain on one kind of question does not hide a loss on another.

Slices of too few groups show nothing on their own: together with the items that have no slice they make one part, `other`, which
is reported and never blocks. A slice that is all there is says nothing that the whole does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from continuum.excerpts import excerpt
from continuum.guard.pairs import OTHER, Arm, Gate, Pairs, pair_up

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenItem

NAME = 200
"""Characters of a slice's name."""


def slice_pairs(
    metrics: Sequence[str],
    items: "Sequence[GoldenItem]",
    before: Arm,
    after: Arm,
    *,
    minimum: int,
    people: Mapping[str, Sequence[float | None]] | None = None,
) -> list[Pairs]:
    """Each metric on each slice, by the slice's name, the small ones as one at the end.

    Args:
        metrics: which both arms have scores of.
        items: in the order of the arms' scores.
        before: the baseline.
        after: the candidate.
        minimum: groups that a slice needs to stand alone, whether or not they got a score.
        people: metric to people's differences, item by item.
    """
    found = []
    for part, chosen in parts_of(items, minimum).items():
        for metric in metrics:
            pairs = pair_up(metric, items, before, after, people=(people or {}).get(metric, ()), among=chosen)
            # A metric that fits no item of a slice, such as a match without references, is not missing there.
            if pairs.eligible:
                found.append(replace(pairs, metric=f"{metric}@{part}", gate=Gate.SLICE, part=part))
    return found


def parts_of(items: "Sequence[GoldenItem]", minimum: int) -> dict[str, list[int]]:
    """The positions of each slice's items; nothing where one part would hold all items.

    A slice that is itself called `other` is pooled with what is too small.
    """
    groups: dict[str, set[str]] = {}
    for item in items:
        groups.setdefault(slice_of(item), set()).add(item.group)
    large = sorted(name for name, its in groups.items() if name != OTHER and len(its) >= minimum)
    parts: dict[str, list[int]] = {name: [] for name in [*large, OTHER]}
    for n, item in enumerate(items):
        parts[name if (name := slice_of(item)) in large else OTHER].append(n)
    kept = {name: chosen for name, chosen in parts.items() if chosen}
    return kept if len(kept) > 1 else {}


def slice_of(item: "GoldenItem") -> str:
    """The slice an item belongs to, by a name that can be shown anywhere; `other` for one that belongs to none.

    Names come from users' traffic. Every check, label and report has them from here, in a line without anything unseen.
    """
    return excerpt(item.slice or "", NAME) or OTHER
