"""A fixed sample of whole groups, for when there are more golden items than one run may answer."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenItem


def whole_groups(items: "Sequence[GoldenItem]", limit: int | None, *, salt: str) -> "list[GoldenItem]":
    """All items, or whole groups of them in the order of a salted hash, as far as they fit in `limit`.

    The sample is the same in every run, so that two models, and two runs, are compared on the same items. The first group
    is taken even when it alone is larger than the limit.
    """
    if limit is None or len(items) <= limit:
        return list(items)
    members: dict[str, list[int]] = defaultdict(list)
    for n, item in enumerate(items):
        members[item.group].append(n)
    chosen: list[int] = []
    for group in sorted(members, key=lambda group: hashlib.sha256(f"{salt}:{group}".encode()).hexdigest()):
        if not chosen or len(chosen) + len(members[group]) <= limit:
            chosen += members[group]
    return [items[n] for n in sorted(chosen)]
