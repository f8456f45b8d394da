"""Whether a golden dataset may still be trusted: its age, what of it was trained on, how often it was used, what it can show."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from continuum.excerpts import excerpt
from continuum.policy import TaskPolicy
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_leaks import Leak, leakage_of
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

OLD_DAYS = 90
"""A question that was asked longer ago is old; and of traffic as far back the slices are told."""
OLD_SHARE = 0.5
"""From this share of old questions up, the set speaks of yesterday."""
LACKED_SHARE = 0.01
"""A slice with this share of the recent traffic or more is worth naming where the set has nothing of it."""
MANY_USES = 10
"""Candidates on the same questions from which an approval asks so much that new questions are worth more."""
NAMED = 5
"""Slices and questions that a note names."""


@dataclass(frozen=True)
class SliceHealth:
    """One part of the task."""

    name: str
    items: int
    groups: int
    traffic: float
    """Its share of the recent traffic that names a slice, 0 to 1."""
    decides: bool
    """Whether it has groups enough to block a candidate by itself."""


@dataclass(frozen=True)
class GoldenHealth:
    """What is known of a version's health."""

    name: str
    items: int
    groups: int
    kinds: dict[str, int]
    with_reference: int
    with_checker: int
    confirmed: int
    """Items that a person has spoken of, or brought."""
    own: int
    """Items that somebody brought."""
    detectable: float
    """The drop that is found 4 times in 5, on the 0-1 scale."""
    median_age_days: float | None
    """None where no item says when it was asked."""
    older_share: float
    """Of the items with a date, the share that was asked more than `OLD_DAYS` ago, 0 to 1."""
    slices: tuple[SliceHealth, ...]
    """By their share of the traffic."""
    leaks: tuple[Leak, ...]
    """Items that a training set of the task holds, or nearly."""
    unread: tuple[str, ...]
    """Training sets whose files are gone, so that nothing is known of them."""
    uses: int
    """Candidates that were measured on these questions; a set that shares half of them counts."""
    last_used_at: datetime | None
    next_level: float
    """At which the next candidate is approved, where the ledger is on."""
    notes: tuple[str, ...]
    """What a reader should do something about, in words."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """Slices of recent traffic that the set has nothing of."""
        return tuple(one.name for one in self.slices if not one.items and one.traffic >= LACKED_SHARE)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        used = None if self.last_used_at is None else self.last_used_at.isoformat()
        return asdict(self) | {"last_used_at": used, "lacking": list(self.lacking)}


def health_of(golden: GoldenDataset, store: "Store", *, now: Callable[[], datetime] = utc_now) -> GoldenHealth:
    """Look a version over.

    Args:
        golden: the version.
        store: knows the task's traffic, its training sets, and the ledger of uses.
        now: the clock.
    """
    from continuum.statistics.spending import approval_level

    registered = golden.task in store.tasks.names()
    policy = store.tasks.get(golden.task).policy if registered else TaskPolicy(task=golden.task)
    leakage = leakage_of(store, golden.task, golden.items)
    uses = store.golden_uses.sharing(golden.task, golden.fingerprint, {item.interaction_id for item in golden})
    ages = [(now() - item.asked_at).total_seconds() / 86_400 for item in golden if item.asked_at is not None]
    level = policy.guard.p_value_threshold
    found = GoldenHealth(
        name=golden.name,
        items=len(golden),
        groups=golden.groups,
        kinds=dict(sorted(Counter(item.kind for item in golden).items())),
        with_reference=golden.with_reference,
        with_checker=sum(item.checker is not None for item in golden),
        confirmed=sum(item.confirmed for item in golden),
        own=sum(item.own for item in golden),
        detectable=round(golden.detectable(), 4),
        median_age_days=round(median(ages), 1) if ages else None,
        older_share=round(sum(age > OLD_DAYS for age in ages) / len(ages), 4) if ages else 0.0,
        slices=_slices(golden, store, policy, now()),
        leaks=tuple(leakage.leaks.values()),
        unread=leakage.unread,
        uses=len(uses),
        last_used_at=max((use.created_at for use in uses), default=None),
        next_level=approval_level(level, len(uses) + 1) if policy.guard.ledger else level,
        notes=(),
    )
    return replace(found, notes=tuple(_notes(found, policy)))


def _slices(golden: GoldenDataset, store: "Store", policy: TaskPolicy, at: datetime) -> tuple[SliceHealth, ...]:
    asked: Counter[str] = Counter()
    recent = store.interactions.frame(golden.task, ["tags"], since=at - timedelta(days=OLD_DAYS))
    for tags, count in recent.group_by("tags").len().iter_rows():
        name = (json.loads(tags) if tags else {}).get(policy.curation.intent_tag)
        if name:
            asked[name] += count
    items = Counter(item.slice for item in golden if item.slice is not None)
    groups = Counter(name for name, _ in {(item.slice, item.group) for item in golden} if name is not None)
    total = asked.total() or 1
    return tuple(
        SliceHealth(name, items[name], groups[name], round(asked[name] / total, 4), groups[name] >= policy.guard.slice_minimum)
        for name in sorted(asked.keys() | items.keys(), key=lambda name: (-asked[name], name))
    )


def _notes(found: GoldenHealth, policy: TaskPolicy) -> list[str]:
    notes: list[str] = []
    refresh = f"continuum golden {policy.task} --refresh"
    if found.detectable > policy.guard.resolution:
        notes.append(
            f"a drop of {found.detectable:.3f} is found 4 times in 5, and the policy wants {policy.guard.resolution:g} told from "
            "none: many verdicts will be inconclusive until there are more questions"
        )
    if found.older_share > OLD_SHARE:
        notes.append(f"{found.older_share:.0%} of the questions were asked more than {OLD_DAYS} days ago: {refresh}")
    if found.lacking:
        named = ", ".join(excerpt(name, 40) for name in found.lacking[:NAMED])
        more = f" and {len(found.lacking) - NAMED} more" if len(found.lacking) > NAMED else ""
        notes.append(f"of these slices of recent traffic there is no question: {named}{more}: {refresh}")
    if found.leaks:
        named = ", ".join(excerpt(leak.item_id, 40) for leak in found.leaks[:NAMED])
        notes.append(
            f"{len(found.leaks)} questions were trained on, or nearly the same ones, and measure memory besides: {named}"
            + (f" and {len(found.leaks) - NAMED} more" if len(found.leaks) > NAMED else "")
        )
    if found.unread:
        notes.append(f"of {len(found.unread)} training sets the files are gone, so that nothing is known of them")
    if policy.guard.ledger and found.uses >= MANY_USES:
        notes.append(
            f"{found.uses} candidates were measured on these questions; the next one is approved at the level "
            f"{found.next_level:.5f} only, and new questions would serve it better"
        )
    return notes
