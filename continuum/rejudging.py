"""Verdicts that were given on golden items of which people now say otherwise: each is given again, none is rewritten.

The guard is asked as it was, on the golden dataset's next version. What models answered and judges said before is kept, so that
only what changed is asked. A verdict that turned to blocked raises an alarm on what was deployed on the old one; what is on trial
is taken back by whoever leads deployments, and a champion is left to people.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from continuum.deployment.transitions import ON_TRIAL, Cause, note
from continuum.errors import ContinuumError, StoreError
from continuum.guard.guard import RegressionGuard
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.records import Record, Verdict, VerdictStatus
from continuum.reopening import look
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenDataset
    from continuum.store.database import Store
    from continuum.store.reopenings import Reopening
    from continuum.tracking.tracker import Tracker

ACTOR = "late feedback"
Guard = Callable[[TaskPolicy], RegressionGuard]

logger = logging.getLogger(__name__)


class GivenAnew(Record):
    """A verdict that was given again."""

    model: str
    before: Verdict
    verdict: Verdict
    items: int
    """Golden items of which people say otherwise than the verdict before was given on."""
    alarmed: tuple[str, ...] = ()
    """Deployments on which an alarm was raised."""

    def words(self) -> str:
        """What came of it, in a line."""
        turned = "as before" if self.verdict.status is self.before.status else f"{self.before.status} before"
        return f"{self.model}: {self.verdict.status} ({turned}), as people say otherwise of {self.items} golden items"


class Rejudged(Record):
    """What came of the reopened verdicts of a task."""

    given: tuple[GivenAnew, ...] = ()
    troubles: tuple[str, ...] = ()
    """Why others could not be given again; they stay open, and are tried again."""

    def words(self) -> str:
        """What came of them, in a line; nothing where there were none."""
        return "; ".join([*(one.words() for one in self.given), *self.troubles])


def attempt_of(reopened: "Iterable[Reopening]", at: datetime) -> str | None:
    """A name for an attempt at what is open; None where nothing is. What cannot be given again is tried once an hour."""
    rows = sorted((row.used_by, row.interaction_id, row.said) for row in reopened)
    return f"{sha256(repr(rows).encode()).hexdigest()[:16]}:{at.astimezone(UTC):%Y-%m-%dT%H}" if rows else None


async def judge_again(
    store: "Store",
    task: str,
    *,
    guard: Guard | None = None,
    tracker: "Tracker | None" = None,
    on_progress: Progress = silent,
    now: Callable[[], datetime] = utc_now,
) -> Rejudged:
    """Give the reopened verdicts of a task again.

    Args:
        store: where they are.
        task: whose.
        guard: makes the guard of a policy; the one that the policy describes when left out.
        tracker: where verdicts are logged besides.
        on_progress: told how far the guard is.
        now: the clock.

    Raises:
        ConfigurationError: there is no such task.
        StoreError: the database failed.
    """
    from continuum.splits.golden_growth import hold_out  # polars starts here

    # What was given again by hand, or what people say as before again, is settled first.
    await asyncio.to_thread(partial(look, store, task, now=now))
    reopened: dict[str, list[Reopening]] = defaultdict(list)
    for row in await asyncio.to_thread(store.reopenings.open_of, task):
        reopened[row.used_by].append(row)
    if not reopened:
        return Rejudged()
    policy = store.tasks.get(task).policy
    # Before the golden dataset reads it: of what comes in between, the next look finds that it was not held against the verdict.
    said = store.late_feedback.said(row.interaction_id for rows in reopened.values() for row in rows)
    golden = await asyncio.to_thread(hold_out, store, policy, now=now)
    given, troubles = list[GivenAnew](), list[str]()
    for verdict_id, rows in reopened.items():
        before = store.verdicts.get(verdict_id)
        if before is None or golden is None:
            continue
        try:
            asked = _guard(store, policy, golden, guard, tracker)
            anew = await _give(store, asked, before, rows, on_progress)
        except ContinuumError as error:
            logger.warning("task %s: verdict %s cannot be given again: %s", task, verdict_id, error)
            troubles.append(f"verdict {verdict_id} cannot be given again: {error}")
            continue
        found = {row.interaction_id: said.get(row.interaction_id, row.said) for row in rows}
        await asyncio.to_thread(store.reopenings.judge, found, used_by=verdict_id, by=anew.verdict.id, at=now())
        alarmed = await asyncio.to_thread(_alarm, store, anew, now())
        given.append(anew.model_copy(update={"alarmed": alarmed}))
        logger.info("task %s: %s", task, given[-1].words())
    return Rejudged(given=tuple(given), troubles=tuple(troubles))


async def catch_up(store: "Store", task: str, *, tracker: "Tracker | None" = None, on_progress: Progress = silent) -> Rejudged:
    """The same for who has other things to do too: what goes wrong in it is told, and keeps nothing waiting."""
    try:
        return await judge_again(store, task, tracker=tracker, on_progress=on_progress)
    except ContinuumError as error:
        logger.warning("task %s: reopened verdicts are not given again: %s", task, error)
        return Rejudged(troubles=(str(error),))


def _guard(
    store: "Store", policy: TaskPolicy, golden: "GoldenDataset", guard: Guard | None, tracker: "Tracker | None"
) -> RegressionGuard:
    asked = RegressionGuard.for_task(policy, store=store, tracker=tracker) if guard is None else guard(policy)
    asked.golden_dataset = golden
    return asked


async def _give(
    store: "Store", guard: RegressionGuard, before: Verdict, rows: "list[Reopening]", on_progress: Progress
) -> GivenAnew:
    model = store.checkpoints.get(before.checkpoint_id)
    if model is None:
        raise StoreError(f"its checkpoint {before.checkpoint_id} is no longer in the store; restore it from a backup")
    verdict = await guard.evaluate(candidate_model=model, on_progress=on_progress, again=before)
    return GivenAnew(model=model.name, before=before, verdict=verdict, items=len(rows))


def _alarm(store: "Store", anew: GivenAnew, at: datetime) -> tuple[str, ...]:
    """Raise an alarm on what was deployed on a verdict that turned to blocked; on which deployments."""
    if anew.verdict.status is not VerdictStatus.BLOCKED:
        return ()
    why = (
        f"people say otherwise of {anew.items} golden items, and the verdict given on what they say now blocks {anew.model}: "
        f"{', '.join(anew.verdict.failed_checks) or anew.verdict.id}"
    )
    cause = Cause(ACTOR, why, {"verdict_id": anew.verdict.id, "status": anew.verdict.status.value, "before": anew.before.id}, at)
    alarmed = []
    for record in store.deployments.of(anew.verdict.task):
        of_it = record.checkpoint_id == anew.verdict.checkpoint_id and _serves(record)
        # Whoever changes the row at this moment reads the newest verdict at the next step.
        if of_it and note(store, record, "alarm", cause, alarm=why) is not None:
            alarmed.append(record.id)
    return tuple(alarmed)


def _serves(record: DeploymentRecord) -> bool:
    """Does it rest on a verdict, and receive traffic or is about to?"""
    return record.verdict_id is not None and record.state in (*ON_TRIAL, DeploymentState.LIVE)
