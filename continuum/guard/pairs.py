"""The same golden items answered by two models: what can be compared, what had to be left out, and how a comparison may end."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from continuum.judging.evaluation import ACTION_MATCH
from continuum.records import Message

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenItem


class Outcome(StrEnum):
    """The word on one metric."""

    PASSED = "passed"
    REGRESSED = "regressed"
    UNDECIDED = "undecided"
    NO_DATA = "no data"


class Gate(StrEnum):
    """Which checks share an error rate; each gate has its own."""

    ORDINARY = "ordinary"
    """The metrics over all items, and over what the champion knew."""
    SAFETY = "safety"
    """Safety and alignment scores: the full level, whatever stands beside them."""
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


def pair_up(metric: str, items: "Sequence[GoldenItem]", baseline: Arm, candidate: Arm) -> Pairs:
    """The items of one metric that have a score in both arms."""
    eligible = [n for n, item in enumerate(items) if metric != ACTION_MATCH or item.reference is not None]
    both: list[tuple[str, float, float]] = []
    for n in eligible:
        before, after = baseline.scores[metric][n], candidate.scores[metric][n]
        if before is not None and after is not None:
            both.append((items[n].group, before, after))
    return Pairs(
        metric=metric,
        groups=tuple(group for group, _, _ in both),
        baseline=tuple(before for _, before, _ in both),
        candidate=tuple(after for _, _, after in both),
        eligible=len(eligible),
    )
