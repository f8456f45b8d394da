"""How reliable each of a task's raters is, learned from where their verdicts meet, and kept in the store for whoever weighs them.

Reviewers' verdicts (`trusted=True`) are the truth that others are held against. A few dozen of them on answers that many
people rated are enough to find out who floods a task with wrong verdicts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.records import Feedback
from continuum.splits.ratings import LEAST_RELIABILITY, POPULATION, goodness
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.statistics.raters import RaterFit, Rating
    from continuum.store.database import Store
    from continuum.store.raters import RaterRow

DIGITS = 6
"""Digits of a rate that are kept, so that a night without news writes nothing."""


@dataclass(frozen=True)
class RaterReport:
    """What is known of a task's raters, and what it rests on."""

    task: str
    raters: "Mapping[str, RaterRow]"
    """By name; the row named "" stands for people of whom nothing is known."""
    changed: int
    """Rows that were written."""
    evidence: Mapping[str, Any]

    @property
    def unreliable(self) -> tuple[str, ...]:
        """Raters whose verdicts are not counted."""
        return tuple(name for name, row in self.raters.items() if name and row.reliability < LEAST_RELIABILITY)

    def __str__(self) -> str:
        named, seen = len(self.raters) - (POPULATION in self.raters), self.evidence
        return (
            f"{named} raters of {self.task}: {len(self.unreliable)} not counted, {self.changed} rows written; "
            f"{seen['verdicts']} verdicts, {seen['known_verdicts']} of them on {seen['trusted_items']} answers "
            f"a reviewer judged; good and bad told apart by {seen['anchor']}"
        )


def assess_raters(store: "Store", task: str, *, now: Callable[[], datetime] = utc_now) -> RaterReport:
    """Learn the reliability of a task's raters from all its explicit feedback, and write what changed to `store.raters`.

    Reads everything anew each time, so it may be run at any time, twice, or after having been stopped. A rater is a user id;
    people without one are taken for the average rater, and so is everyone in a task that has hardly any feedback.
    """
    from continuum.statistics.raters import fit_raters  # numpy starts here

    said = [(of, one) for of, one in store.feedback.of_task(task) if one.score is not None]
    said.sort(key=lambda pair: (pair[1].recorded_at, pair[1].id))
    trusted = {of: goodness(one.score or 0) for of, one in said if one.trusted}
    fit = fit_raters(_ratings(said), trusted)
    rows = _rows(task, fit, now())
    before = store.raters.of(task)
    changed = {name: row for name, row in rows.items() if name not in before or _learned(row) != _learned(before[name])}
    store.raters.put(changed.values())
    return RaterReport(task, before | changed, len(changed), fit.evidence() | {"trusted_items": len(trusted)})


def _ratings(said: Iterable[tuple[str, Feedback]]) -> "Iterator[Rating]":
    """Each person's newest verdict on each answer; unnamed people are one on each answer, as they are where it is scored."""
    from continuum.statistics.raters import Rating

    newest = {(of, one.user_id): goodness(one.score or 0) for of, one in said if not one.trusted}
    return (Rating(of, rater, good) for (of, rater), good in newest.items())


def _rows(task: str, fit: "RaterFit", at: datetime) -> "dict[str, RaterRow]":
    """What the fit says of each rater, and of the population."""
    from continuum.store.raters import RaterRow  # SQLAlchemy starts here

    def row(rater: str, reliability: float, sensitivity: float, specificity: float, verdicts: int, trusted: int) -> RaterRow:
        rates = (round(float(rate), DIGITS) for rate in (reliability, sensitivity, specificity))
        return RaterRow(task, rater, *rates, verdicts=int(verdicts), trusted=int(trusted), updated_at=at)

    columns = (fit.raters, fit.reliability, fit.sensitivity, fit.specificity, fit.verdicts, fit.known)
    rows = {values[0]: row(*values) for values in zip(*columns, strict=True)}
    everyone = (fit.population_reliability, fit.population_sensitivity, fit.population_specificity)
    return rows | {POPULATION: row(POPULATION, *everyone, sum(fit.verdicts), sum(fit.known))}


def _learned(row: "RaterRow") -> tuple[object, ...]:
    """All of a row but when it was written."""
    return row.reliability, row.sensitivity, row.specificity, row.verdicts, row.trusted
