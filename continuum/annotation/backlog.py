"""A task's backlog: what a judge has yet to score, and what has become of it in a run."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from continuum.annotation.audit import second_sample
from continuum.errors import JudgeError
from continuum.judging.judge import NOT_ASKED, Judgement
from continuum.policy import Purpose, TaskPolicy
from continuum.progress import Progress
from continuum.records import Annotation, Interaction
from continuum.splits.sides import unit_hash

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from continuum.store.database import Store
    from continuum.store.opinions import Standing

KEPT_FAILURES = 200
"""Failures of a run that are kept to tell their causes."""
SALT = "continuum judging"
"""Of the draw that says what is judged; another than that of capture, which would leave only what captures drew first."""


class Backlog:
    """The answered interactions of a task, as one judge with one rubric has scored them.

    Args:
        store: where they are.
        task: whose.
        judge: the judge's name.
        rubric: fingerprint of the criteria.
        since: the first moment that counts; None for all.
        until: the first that no longer does; None for none.
    """

    def __init__(
        self, store: "Store", task: str, *, judge: str, rubric: str, since: datetime | None, until: datetime | None = None
    ) -> None:
        self.store = store
        self.task = task
        self.judge = judge
        self.rubric = rubric
        self.since = since
        self.until = until
        self.answered, self.scored = store.interactions.count_annotated(
            task, judge=judge, rubric=rubric, since=since, until=until
        )

    def sampled(self, draw: "Draw") -> Iterator[Interaction]:
        """What is yet to score, oldest first: those that are drawn by their ids, in every run alike."""
        if draw.named is not None:
            yield from self._named(draw.named)
            return
        for interaction in self.store.interactions.unannotated(
            self.task, judge=self.judge, rubric=self.rubric, since=self.since, until=self.until
        ):
            if draw.drawn(interaction.id):
                yield interaction

    def _named(self, ids: Collection[str]) -> Iterator[Interaction]:
        """Those of a few that are yet to score, looked up and not searched for."""
        from continuum.store.scores import Scores

        scored = Scores(self.store.engine).of(self.task, judge=self.judge, rubric=self.rubric, role="second")
        left = set(ids) - {one.interaction_id for one in scored}
        found = self.store.interactions.get_many(sorted(left)).values()
        for interaction in sorted(found, key=lambda one: (one.started_at, one.id)):
            recent = self.since is None or interaction.started_at >= self.since
            early = self.until is None or interaction.started_at < self.until
            if recent and early and interaction.task == self.task and interaction.status == "ok":
                yield interaction

    def standing(self) -> "Standing":
        """What the judge has said of it by now, in every run and process."""
        annotations = self.store.annotations
        of = {"judge": self.judge, "rubric": self.rubric, "since": self.since, "until": self.until}
        return annotations.standing(self.task, **of, unasked=NOT_ASKED)


@dataclass(frozen=True)
class Draw:
    """Which interactions a judge is to score, and who pays."""

    purpose: Purpose
    share: float
    """About how many of the interactions that is."""
    drawn: Callable[[str], bool]
    """Says of an interaction's id whether it is among them."""
    named: frozenset[str] | None = None
    """The ids themselves, where they are known and few."""


def draw_of(policy: TaskPolicy, role: Literal["selecting", "second", "trial"], only: Collection[str] | None = None) -> Draw:
    """What a task's policy draws for a judge.

    Args:
        policy: the task's.
        role: the judge's.
        only: the same among these alone; for a second judge these themselves, drawn or not, as what is referred to it is not.
    """
    rates = policy.judge
    if role == "second":
        if only is not None:
            return Draw("second", 0.0, only.__contains__, frozenset(only))
        return Draw("second", rates.sample_rate * rates.second.sample_rate, partial(is_watched, policy))
    named = None if only is None else frozenset(only)

    def drawn(interaction_id: str) -> bool:
        return (named is None or interaction_id in named) and is_judged(interaction_id, rates.sample_rate)

    return Draw("annotation", rates.sample_rate, drawn)


def is_judged(interaction_id: str, rate: float) -> bool:
    """Whether an interaction is among the share that is judged; what is judged at one rate is judged at every higher one."""
    return rate >= 1 or unit_hash(SALT, interaction_id) < rate


def is_watched(policy: TaskPolicy, interaction_id: str) -> bool:
    """Whether an interaction is among those that the second judge scores too, whatever the first says of it."""
    drawn = second_sample([interaction_id], policy.judge.second.sample_rate, policy.splits.salt)
    return bool(drawn) and is_judged(interaction_id, policy.judge.sample_rate)


class Tally:
    """What became of the interactions of one run: the annotations that are not stored yet, and counts.

    Args:
        store: where annotations go.
        total: interactions to deal with, as far as is known.
        on_progress: told of each that is dealt with.
        note: what is going on, in words, without how far it is.
        spent_usd: says what the run has spent so far.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: "Store",
        total: int,
        on_progress: Progress,
        note: str,
        spent_usd: Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pending: list[Annotation] = []
        self.written: set[str] = set()
        """Ids of the annotations that this run has stored; those that another process stored first are not among them."""
        self.hits: set[str] = set()
        """Ids of annotations whose content had been judged before."""
        self.skipped = 0
        self.judged = 0
        """Judgements that came, from the judge or from before."""
        self.failures: list[JudgeError] = []
        """Why answers got no judgement, of the first so many."""
        self.unreadable = 0
        """Interactions of which nothing readable was said and that were left as they were."""
        self.elsewhere: set[str] = set()
        """Interactions that another process was asking about when their turn came."""
        self._store = store
        self._total = total
        self._on_progress = on_progress
        self._note = note
        self._spent_usd = spent_usd
        self._clock = clock
        self._begun = clock()
        self._done = 0

    def add(self, annotation: Annotation, *, hit: bool = False) -> None:
        """An interaction got an annotation that cost nothing; it is stored with others."""
        self.pending.append(annotation)
        if hit:
            self.hits.add(annotation.id)
        self.judged_now()

    def judged_now(self) -> None:
        """An interaction has its annotation."""
        self.judged += 1
        self._tell()

    def skip(self, why: JudgeError | None = None, *, unreadable: bool = False) -> None:
        """An interaction is left as it is."""
        self.skipped += 1
        self.unreadable += unreadable
        if why is not None and len(self.failures) < KEPT_FAILURES:
            self.failures.append(why)
        self._tell()

    def writing(self, annotation: Callable[[Judgement], Annotation], judgement: Judgement) -> "Callable[[Connection], None]":
        """What writes the annotation that a new judgement makes, in the transaction that books what it cost."""
        return partial(self._write, [annotation(judgement)])

    async def store(self) -> None:
        """Store what is pending; done even if the caller is cancelled."""
        from continuum.store.grouped import ANNOTATION

        batch, self.pending = self.pending, []
        if batch:
            await self._store.writes.write(partial(self._write, batch), order=(ANNOTATION, ""))

    def _write(self, batch: list[Annotation], connection: "Connection") -> None:
        from continuum.store.opinions import insert_annotations

        self.written |= insert_annotations(connection, batch)

    def _tell(self) -> None:
        self._done += 1
        left = max(self._total - self._done, 0)
        told = f"{self._note}, ${self._spent_usd():.2f} spent"
        if left:
            told += f", {in_words((self._clock() - self._begun) / self._done * left)} left"
        self._on_progress(self._done, max(self._total, self._done), told)


def in_words(seconds: float) -> str:
    """About how long, in the unit that suits it."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{round(seconds / 3600)} h"
