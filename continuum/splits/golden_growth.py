"""How a golden dataset grows: by a stratified draw from what the golden side holds, and by what somebody brings.

Items that are in stay in, with newer corrections. The set grows by itself to as many questions as the policy's
`splits.max_golden`, and when it is full, by the share of as many that came since: what users ask today is measured too. A slice
that has fewer items than its share of the traffic comes first. A question that a training set holds, nearly word for word, does
not join. Where the policy asks for confirmation, what joins is what a person has spoken of, and as much is put before people as
there is room for.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from continuum.artifacts.copies import is_there
from continuum.artifacts.publishing import change
from continuum.policy import TaskPolicy
from continuum.records import DatasetRecord, Review
from continuum.similarity.fingerprints import context_fingerprint
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_candidates import candidates, distinct, has_judge
from continuum.splits.golden_items import GoldenItem, described, fingerprint_of
from continuum.splits.golden_leaks import leakage_of
from continuum.splits.own_items import ReadItems, Refused
from continuum.splits.sides import Sides, task_sides
from continuum.splits.strata import stratified
from continuum.store.versions import publish
from continuum.timespan import start_of, utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

QUEUE: Literal["golden"] = "golden"
"""Where people find what waits for their word: `continuum label TASK --queue golden`."""
ASKED_AT_ONCE = 50
"""Questions that wait for people at a time: more would not be looked at before the next turn."""
DECISIVE_SIZE = 200
"""Below this many items most verdicts come out inconclusive: a 3-point difference cannot be told from none."""


@dataclass(frozen=True)
class Grown:
    """What came of growing."""

    dataset: GoldenDataset | None
    """The newest version; None while nothing can be measured."""
    joined: tuple[str, ...] = ()
    """Ids of the items that are new."""
    asked: int = 0
    """Questions newly put before people."""
    waiting: int = 0
    """Questions that wait for a person's word, with these."""
    side: int = 0
    """Interactions on the golden side."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Why others did not join, and how many."""
    refused: tuple[Refused, ...] = ()
    """Lines of a file that did not join."""

    def words(self) -> str:
        """What came of it, in a line."""
        told = [f"{len(self.joined)} joined"]
        told += [f"{count} {reason}" for reason, count in self.left_out.items() if count]
        if self.waiting:
            told.append(f"{self.waiting} wait for people's word ({self.asked} of them are new)")
        return "; ".join(told)


def hold_out(
    store: "Store", policy: TaskPolicy, *, now: Callable[[], datetime] = utc_now, sides: Sides | None = None
) -> GoldenDataset | None:
    """Bring a task's golden dataset up to date; must come before anything of the task is trained on.

    A new version is written only when items or their content changed.

    Args:
        store: where the task's traffic is.
        policy: whose traffic; its splits say how much is held out.
        now: the clock.
        sides: the sides where they are known already.

    Returns:
        The newest version; None while nothing on the golden side can be measured.
    """
    return grow(store, policy, now=now, sides=sides).dataset


def grow(
    store: "Store",
    policy: TaskPolicy,
    *,
    size: int | None = None,
    since: str | None = None,
    confirm: bool | None = None,
    brought: ReadItems | None = None,
    now: Callable[[], datetime] = utc_now,
    sides: Sides | None = None,
) -> Grown:
    """Let a task's golden dataset grow.

    Args:
        store: where the task's traffic is.
        policy: whose traffic; its splits say how much is held out.
        size: the most of the traffic that joins; None for its share of `splits.max_golden`.
        since: how fresh what joins must be, such as "30d"; None for all there is.
        confirm: whether only what a person has spoken of joins; None for what the policy says.
        brought: items that somebody brings; they join whatever room there is.
        now: the clock.
        sides: the sides where they are known already.

    Raises:
        ConfigurationError: the span cannot be read.
        StoreError: the newest version was altered, or holds items that somebody brought and its files are gone.
    """
    wish = _Wish(size, since, policy.splits.confirm_golden if confirm is None else confirm, brought)
    through = store.interactions.last_sequence(policy.task)
    sides = sides or task_sides(store, policy)
    newest = store.datasets.latest(policy.task, "golden")
    first = grown = _grow(store, policy, wish, newest, (), sides, through, now)
    # Whoever lets it grow at the same time publishes another version: the last to look makes one of all.
    while others := _meanwhile(store, newest, grown.dataset):
        newest = store.datasets.latest(policy.task, "golden")
        grown = _grow(store, policy, _Wish(0, None, False, None), newest, others, task_sides(store, policy), through, now)
    return replace(first, dataset=grown.dataset)


@dataclass(frozen=True)
class _Wish:
    """What is asked for."""

    size: int | None
    since: str | None
    confirming: bool
    brought: ReadItems | None


def _meanwhile(store: "Store", newest: DatasetRecord | None, ours: GoldenDataset | None) -> list[DatasetRecord]:
    """Versions that others published since the one we began with, and ours, where there are such; else none."""
    began = newest.version if newest else 0
    if ours is None or ours.version <= began:
        return []
    since = [one for one in store.datasets.versions(ours.task) if one.kind == "golden" and one.version > began]
    return since if any(one.id != ours.fingerprint for one in since) else []


