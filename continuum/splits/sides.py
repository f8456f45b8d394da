"""Sides: train, validation or golden, decided once for each group by a salted hash.

The hash is of something that the group's earliest member brought, so more data does not move a group. What has been
measured on stays golden and what has been trained on never becomes golden; where later data ties the two together, the
measured interactions stay golden and the rest of the group is left out of training from then on.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from continuum.policy import SplitPolicy, TaskPolicy
from continuum.records import Interaction
from continuum.splits.groups import Groups, group_interactions, keys_of

if TYPE_CHECKING:
    from continuum.store.database import Store

Side = Literal["train", "validation", "golden", "quarantined"]

OVERSIZED_SHARE = 0.2
"""A group with more than this share of all interactions cannot be held out without taking the task's variety with it."""


@dataclass(frozen=True)
class SplitReport:
    """What a reader should know before trusting a split; goes into manifests."""

    interactions: int
    groups: int
    largest_group: int
    by_side: dict[str, int]
    """Side to interactions."""
    oversized_groups: dict[str, int]
    """Groups too large to be held out, with their sizes; they are on the training side."""
    common_openings: int
    """First user turns too frequent to link by."""

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return asdict(self)


@dataclass(frozen=True)
class Sides:
    """The side and the group of every interaction of a task."""

    side: dict[str, Side]
    group: dict[str, str]
    report: SplitReport

    def ids(self, side: Side) -> list[str]:
        """The interactions on one side, in the order of their groups."""
        return [interaction_id for interaction_id, its_side in self.side.items() if its_side == side]


def unit_hash(salt: str, key: str) -> float:
    """A number from 0 up to 1 that only the salt and the key decide: keyed BLAKE2b (RFC 7693)."""
    secret = blake2b(salt.encode()).digest()
    digest = blake2b(key.encode("utf-8", "surrogatepass"), key=secret, digest_size=8).digest()
    # 53 bits are what a float holds; with all 64 the highest values would round up to 1.
    return (int.from_bytes(digest) >> 11) / 2**53


def assign_sides(
    interactions: Iterable[Interaction],
    policy: SplitPolicy,
    *,
    golden_ids: AbstractSet[str],
    trained_ids: AbstractSet[str],
) -> Sides:
    """Put every interaction of a task on a side.

    Args:
        interactions: all of the task's interactions, from any time and in any order; read once and not kept.
        policy: the shares, the salt and the cap on openings.
        golden_ids: interactions that a golden dataset holds or ever held.
        trained_ids: interactions that a training dataset holds or ever held.
    """
    groups = group_interactions((keys_of(interaction) for interaction in interactions), policy.opening_cap)
    total = len(groups.group)
    oversized = {
        group: len(members)
        for group, members in groups.members.items()
        if len(members) > max(policy.opening_cap, OVERSIZED_SHARE * total)
    }
    side: dict[str, Side] = {}
    for group, members in groups.members.items():
        decided = "train" if group in oversized else _side_of(unit_hash(policy.salt, groups.key[group]), policy)
        side.update(_with_history(members, decided, golden_ids, trained_ids))
    _part_common_openings(groups, side, golden_ids)
    return Sides(side=side, group=groups.group, report=_report(groups, side, oversized))


def task_sides(store: "Store", policy: TaskPolicy) -> Sides:
    """The sides of everything a task has in the store."""
    return assign_sides(
        store.interactions.scan(policy.task, status=None),
        policy.splits,
        golden_ids=store.datasets.member_ids(policy.task, "golden"),
        trained_ids=store.datasets.member_ids(policy.task, "training"),
    )


def _side_of(position: float, policy: SplitPolicy) -> Side:
    if position < policy.golden:
        return "golden"
    return "validation" if position < policy.golden + policy.validation else "train"


def _with_history(
    members: list[str], decided: Side, golden_ids: AbstractSet[str], trained_ids: AbstractSet[str]
) -> dict[str, Side]:
    measured = golden_ids & set(members)
    trained = trained_ids & set(members)
    if measured and trained:
        return {member: "golden" if member in measured else "quarantined" for member in members}
    if measured:
        return dict.fromkeys(members, "golden")
    if trained and decided == "golden":
        return dict.fromkeys(members, "train")
    return dict.fromkeys(members, decided)


def _part_common_openings(groups: Groups, side: dict[str, Side], golden_ids: AbstractSet[str]) -> None:
    """Where dialogues that begin alike stand on both sides, leave what is nothing but their beginning on neither."""
    for group, continuing in groups.continued_by.items():
        members = groups.members[group]
        held_out = side[members[0]] == "golden"
        if any((side[member] == "golden") != held_out for other in continuing for member in groups.members[other]):
            side.update({member: "quarantined" for member in members if member not in golden_ids})


def _report(groups: Groups, side: dict[str, Side], oversized: dict[str, int]) -> SplitReport:
    return SplitReport(
        interactions=len(side),
        groups=len(groups.members),
        largest_group=max(map(len, groups.members.values()), default=0),
        by_side=dict(sorted(Counter(side.values()).items())),
        oversized_groups=oversized,
        common_openings=groups.common_openings,
    )
