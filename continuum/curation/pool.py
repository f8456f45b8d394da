"""Which interactions are eligible at all, and why the others are not."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from continuum.curation.quality import Rated, given_answer, intent_of, is_question, rate, settled
from continuum.policy import TaskPolicy
from continuum.provenance.generations import Lineage, generation_of, read_lineage
from continuum.records import Interaction
from continuum.splits.sides import Sides, decided_sides

if TYPE_CHECKING:
    from continuum.store.database import Store

STAGES = ("seen", "golden", "quarantined", "anchor", "failed", "empty", "suspected_injection", "unscored", "below_quality")
"""What is counted: all interactions of the window, then why each one was left out."""


@dataclass(frozen=True)
class Traffic:
    """A task's interactions within the window, and the side of all it ever had."""

    interactions: list[Interaction]
    older: int
    """Interactions from before the window, or that the model to be continued could have learned from already."""
    after: int
    """Sequence number after which the window begins."""
    through: int
    """Sequence number of the last interaction that was seen."""
    sides: Sides
    again: frozenset[str] = frozenset()
    """Those of the interactions that would be left out as older, but that people have said something else of since."""


@dataclass(frozen=True)
class Pool:
    """What may be learned from, before duplicates are looked for."""

    scored: list[Rated]
    """Everything with a score that is on the train or validation side, whatever the score; by interaction id."""
    good: list[Rated]
    """Those of them with the quality asked for."""
    counts: dict[str, int]
    """Stage to interactions: what was seen, and what each stage left out."""


def read_traffic(
    store: "Store", policy: TaskPolicy, since: datetime | None, after: int = 0, again: AbstractSet[str] = frozenset()
) -> Traffic:
    """Read a task once: everything decides the sides, only what lies in the window is kept.

    Args:
        store: where the traffic is.
        policy: whose.
        since: the window begins here.
        after: and past this sequence number.
        again: interactions that lie in the window whenever they came.
    """
    recent: list[Interaction] = []
    older = 0
    through = store.interactions.last_sequence(policy.task)
    # A scan runs in the order of arrival, so the first so many are those up to the sequence number.
    known = store.interactions.count(policy.task, through=after)

    def passing() -> Iterator[Interaction]:
        nonlocal older
        for number, interaction in enumerate(store.interactions.scan(policy.task, status=None)):
            fresh = number >= known and (since is None or interaction.started_at >= since)
            if fresh or interaction.id in again:
                recent.append(interaction)
            else:
                older += 1
            yield interaction

    sides = decided_sides(store, policy, passing())
    return Traffic(recent, older, after, through, sides, frozenset(again & {interaction.id for interaction in recent}))


def eligible(store: "Store", traffic: Traffic, min_score: float, intent_tag: str = "intent") -> Pool:
    """Rate the interactions on the training side and keep the good; each one left out is counted once, by its first reason.

    Args:
        store: where people's and the judge's word is.
        traffic: what was read.
        min_score: the quality asked for, 1 to 5.
        intent_tag: the tag under which the application names an intent.
    """
    counts = Counter(seen=len(traffic.interactions))
    # Anchors show whether the judge has changed; what is learned from could no longer tell.
    anchors = store.reviews.ids(traffic.interactions[0].task, "anchor") if traffic.interactions else set()
    usable = list(_usable(traffic, anchors, counts))
    feedback = store.feedback.of(usable)
    annotations = store.annotations.of(interaction.id for interaction in usable)
    raters = store.raters.of(usable[0].task) if usable else None
    lineage = read_lineage(store, usable[0].task) if usable else Lineage("", {})
    scored: list[Rated] = []
    for interaction in sorted(usable, key=lambda interaction: interaction.id):
        annotation = annotations.get(interaction.id)
        rated = rate(
            interaction,
            feedback.get(interaction.id, []),
            annotation,
            raters,
            generation=generation_of(interaction, lineage),
            intent=intent_of(interaction, intent_tag),
        )
        if annotation is not None and annotation.status == "suspected_injection":
            counts["suspected_injection"] += 1
        elif rated is not None:
            scored.append(rated)
        elif interaction.status != "ok":
            counts["failed"] += 1
        else:
            counts["empty" if given_answer(interaction) is None else "unscored"] += 1
    scored = settled(scored)
    good = [rated for rated in scored if rated.score >= min_score]
    counts["below_quality"] = len(scored) - len(good)
    return Pool(scored, good, {stage: counts[stage] for stage in STAGES})


def _usable(traffic: Traffic, anchors: set[str], counts: Counter[str]) -> Iterator[Interaction]:
    for interaction in traffic.interactions:
        side = traffic.sides.side[interaction.id]
        if side in ("golden", "quarantined"):
            counts[side] += 1
        elif interaction.id in anchors:
            counts["anchor"] += 1
        elif not is_question(interaction.messages):
            counts["empty" if interaction.status == "ok" else "failed"] += 1
        else:
            # A failed call is usable where a person wrote the answer.
            yield interaction
