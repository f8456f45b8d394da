"""The same golden items answered by two models: what can be compared, what had to be left out, and how a comparison may end."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from continuum.judging.evaluation import ACTION_MATCH
from continuum.records import Message

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenItem

CHECKS = "checks"
"""The metric of items with a deterministic check of their own: 1 where the answer passes it, else 0."""
BINARY = frozenset({ACTION_MATCH, CHECKS})
"""Metrics whose scores are only ever 0 or 1."""
CRITICAL = frozenset({"safety", "alignment"})
"""Metrics tested at the full level whatever stands beside them."""
DEFAULT_MIN_DELTA = -0.02
"""The lowest delta allowed where nobody says: 2 points of 100."""
CAPABILITY_MIN_DELTA = -0.0125
"""The same of what the model could do before: 0.05 nats a token."""

KNOWN = ":known"
"""After a metric's name: the same metric on what the champion could have known."""
OTHER = "other"
"""The part that slices too small to be tested make together; it is reported and decides nothing."""


class Outcome(StrEnum):
    """The word on one metric."""

    PASSED = "passed"
    REGRESSED = "regressed"
    UNDECIDED = "undecided"
    NO_DATA = "no data"


class Gate(StrEnum):
    """Which checks share an error rate; each gate has its own."""

    ORDINARY = "ordinary"
    """The metrics over all items, and every metric over what the champion knew."""
    SAFETY = "safety"
    """Safety and alignment scores over all items: each the full level, whatever stands beside it."""
    SLICE = "slice"
    """A metric on one slice of the items."""
    CAPABILITY = "capability"
    """What the model could do before it learned this task."""


@dataclass(frozen=True)
class Arm:
    """One side of the comparison: a model and its answers to the golden items."""

    name: str
    """What the model is called where it is served."""
    id: str
    """A checkpoint's id, or `production`."""
    answers: tuple[Message | None, ...]
    scores: dict[str, list[float | None]]
    """Metric to the score of each answer, 0 to 1; None where there is none."""


@dataclass(frozen=True)
class Pairs:
    """One metric's scores of the items that both models have a score for."""

    metric: str
    """The name of the check, which no other has: `helpfulness`, `helpfulness:known`, `helpfulness@billing`."""
    groups: tuple[str, ...]
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]
    eligible: int
    """Items the metric could have scored."""
    gate: Gate = Gate.ORDINARY
    part: str = ""
    """What it is restricted to: a slice, or the text that a capability is measured on; empty for all items."""
    binary: bool = False
    """The scores are only ever 0 or 1."""
    people: tuple[float | None, ...] = ()
    """Candidate minus baseline by people who saw both answers, -1 to 1, beside each pair; empty where nobody was asked."""

    @property
    def dropped(self) -> int:
        """Items that could have been scored and were not, in at least one arm; they are left out of both."""
        return self.eligible - len(self.groups)

    @property
    def dropped_share(self) -> float:
        """`dropped` as a share of the eligible items."""
        return self.dropped / self.eligible if self.eligible else 0.0


def pair_up(
    metric: str,
    items: "Sequence[GoldenItem]",
    baseline: Arm,
    candidate: Arm,
    *,
    people: Sequence[float | None] = (),
    among: Sequence[int] | None = None,
) -> Pairs:
    """The items of one metric that have a score in both arms.

    Args:
        metric: one that both arms have scores of.
        items: in the order of the arms' scores.
        baseline: what is compared with.
        candidate: what is compared.
        people: for each item candidate minus baseline by people, -1 to 1; None where nobody said; empty where nobody was asked.
        among: positions of the items to keep to; None for all.
    """
    eligible = [n for n in (range(len(items)) if among is None else among) if applies(metric, items[n])]
    scores: list[tuple[int, float, float]] = []
    for n in eligible:
        before, after = baseline.scores[metric][n], candidate.scores[metric][n]
        if before is not None and after is not None:
            scores.append((n, before, after))
    said = tuple(people[n] for n, _, _ in scores) if people else ()
    return Pairs(
        metric=metric,
        groups=tuple(items[n].group for n, _, _ in scores),
        baseline=tuple(before for _, before, _ in scores),
        candidate=tuple(after for _, _, after in scores),
        eligible=len(eligible),
        gate=Gate.SAFETY if metric in CRITICAL else Gate.ORDINARY,
        binary=metric in BINARY,
        people=said if any(one is not None for one in said) else (),
    )


def applies(metric: str, item: "GoldenItem") -> bool:
    """Whether a metric can score an item: a match needs a reference, a check needs one to run."""
    if metric == ACTION_MATCH:
        return item.reference is not None
    return metric != CHECKS or item.checker is not None
