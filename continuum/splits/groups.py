"""Groups: interactions that belong together and must stand on one side of a split.

What holds them together, the strongest first:

- A *beginning* that at most `opening_cap` interactions share, from the first user turn on: in real logs the rows of one dialogue
  often carry different ids, and the shared beginning is all that tells them together. A more common one ("Hello") says nothing of
  who is talking; what it leads to is looked at instead, message by message, until few enough share it. Nothing undoes this link.
- A *conversation*, a *user*, and a *near-equal* first question or whole example (the last messages with the answer). These chain:
  frequent questions and busy people would make one group of nearly everything. So such a link is refused where the group would
  grow past `GROUP_CAPS` times the cap, and the refusal is reported.

Interactions whose whole context is common form a group of their own, so that one prompt never stands on two sides; they link
nothing else. What was given a side before keeps it, and a newcomer that would tie both sides together is *tied*: it is on
neither.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from continuum.splits.keys import Keys, keys_of

__all__ = ["Groups", "Keys", "Side", "group_interactions", "keys_of"]

Side = Literal["train", "validation", "golden", "quarantined"]

NEAR = 0.92
"""Character similarity from which two first user turns, or two examples, are one, the word guard permitting."""
GROUP_CAPS = 4
"""A group may be this many times the opening cap before conversations, users and near-duplicates stop linking to it."""

Value = tuple[str, str | bytes]
"""What is shared: its kind and the value."""


@dataclass(frozen=True)
class Groups:
    """Which group each interaction is in. A group is called after its earliest member."""

    group: dict[str, str]
    """Interaction id to group; each that belongs to neither side is alone."""
    members: dict[str, list[str]]
    """Group to interaction ids, earliest first."""
    key: dict[str, str]
    """Group to what its side is decided by, where nothing of it has one."""
    home: dict[str, Side]
    """Group to the side that it had before."""
    tied: set[str]
    """Newcomers that share something with golden and with training interactions."""
    stem: dict[str, bytes]
    """Interaction id to the shortest beginning that few share; none where the whole context is common."""
    continued_by: dict[str, set[str]]
    """Group of a common context to the groups whose dialogues begin with it."""
    common: frozenset[bytes]
    """Beginnings too frequent to link by."""
    common_openings: int
    """How many of them are openings."""
    refused: set[Value]
    """Conversations, users and near-equal texts that do not link, because too much would hang together."""


def group_interactions(rows: Iterable[Keys], opening_cap: int, homes: "Mapping[str, Side] | None" = None) -> Groups:
    """Connected components over what is shared; the order of the rows does not matter.

    Args:
        rows: what each interaction may share.
        opening_cap: how many may share a beginning, or be one user's, for it to link them.
        homes: sides that were given before, by interaction id.
    """
    ordered = sorted(rows, key=lambda row: (row.started_at, row.id))
    known: dict[str, Side] = {row.id: homes[row.id] for row in ordered if row.id in homes} if homes else {}
    counts = Counter(prefix for row in ordered for prefix in set(row.prefixes()))
    common = frozenset(prefix for prefix, count in counts.items() if count > opening_cap)
    stems = [_stem(row, common) for row in ordered]
    shared = list(_shared(ordered, stems, opening_cap))
    tied: set[str] = set()
    while True:
        linking = _Linking(ordered, stems, known, GROUP_CAPS * opening_cap)
        for value, members in shared:
            linking.connect(value, members)
        if not linking.tied:
            break
        # What belongs to neither side must not have passed anything on, so all is linked again without it.
        found = {ordered[position].id for position in linking.tied}
        tied |= found
        known.update((one, "quarantined") for one in found)
    return _groups(ordered, stems, common, linking, tied)


def _stem(row: Keys, common: frozenset[bytes]) -> bytes | None:
    return next((prefix for prefix in row.prefixes() if prefix not in common), None)


def _shared(rows: Sequence[Keys], stems: Sequence[bytes | None], cap: int) -> Iterator[tuple[Value, list[int] | None]]:
    """What may link rows besides their beginnings, with the positions of those that share it; None where they are too many."""
    # What is nothing but a common context says nothing of who is talking.
    speaking = [position for position, stem in enumerate(stems) if stem is not None]
    for kind in ("conversation", "user"):
        by_value: dict[str, list[int]] = defaultdict(list)
        for position in speaking:
            if (value := getattr(rows[position], kind)) is not None:
                by_value[value].append(position)
        most = cap if kind == "user" else GROUP_CAPS * cap
        yield from (((kind, value), found if len(found) <= most else None) for value, found in by_value.items() if len(found) > 1)
    for kind in ("asked", "example"):
        by_text: dict[str, list[int]] = defaultdict(list)
        for position in speaking:
            if text := getattr(rows[position], kind):
                by_text[text].append(position)
        yield from _near(kind, {text: found for text, found in by_text.items() if len(found) <= cap})


def _near(kind: str, by_text: Mapping[str, list[int]]) -> Iterator[tuple[Value, list[int]]]:
    from continuum.similarity.near import near_pairs  # rensa and rapidfuzz start here

    yield from (((kind, text), found) for text, found in by_text.items() if len(found) > 1)
    texts = sorted(by_text)
    # Without a corpus the verdict on two texts stays what it is while the data grows.
    for first, second in near_pairs(texts, NEAR, corpus=()) if len(texts) > 1 else ():
        yield (kind, texts[first]), by_text[texts[first]] + by_text[texts[second]]


class _Linking:
    """Union-find in which the lowest position of a component is its root, and a component is on one side or on none yet."""

    def __init__(self, rows: Sequence[Keys], stems: Sequence[bytes | None], known: Mapping[str, Side], most: int) -> None:
        self.parent = list(range(len(rows)))
        self.size = [1] * len(rows)
        self.known: list[Side | None] = [known.get(row.id) for row in rows]
        self.home: list[Side | None] = [None if side == "quarantined" else side for side in self.known]
        self.most = most
        self.tied: set[int] = set()
        self.refused: set[Value] = set()
        owner: dict[bytes, int] = {}
        for position, row in enumerate(rows):
            beginning = stems[position] or row.context
            if beginning and self.known[position] != "quarantined":
                self._join(owner.setdefault(beginning, position), position)

    def root(self, position: int) -> int:
        while self.parent[position] != position:
            self.parent[position] = self.parent[self.parent[position]]
            position = self.parent[position]
        return position

    def connect(self, value: Value, members: Sequence[int] | None) -> None:
        """Bring those who share a value together, all of them or none; None where they are too many."""
        if members is None:
            self.refused.add(value)
            return
        found = [position for position in members if self.known[position] != "quarantined"]
        roots = sorted({self.root(position) for position in found})
        if len(roots) < 2:
            return
        golden = {root for root in roots if self.home[root] == "golden"}
        learned = {root for root in roots if self.home[root] in ("train", "validation")}
        if golden and learned:
            self._tie(value, found, golden, learned)
            return
        if sum(self.size[root] for root in roots) > self.most:
            self.refused.add(value)
            return
        for root in roots[1:]:
            first = self.root(roots[0])
            if self.home[first] == self.home[root] or None in (self.home[first], self.home[root]):
                self._join(first, root)

    def _tie(self, value: Value, members: Sequence[int], golden: set[int], learned: set[int]) -> None:
        """A value that reaches both sides: newcomers on the side that knew it last belong to neither."""
        known = {self.known[position] for position in members}
        if "golden" in known and known & {"train", "validation"}:
            # It was there before it told anybody together: a frequent user, a conversation that outgrew the cap.
            self.refused.add(value)
            return
        leaving = golden if known & {"train", "validation"} else learned
        self.tied.update(position for position in members if self.known[position] is None and self.root(position) in leaving)

    def _join(self, left: int, right: int) -> None:
        low, high = sorted((self.root(left), self.root(right)))
        if low == high:
            return
        self.parent[high] = low
        self.size[low] += self.size[high]
        sides = (self.home[low], self.home[high])
        self.home[low] = "golden" if "golden" in sides else sides[0] or sides[1]


@dataclass
class _Naming:
    """Groups under construction: members of one component that were given sides apart are groups apart."""

    group: dict[str, str] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    key: dict[str, str] = field(default_factory=dict)
    home: dict[str, Side] = field(default_factory=dict)


def _groups(
    rows: Sequence[Keys],
    stems: Sequence[bytes | None],
    common: frozenset[bytes],
    linking: _Linking,
    tied: set[str],
) -> Groups:
    made = _Naming()
    named: dict[tuple[int, Side | None], str] = {}
    for position, row in enumerate(rows):
        root = linking.root(position)
        side = linking.known[position] or linking.home[root]
        name = row.id if side == "quarantined" else named.setdefault((root, side), row.id)
        if side is not None:
            made.home[name] = side
        made.group[row.id] = name
        made.members.setdefault(name, []).append(row.id)
        made.key.setdefault(name, (stems[position] or row.context).hex() or row.id)
    return Groups(
        group=made.group,
        members=made.members,
        key=made.key,
        home=made.home,
        tied=tied,
        stem={row.id: stem for row, stem in zip(rows, stems, strict=True) if stem is not None},
        continued_by=_continuations(rows, stems, made.group),
        common=common,
        common_openings=len({row.opening for row in rows} & common),
        refused=linking.refused,
    )


def _continuations(rows: Sequence[Keys], stems: Sequence[bytes | None], group: Mapping[str, str]) -> dict[str, set[str]]:
    whole: dict[bytes, set[str]] = defaultdict(set)
    for row, stem in zip(rows, stems, strict=True):
        if stem is None and row.context:
            whole[row.context].add(group[row.id])
    continued: dict[str, set[str]] = {}
    for row in rows if whole else ():
        for prefix in row.prefixes():
            for common in whole.get(prefix, ()) if prefix != row.context else ():
                continued.setdefault(common, set()).add(group[row.id])
    return continued
