"""Groups: interactions that belong together and must stand on one side of a split.

Two interactions are linked when they share a conversation, a user, an opening (everything through the first user turn), the
words of that turn up to spelling, or a trunk: the opening, the answer to it and what came back. In real logs the rows of one
dialogue often carry different ids, and the shared beginning is all that tells them together.

An opening or a user more frequent than the cap says nothing about who is talking and does not link. The interactions that
are nothing but such an opening form a group of their own, so that one prompt never stands on two sides; which groups go on
from it is noted, because it is a part of their dialogues too.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from continuum.records import Interaction, Message
from continuum.similarity.fingerprints import fingerprint
from continuum.similarity.normalise import INSTRUCTIONS, canonical, canonical_lines

NEAR_OPENING = 0.92
"""Character similarity from which two first user turns are one, the word guard permitting."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What an interaction may share with another, without its text."""

    id: str
    started_at: datetime
    conversation: str | None
    user: str | None
    opening: str
    asked: str
    """The words of the first user turn, canonical."""
    trunk: str | None
    """None where the context is nothing but an opening."""


@dataclass(frozen=True)
class Groups:
    """Which group each interaction is in. A group is called after its earliest member."""

    group: dict[str, str]
    """Interaction id to group."""
    members: dict[str, list[str]]
    """Group to interaction ids, earliest first."""
    key: dict[str, str]
    """Group to what its side is decided by: something of its earliest member that later data does not change."""
    continued_by: dict[str, set[str]]
    """Group of a too common opening to the groups whose dialogues begin with it."""
    common_openings: int
    """How many openings are too frequent to link by."""


def keys_of(interaction: Interaction) -> Keys:
    """The keys of one interaction."""
    spoken = [message for message in interaction.messages if message.role not in INSTRUCTIONS]
    lines = canonical_lines(spoken)
    opening = _opening_length(spoken)
    return Keys(
        id=interaction.id,
        started_at=interaction.started_at,
        conversation=interaction.conversation_id or None,
        user=interaction.user_id or None,
        opening=fingerprint(*lines[:opening]),
        asked=canonical(spoken[opening - 1].action) if spoken else "",
        trunk=fingerprint(*lines[: opening + 2]) if len(lines) > opening else None,
    )


def group_interactions(rows: Iterable[Keys], opening_cap: int) -> Groups:
    """Connected components over the keys; the order of the rows does not matter."""
    ordered = sorted(rows, key=lambda row: (row.started_at, row.id))
    openings = Counter(row.opening for row in ordered)
    users = Counter(row.user for row in ordered if row.user)
    asked = Counter(row.asked for row in ordered)
    components = _Components(len(ordered))
    owner: dict[tuple[str, str], int] = {}
    variants = _spelling_variants(text for text, count in asked.items() if count <= opening_cap)
    for position, row in enumerate(ordered):
        for key in _links(row, openings, users, variants, opening_cap):
            components.join(owner.setdefault(key, position), position)
    group = {row.id: ordered[components.root(position)].id for position, row in enumerate(ordered)}
    members: dict[str, list[str]] = {}
    for row in ordered:
        members.setdefault(group[row.id], []).append(row.id)
    common = {opening for opening, count in openings.items() if count > opening_cap}
    return Groups(
        group=group,
        members=members,
        key={row.id: _side_key(row, common) for row in ordered if row.id in members},
        continued_by=_continuations(ordered, group, common),
        common_openings=len(common),
    )


def _opening_length(spoken: Sequence[Message]) -> int:
    for position, message in enumerate(spoken):
        if message.role == "user":
            return position + 1
    return len(spoken)


def _links(
    row: Keys, openings: Counter[str], users: Counter[str], variants: dict[str, str], cap: int
) -> Iterable[tuple[str, str]]:
    """The keys by which a row is linked to others."""
    yield "row", row.id
    if row.trunk is None and openings[row.opening] > cap:
        yield "common opening", row.opening
        return
    if row.conversation:
        yield "conversation", row.conversation
    if row.user and users[row.user] <= cap:
        yield "user", row.user
    if openings[row.opening] <= cap:
        yield "opening", row.opening
    if row.asked in variants:
        yield "asked", variants[row.asked]
    if row.trunk:
        yield "trunk", row.trunk


def _side_key(row: Keys, common: AbstractSet[str]) -> str:
    if row.trunk is None or row.opening not in common:
        return row.opening
    return row.conversation or row.trunk


def _continuations(rows: Sequence[Keys], group: dict[str, str], common: AbstractSet[str]) -> dict[str, set[str]]:
    opening_only = {row.opening: group[row.id] for row in rows if row.trunk is None and row.opening in common}
    continued: dict[str, set[str]] = {}
    for row in rows:
        if row.trunk is not None and row.opening in opening_only:
            continued.setdefault(opening_only[row.opening], set()).add(group[row.id])
    return continued


def _spelling_variants(texts: Iterable[str]) -> dict[str, str]:
    """Each text to one that stands for all its spelling variants."""
    from continuum.similarity.near import near_pairs  # rensa and rapidfuzz start here

    distinct = sorted(text for text in texts if text)
    components = _Components(len(distinct))
    for first, second in near_pairs(distinct, NEAR_OPENING):
        components.join(first, second)
    return {text: distinct[components.root(position)] for position, text in enumerate(distinct)}


class _Components:
    """Union-find in which the lowest position of a component is its root."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def root(self, position: int) -> int:
        while self.parent[position] != position:
            self.parent[position] = self.parent[self.parent[position]]
            position = self.parent[position]
        return position

    def join(self, left: int, right: int) -> None:
        low, high = sorted((self.root(left), self.root(right)))
        self.parent[high] = low
