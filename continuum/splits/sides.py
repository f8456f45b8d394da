"""Sides: train, validation or golden, decided once for each interaction and remembered.

A group that is new gets the side that a salted hash of its earliest beginning says; whoever joins it later gets the same.
What was decided is written to the store, once, because no hash can promise it: a later dialogue may tie two groups together,
an old log may bring an earlier member, a beginning may become too common to link by. What would tie both sides together is
quarantined instead: it is neither measured nor learned from. So is a training interaction that turns out to share a beginning
with a golden one, captured or brought by somebody.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from continuum.errors import StoreError
from continuum.policy import SplitPolicy, TaskPolicy
from continuum.records import Interaction, Message
from continuum.splits.crossings import crossings
from continuum.splits.groups import Groups, Side, group_interactions
from continuum.splits.keys import Keys, beginnings_of, keys_of

if TYPE_CHECKING:
    from continuum.store.database import Store

__all__ = ["Side", "Sides", "SplitReport", "assign_sides", "decided_sides", "task_sides", "unit_hash"]

OVERSIZED_SHARE = 0.2
"""A group with more than this share of all interactions cannot be held out without taking the task's variety with it."""
ATTEMPTS = 8
"""How often sides are decided again because another process decided some meanwhile."""


@dataclass(frozen=True)
class SplitReport:
    """What a reader should know before trusting a split; goes into manifests."""

    interactions: int
    groups: int
    largest_group: int
    by_side: dict[str, int]
    """Side to interactions."""
    oversized_groups: dict[str, int]
    """Groups too large to be held out, with their sizes; new ones are put on the training side."""
    common_openings: int
    """First user turns too frequent to link by."""
    refused: dict[str, int]
    """Kind to how many conversations, users and near-equal texts do not link, because too much would hang together."""
    crossings: dict[str, int]
    """Kind to how many contexts, beginnings, conversations and users stand on both sides though they link: always 0."""

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return asdict(self)


@dataclass(frozen=True)
class Sides:
    """The side and the group of every interaction of a task."""

    side: dict[str, Side]
    group: dict[str, str]
    report: SplitReport
    decided: dict[str, Side] = field(default_factory=dict, compare=False, repr=False)
    """Interactions that had no side before, with the one to remember."""
    common: frozenset[bytes] = field(default=frozenset(), repr=False)
    """Beginnings of contexts that are too frequent to tell dialogues apart."""

    def ids(self, side: Side) -> list[str]:
        """The interactions on one side, in the order of their groups."""
        return [interaction_id for interaction_id, its_side in self.side.items() if its_side == side]


def unit_hash(salt: str, key: str) -> float:
    """A number from 0 up to 1 that only the salt and the key decide: keyed BLAKE2b (RFC 7693)."""
    secret = blake2b(salt.encode()).digest()
    digest = blake2b(key.encode("utf-8", "surrogatepass"), key=secret, digest_size=8).digest()
    # 53 bits are what a float holds; with all 64 the highest values would round up to 1.
    return (int.from_bytes(digest) >> 11) / 2**53


def draw_of(policy: SplitPolicy) -> str:
    """The name of a draw: who changes the salt or the shares asks for another one, and sides of the first do not bind it."""
    text = f"{policy.salt}\n{policy.golden!r}\n{policy.validation!r}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def assign_sides(
    interactions: Iterable[Interaction],
    policy: SplitPolicy,
    *,
    golden_ids: AbstractSet[str],
    trained_ids: AbstractSet[str],
    remembered: Mapping[str, Side] | None = None,
) -> Sides:
    """Put every interaction of a task on a side.

    Args:
        interactions: all of the task's interactions, from any time and in any order; read once and not kept.
        policy: the shares, the salt and the cap on openings.
        golden_ids: interactions that a golden dataset holds or ever held.
        trained_ids: interactions that a training dataset holds or ever held.
        remembered: sides that were decided before, by interaction id.
    """
    keys = [keys_of(interaction) for interaction in interactions]
    return _assigned(keys, policy, golden_ids, trained_ids, remembered or {})


def task_sides(store: "Store", policy: TaskPolicy) -> Sides:
    """The sides of everything a task has in the store; new ones are remembered there."""
    return decided_sides(store, policy, store.interactions.scan(policy.task, status=None))


def decided_sides(store: "Store", policy: TaskPolicy, interactions: Iterable[Interaction]) -> Sides:
    """The sides of all of a task's interactions, with what the store remembers; what is new is remembered.

    Args:
        store: remembers.
        policy: of the task.
        interactions: all that the task has, in any order; read once and not kept.

    Raises:
        StoreError: other processes kept deciding at the same time.
    """
    keys = [keys_of(interaction) for interaction in interactions]
    draw = draw_of(policy.splits)
    brought = _brought(store, policy.task)
    for _ in range(ATTEMPTS):
        remembered = store.sides.of(policy.task, draw)
        sides = _assigned(
            keys,
            policy.splits,
            store.datasets.member_ids(policy.task, "golden"),
            store.datasets.member_ids(policy.task, "training"),
            remembered,
            brought,
        )
        if not sides.decided or store.sides.remember(policy.task, draw, sides.decided, known=len(remembered)):
            return sides
    raise StoreError(f"other processes decided sides of task {policy.task!r} {ATTEMPTS} times meanwhile; try again")


