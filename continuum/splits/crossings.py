"""The audit of a split: does anything that tells dialogues apart stand on both sides?

It looks at the finished sides alone, and not at how they came about, so that a fault in the grouping is found here.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from continuum.splits.groups import Groups, Side
    from continuum.splits.keys import Keys

KINDS = ("context", "beginning", "conversation", "user")


def crossings(rows: "Iterable[Keys]", side: "Mapping[str, Side]", groups: "Groups") -> dict[str, int]:
    """How many contexts, beginnings, conversations and users stand on the golden and on the training side, though they link.

    Args:
        rows: the keys of all interactions.
        side: where each stands; the quarantined are on no side.
        groups: says which beginnings are common and which conversations and users do not link.
    """
    sides: dict[str, dict[Hashable, set[bool]]] = {kind: {} for kind in KINDS}
    for row in rows:
        if side[row.id] != "quarantined":
            for kind, value in _told_by(row, groups):
                sides[kind].setdefault(value, set()).add(side[row.id] == "golden")
    return {kind: sum(len(found) > 1 for found in values.values()) for kind, values in sides.items()}


def _told_by(row: "Keys", groups: "Groups") -> Iterator[tuple[str, Hashable]]:
    if row.context:
        yield "context", row.context
    for prefix in row.prefixes():
        if prefix not in groups.common:
            yield "beginning", prefix
            break
    else:
        return
    for kind, value in (("conversation", row.conversation), ("user", row.user)):
        if value is not None and (kind, value) not in groups.refused:
            yield kind, value
