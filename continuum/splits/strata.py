"""A draw by slices: each as near as can be to its share, whatever order the items come in."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from continuum.splits.golden_items import GoldenItem
from continuum.splits.sides import unit_hash


def stratified(
    fresh: Sequence[GoldenItem], inside: Iterable[GoldenItem], traffic: Iterable[GoldenItem], room: int, salt: str
) -> list[GoldenItem]:
    """Draw so that each slice comes as near as can be to its share of the traffic; the same draw whatever the order.

    Places are given one by one to the slice whose share divided by twice its items plus one is largest (Sainte-Laguë), so that a
    rare slice has its first item early and no slice crowds the others out.

    Args:
        fresh: what may be drawn.
        inside: what is in already; counts for its slice.
        traffic: what the shares are told by.
        room: the most that are drawn.
        salt: seeds the order within a slice.
    """
    shares = Counter(item.slice or "" for item in traffic)
    have = Counter(item.slice or "" for item in inside)
    waiting: dict[str, list[GoldenItem]] = defaultdict(list)
    for item in reversed(_in_turns(fresh, salt)):
        waiting[item.slice or ""].append(item)
    drawn: list[GoldenItem] = []
    while waiting and len(drawn) < room:
        # A share may be 0 where the slice is known from elsewhere; the name settles a tie.
        slice_ = min(waiting, key=lambda name: (-shares[name] / (2 * have[name] + 1), name))
        drawn.append(waiting[slice_].pop())
        have[slice_] += 1
        if not waiting[slice_]:
            del waiting[slice_]
    return drawn


def _in_turns(items: Sequence[GoldenItem], salt: str) -> list[GoldenItem]:
    """In the order of a salted hash, one item of each group before the second of any."""
    ordered = sorted(items, key=lambda item: (unit_hash(salt, item.interaction_id), item.interaction_id))
    seen: Counter[str] = Counter()
    turn: dict[str, int] = {}
    for item in ordered:
        turn[item.interaction_id] = seen[item.group]
        seen[item.group] += 1
    return sorted(ordered, key=lambda item: turn[item.interaction_id])