def _grow(
    store: "Store",
    policy: TaskPolicy,
    wish: _Wish,
    newest: DatasetRecord | None,
    meanwhile: Sequence[DatasetRecord],
    sides: Sides,
    through: int,
    now: Callable[[], datetime],
) -> Grown:
    ids, before = _before(store, [*meanwhile, *([newest] if newest else [])])
    held = store.interactions.get_many(sides.ids("golden"))
    judged = has_judge(store, policy)
    found = candidates(store, policy, held.values(), sides, before)
    staying = [item for item in found if item.interaction_id in ids and (judged or item.reference is not None)]
    staying = distinct(staying, policy.splits.salt)
    own, refused = _own(store, policy.task, before, staying, wish.brought, now())
    staying += own
    inside = {context_fingerprint(item.messages) for item in staying}
    others = [item for item in found if item.interaction_id not in ids and context_fingerprint(item.messages) not in inside]
    if not judged:
        # What people are asked about may have a reference once they have answered.
        others = [item for item in others if item.reference is not None or (wish.confirming and not item.confirmed)]
    eras = _eras(store, policy, newest, staying, others, wish.size)
    fresh, left_out = _fresh(store, policy, others, start_of(wish.since, now()), any(era.room for era in eras) or wish.confirming)
    ready = [item for item in fresh if item.confirmed] if wish.confirming else fresh
    queued = store.reviews.ids(policy.task, QUEUE) if wish.confirming and wish.size is None else set[str]()
    joining = _drawn(ready, eras, staying, queued, policy.splits.salt)
    left_out["beyond the room there is"] += len(ready) - len(joining)
    asked = waiting = 0
    if wish.confirming:
        silent = [item for item in fresh if not item.confirmed]
        room = max(0, sum(era.room for era in eras) - len(joining))
        traffic = [item for era in eras for item in era.items]
        asked, waiting = _ask(store, policy, silent, [*staying, *joining], traffic, room, now())
        left_out["without a person's word"] = len(silent)
    chosen = sorted([*staying, *joining], key=lambda item: item.interaction_id)
    joined = tuple(item.interaction_id for item in chosen if item.interaction_id not in ids)
    told = Grown(None, joined, asked, waiting, len(held), {why: count for why, count in left_out.items() if count}, refused)
    return replace(told, dataset=GoldenDataset.of(_publish(store, policy, chosen, told, through, now), store)) if chosen else told


@dataclass(frozen=True)
class _Era:
    """What was asked before the newest version, or since: each has room for its share, so that a full set still grows."""

    items: tuple[GoldenItem, ...]
    """Those that are in and those that could be."""
    room: int

    def of(self, items: Iterable[GoldenItem]) -> list[GoldenItem]:
        """Those of the items that are of this era."""
        ids = {item.interaction_id for item in self.items}
        return [item for item in items if item.interaction_id in ids]


def _eras(
    store: "Store",
    policy: TaskPolicy,
    newest: DatasetRecord | None,
    staying: Iterable[GoldenItem],
    others: Iterable[GoldenItem],
    size: int | None,
) -> list[_Era]:
    inside = [item for item in staying if not item.own]
    everything = [*inside, *others]
    if size is not None:
        return [_Era(tuple(everything), size)]
    through = int(newest.manifest.get("through", 0)) if newest else 0
    earlier = store.interactions.arrived_through((item.interaction_id for item in everything), through) if through else set()
    ids = {item.interaction_id for item in inside}
    eras: list[_Era] = []
    for early in (True, False):
        items = tuple(item for item in everything if (item.interaction_id in earlier) == early)
        share = math.ceil(len(items) * policy.splits.max_golden / max(1, len(everything)))
        eras.append(_Era(items, max(0, share - sum(item.interaction_id in ids for item in items))))
    return eras


def _drawn(
    ready: Iterable[GoldenItem], eras: Iterable[_Era], staying: Sequence[GoldenItem], queued: set[str], salt: str
) -> list[GoldenItem]:
    """Who was asked about a question did not answer in vain, however full the set is; the others are drawn era by era."""
    joining, rest = list[GoldenItem](), list[GoldenItem]()
    for item in ready:
        (joining if item.interaction_id in queued else rest).append(item)
    for era in eras:
        joining += stratified(era.of(rest), era.of(staying), era.items, era.room, salt)
    return joining


def _before(store: "Store", versions: Sequence[DatasetRecord]) -> tuple[set[str], dict[str, GoldenItem]]:
    """The ids that are in these versions, and their items by id; where files are gone, items of interactions are made anew."""
    from continuum.splits.golden_files import read_version  # polars starts here

    ids, items = set[str](), dict[str, GoldenItem]()
    for version in versions:
        ids.update(item.interaction_id for item in store.datasets.items(version.id))
        if version.manifest.get("own") or is_there(version.uri):
            # What was erased and is in the store again comes back in, whatever the files have lost of it.
            items |= {item.interaction_id: item for item in read_version(version.uri, version.manifest).items}
    return ids, items


