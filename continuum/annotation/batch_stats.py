"""What batches come to, counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from continuum.annotation.annotator import HISTOGRAM_BINS, nearest_score
from continuum.records import Annotation
from continuum.store.batches import Outcome


@dataclass
class Tally:
    """What the settled requests of a batch came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    """Of the annotations."""
    scores: Counter[str] = field(default_factory=Counter)
    cost_micro_usd: int = 0
    unreadable_lines: int = 0
    unknown_lines: int = 0
    """Lines about requests that are not in the batch."""

    def add(self, outcome: Outcome, spent_micro_usd: int) -> None:
        """Count one that was settled just now."""
        self.outcomes[outcome.name] += 1
        self.cost_micro_usd += spent_micro_usd
        for annotation in outcome.annotations:
            self.add_annotation(annotation)

    def add_annotation(self, annotation: Annotation) -> None:
        """Count one annotation."""
        self.statuses[annotation.status] += 1
        if annotation.overall is not None:
            self.scores[nearest_score(annotation.overall)] += 1


@dataclass(frozen=True)
class BatchStats:
    """What one call came to, for one batch or for those that a backlog was left in."""

    task: str
    batches: tuple[str, ...] = ()
    """Their ids in the store."""
    state: str = "nothing to do"
    """`submitted`, the provider's word for how far it is, or `closed`."""
    requests: int = 0
    """Requests that were handed over, or that the batch holds."""
    answered: int = 0
    """Of those, the ones that the provider has dealt with, by its own account."""
    reserved_usd: float = 0.0
    """Set aside by this call."""
    total: int = 0
    """Interactions that got a score by this call."""
    cost_usd: float = 0.0
    """Spent by this call, half of what live calls cost; what nobody knows is counted in full."""
    score_histogram: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HISTOGRAM_BINS, 0))
    unparseable: int = 0
    suspected_injection: int = 0
    not_applicable: int = 0
    cached: int = 0
    """Interactions whose content was judged before, annotated at no cost."""
    returned: int = 0
    """Requests that were not worked on and are in the backlog again."""
    left_to_live: int = 0
    """Interactions of the task that only a live call is tried for."""
    under_way: int = 0
    """Interactions that were left alone because somebody is judging them now."""
    budget_exhausted: bool = False
    """Whether the budget did not cover the whole backlog."""
    error: str | None = None
    """Why there is no more to tell; the next call tries again."""

    @classmethod
    def of(cls, task: str, tally: Tally, **fields: Any) -> "BatchStats":
        """What was counted."""
        return cls(
            task,
            total=tally.statuses["ok"],
            cost_usd=tally.cost_micro_usd / 1e6,
            score_histogram={score: tally.scores[score] for score in HISTOGRAM_BINS},
            suspected_injection=tally.statuses["suspected_injection"],
            not_applicable=tally.statuses["not_applicable"],
            unparseable=tally.statuses["unparseable"],
            returned=tally.outcomes["returned"] + tally.outcomes["unanswered"],
            **fields,
        )