def _assigned(
    keys: list[Keys],
    policy: SplitPolicy,
    golden_ids: AbstractSet[str],
    trained_ids: AbstractSet[str],
    remembered: Mapping[str, Side],
    brought: Iterable[Sequence[Message]] = (),
) -> Sides:
    homes = _with_history(remembered, golden_ids, trained_ids)
    groups = group_interactions(keys, policy.opening_cap, homes)
    limit = max(policy.opening_cap, OVERSIZED_SHARE * len(keys))
    oversized = {group: len(members) for group, members in groups.members.items() if len(members) > limit}
    home: dict[str, Side] = {}
    for group, members in groups.members.items():
        side = groups.home.get(group)
        if side is None:
            side = "train" if group in oversized else _side_of(unit_hash(policy.salt, groups.key[group]), policy)
        home.update(dict.fromkeys(members, side))
    side = dict(home)
    _part_beginnings(groups, side)
    _part_common_contexts(groups, side, golden_ids)
    _part_brought(groups, keys, side, brought)
    return Sides(
        side=side,
        group=groups.group,
        report=SplitReport(
            interactions=len(side),
            groups=len(groups.members),
            largest_group=max(map(len, groups.members.values()), default=0),
            by_side=dict(sorted(Counter(side.values()).items())),
            oversized_groups=oversized,
            common_openings=groups.common_openings,
            refused=dict(sorted(Counter(kind for kind, _ in groups.refused).items())),
            crossings=crossings(keys, side, groups),
        ),
        decided={one: its_side for one, its_side in home.items() if one not in remembered},
        common=groups.common,
    )


def _brought(store: "Store", task: str) -> list[tuple[Message, ...]]:
    """The questions of a task's golden dataset that somebody brought."""
    from continuum.splits.golden_files import read_golden  # polars starts here

    newest = store.datasets.latest(task, "golden")
    if newest is None or not newest.manifest.get("own"):
        return []
    items, _ = read_golden(newest.uri, newest.manifest)
    return [item.messages for item in items if item.own]


def _side_of(position: float, policy: SplitPolicy) -> Side:
    if position < policy.golden:
        return "golden"
    return "validation" if position < policy.golden + policy.validation else "train"


def _with_history(remembered: Mapping[str, Side], golden_ids: AbstractSet[str], trained_ids: AbstractSet[str]) -> dict[str, Side]:
    """What is remembered; but what was measured is golden and what was learned is not, whatever draw that was under."""
    homes = dict(remembered)
    homes.update((one, "train") for one in trained_ids if homes.get(one) in (None, "golden"))
    homes.update((one, "golden") for one in golden_ids)
    return homes


def _part_beginnings(groups: Groups, side: dict[str, Side]) -> None:
    """Leave out of training what shares a beginning with a golden interaction.

    Both had a side before they shared it: a cap was raised, interactions that made it common were deleted, or one that came by
    two doors changed its words.
    """
    golden = {groups.stem[one] for one, its_side in side.items() if its_side == "golden" and one in groups.stem}
    for one, stem in groups.stem.items():
        if stem in golden and side[one] != "golden":
            side[one] = "quarantined"


def _part_common_contexts(groups: Groups, side: dict[str, Side], golden_ids: AbstractSet[str]) -> None:
    """Where dialogues that begin alike stand on both sides, leave what is nothing but their beginning on neither."""
    for group, continuing in groups.continued_by.items():
        members = groups.members[group]
        held_out = side[members[0]] == "golden"
        if any((side[member] == "golden") != held_out for other in continuing for member in groups.members[other]):
            side.update({member: "quarantined" for member in members if member not in golden_ids})


def _part_brought(groups: Groups, keys: Iterable[Keys], side: dict[str, Side], brought: Iterable[Sequence[Message]]) -> None:
    """Leave out of training what asks, or begins as, a golden question that somebody brought: nothing else would link them."""
    contexts, stems = set[bytes](), set[bytes]()
    for messages in brought:
        beginnings = beginnings_of(messages)
        contexts.update(beginnings[-1:])
        stems.update([beginning for beginning in beginnings if beginning not in groups.common][:1])
    for row in keys if contexts else ():
        if side[row.id] != "golden" and (row.context in contexts or groups.stem.get(row.id) in stems):
            side[row.id] = "quarantined"