def _fresh(
    store: "Store", policy: TaskPolicy, items: Iterable[GoldenItem], begin: datetime | None, wanted: bool
) -> tuple[list[GoldenItem], Counter[str]]:
    """What may join, and why the others may not."""
    left_out: Counter[str] = Counter()
    different = distinct(items, policy.splits.salt)
    recent = [item for item in different if begin is None or (item.asked_at is not None and item.asked_at >= begin)]
    left_out["asked too long ago"] = len(different) - len(recent)
    if not wanted:
        left_out["beyond the room there is"] = len(recent)
        return [], left_out
    leaks = leakage_of(store, policy.task, recent).leaks
    left_out["trained on already, or nearly"] = len(leaks)
    return [item for item in recent if item.interaction_id not in leaks], left_out


def _own(
    store: "Store",
    task: str,
    before: Mapping[str, GoldenItem],
    staying: Sequence[GoldenItem],
    brought: ReadItems | None,
    at: datetime,
) -> tuple[list[GoldenItem], tuple[Refused, ...]]:
    """What somebody brought before and brings now; what is golden or was trained on is refused."""
    own = {one: item for one, item in before.items() if item.own}
    if brought is None:
        return list(own.values()), ()
    refused = list(brought.refused)
    there = {context_fingerprint(item.messages): item.interaction_id for item in staying}
    leaks = leakage_of(store, task, [item for item in brought.items if item.interaction_id not in own]).leaks
    by_id = {item.interaction_id: item for item in brought.items}
    for one, place in brought.places.items():
        item, known = by_id[one], own.get(one)
        if twin := there.get(context_fingerprint(item.messages)):
            refused.append(Refused(place, f"the question is in the golden dataset already, as {twin}"))
        elif leak := leaks.get(one):
            refused.append(
                Refused(place, f"{leak.how} was trained on ({leak.interaction_id} in {leak.dataset}), so it would measure memory")
            )
        else:
            asked_at = item.asked_at or (known.asked_at if known else None) or at
            lot = known.lot if known else item.group
            own[one] = item.model_copy(update={"asked_at": asked_at, "lot": lot})
    return list(own.values()), tuple(refused)


def _ask(
    store: "Store",
    policy: TaskPolicy,
    silent: Sequence[GoldenItem],
    inside: Sequence[GoldenItem],
    traffic: Sequence[GoldenItem],
    room: int,
    at: datetime,
) -> tuple[int, int]:
    """Put questions before people; returns how many are new, and how many wait with them."""
    queued = {one.review.interaction_id: bool(one.labels) for one in store.reviews.of(policy.task, QUEUE)}
    waiting = [item for item in silent if queued.get(item.interaction_id) is False]
    free = max(0, min(room, ASKED_AT_ONCE) - len(waiting))
    unasked = [item for item in silent if item.interaction_id not in queued]
    drawn = stratified(unasked, [*inside, *waiting], traffic, free, policy.splits.salt)
    added = store.reviews.add(
        # The queue is worked through by time: the moments keep the order of the draw.
        Review(
            task=policy.task,
            interaction_id=item.interaction_id,
            queue=QUEUE,
            reason="drawn for the golden dataset" + (f", of the slice {item.slice}" if item.slice else ""),
            created_at=at + timedelta(microseconds=place),
        )
        for place, item in enumerate(drawn)
    )
    return added, len(waiting) + added


def _publish(
    store: "Store", policy: TaskPolicy, items: list[GoldenItem], told: Grown, through: int, now: Callable[[], datetime]
) -> DatasetRecord:
    from continuum.splits.golden_files import FORMAT, read_version, write_golden, write_whole  # polars starts here
    from continuum.store.learning import DatasetItem

    manifest: dict[str, Any] = described(items) | {
        "format": FORMAT,
        "golden_side": told.side,
        "left_out": told.left_out,
        "through": through,
        "splits": policy.splits.model_dump(mode="json"),
    }
    if len(items) < DECISIVE_SIZE:
        manifest["note"] = (
            f"{len(items)} golden items are few: below about {DECISIVE_SIZE} most verdicts are inconclusive; "
            "more traffic, more human verdicts or a larger golden share help"
        )
    record = publish(
        store,
        task=policy.task,
        kind="golden",
        fingerprint=fingerprint_of(policy.task, items),
        manifest=manifest,
        items=[DatasetItem(interaction_id=item.interaction_id, split="golden", reason=_reason(item)) for item in items],
        write=lambda folder, full: write_golden(folder, items, full),
        now=now,
    )
    if read_version(record.uri, record.manifest).erased:
        # All that the version held is there again, as when a log that was erased is imported once more.
        change(record.uri, lambda folder: write_whole(folder, items, record.manifest))
    return record


def _reason(item: GoldenItem) -> str:
    why = "brought by somebody" if item.own else "held out by the salted hash of its group"
    return why if item.reference is None else f"{why}, with a reference"
