"""What traffic a task has had: how much, by which model, how it ended, and what people said of it."""

from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from continuum.records import Record

if TYPE_CHECKING:
    from continuum.store.database import Store

UNNAMED = "(none)"
"""Stands for interactions that name no model."""


class TrafficSummary(Record):
    """The traffic of one task."""

    task: str
    total: int
    by_status: dict[str, int]
    by_model: dict[str, int]
    by_source: dict[str, int]
    by_variant: dict[str, int]
    """Interactions that a deployment routed, by its arm."""
    good: int
    """Interactions whose newest explicit score is 4 or better."""
    bad: int
    """Interactions whose newest explicit score is 2 or worse."""
    mixed: int
    """Interactions whose newest explicit score lies between."""
    first_at: AwareDatetime | None
    last_at: AwareDatetime | None
    new: int
    """Interactions that arrived since the last turn learned from the task."""
    reopened: int = 0
    """Interactions from before, of which people said something since, so that the next turn considers them again."""

    @property
    def rated(self) -> int:
        """Interactions that people scored."""
        return self.good + self.bad + self.mixed


def summarise(store: "Store", task: str) -> TrafficSummary:
    """Sum up a task's traffic.

    Raises:
        ConfigurationError: there is no such task.
    """
    trained_through = store.tasks.get(task).trained_through
    counts = store.interactions.counts_by
    good, bad, mixed = store.feedback.verdicts(task)
    first_at, last_at = store.interactions.span(task)
    by_status = counts(task, "status")
    return TrafficSummary(
        task=task,
        total=sum(by_status.values()),
        by_status=named(by_status),
        by_model=named(counts(task, "model")),
        by_source=named(counts(task, "source")),
        by_variant={variant: count for variant, count in counts(task, "variant").items() if variant is not None},
        good=good,
        bad=bad,
        mixed=mixed,
        first_at=first_at,
        last_at=last_at,
        new=store.interactions.count(task, after=trained_through),
        reopened=store.reopenings.count(task),
    )


def named(counts: dict[str | None, int]) -> dict[str, int]:
    """The counts, most frequent first, with a name for the nameless."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0] or ""))
    return {name or UNNAMED: count for name, count in ordered}
