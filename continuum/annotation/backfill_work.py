"""Working on a backfill: judge exactly what lacks a judgement, say what is missing and why, and go on after any death.

The work holds a claim that ends by itself. What was judged is in the store, with what was said of each content, so whoever
goes on asks nothing twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr

from continuum.amending import amended
from continuum.annotation.annotator import AnnotationStats
from continuum.annotation.backfill import CRITERIA, Opinion, Window, count, held_words, known, opinion_of_row
from continuum.errors import ConfigurationError, ContinuumError, JudgeError, StoreError
from continuum.judging.missing import shown
from continuum.progress import Progress, silent
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.backfills import BackfillRow
    from continuum.store.database import Store

CLAIM_LASTS = timedelta(seconds=60)
"""A process that was killed holds a backfill no longer than this."""
BEAT_S = 5.0
"""How often who works says so, and looks whether it was cancelled."""
INTERRUPTED = "interrupted; what was judged is kept"


@dataclass
class Held:
    """A claim on a backfill while it is held."""

    done: int = 0
    """Judgements of this run so far."""
    lost: bool = False
    """Whether somebody cancelled the backfill, or took it over."""


async def work(
    store: "Store",
    backfill_id: str,
    *,
    holder: str,
    api_key: SecretStr | None = None,
    on_progress: Progress = silent,
    now: Callable[[], datetime] = utc_now,
    beat_s: float = BEAT_S,
) -> "BackfillRow":
    """Judge what is missing of a backfill. A spent budget and answers that could not be judged are results, not errors.

    Args:
        store: where it is.
        backfill_id: which.
        holder: who works on it; the same holder may come again.
        api_key: the judge's key; None for the one of the environment.
        on_progress: told after each judgement.
        now: the clock.
        beat_s: seconds between two looks at the claim.

    Returns:
        The backfill as it stands: `done`, `incomplete` with the reason, or `cancelled` by somebody meanwhile.

    Raises:
        ConfigurationError: it is not to be worked on now, or the judge cannot be asked at all; then it is incomplete.
        StoreError: the store failed; whoever works on it next goes on.
    """
    row = known(store, backfill_id)
    if row.kind != "judging" or not store.backfills.claim(row.id, holder, lasts=CLAIM_LASTS, now=now):
        raise ConfigurationError(held_words(known(store, backfill_id), now()))
    held = Held()

    def counting(done: int, total: int, note: str) -> None:
        held.done = done
        on_progress(done, total, note)

    def spent() -> float:
        return spent_usd(store, row, opinion_of_row(store, row))

    try:
        opinion = opinion_of_row(store, row)
        async with holding(store, row, holder, held, now, beat_s, spent):
            try:
                stats = await opinion.annotator(store, api_key).annotate_backlog(
                    row.task, row.since, until=row.until, on_progress=counting, now=now
                )
                why = None
            except JudgeError as error:
                stats, why = None, shown(str(error))
            _end(store, row, opinion, holder, stats, why, now)
    except asyncio.CancelledError:
        if not held.lost:
            store.backfills.finish(row.id, holder, "incomplete", now=now, reason=INTERRUPTED, cost_usd=spent())
            raise
        store.backfills.spent(row.id, spent())
    except StoreError:
        raise
    except ContinuumError as error:
        store.backfills.finish(row.id, holder, "incomplete", now=now, reason=shown(str(error)))
        raise
    if held.lost and (task := asyncio.current_task()) is not None:
        task.uncancel()
    return known(store, row.id)


@contextlib.asynccontextmanager
async def holding(
    store: "Store",
    row: "BackfillRow",
    holder: str,
    held: Held,
    now: Callable[[], datetime] = utc_now,
    beat_s: float = BEAT_S,
    spent: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[None]:
    """Keep the claim while the block runs; where it is lost, `held` says so and the block is cancelled.

    With each beat goes how far the work is, and what `spent` says that it has cost, in US dollars.
    """
    worker = asyncio.current_task()

    def told(judged: int) -> bool:
        return store.backfills.beat(row.id, holder, lasts=CLAIM_LASTS, judged=judged, cost_usd=spent(), now=now)

    async def beat() -> None:
        while True:
            await asyncio.sleep(beat_s)
            try:
                # What is beyond the window was not counted: the row says what was there when it began.
                judged = min(row.judged + held.done, row.wanted)
                lasting = await asyncio.to_thread(told, judged)
            except StoreError:
                continue  # Its claim lasts a while longer, and each judgement says louder that the store is away.
            if not lasting and worker is not None:
                held.lost = True
                worker.cancel()
                return

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


def _end(
    store: "Store",
    row: "BackfillRow",
    opinion: Opinion,
    holder: str,
    stats: AnnotationStats | None,
    why: str | None,
    now: Callable[[], datetime],
) -> None:
    """Write down what the work came to, and adopt the rubric where everything is judged by it."""
    left = count(store, opinion, row.since, row.until)
    if row.adopt and not left.missing:
        adopt(store, opinion, now=now)
    spent = row.cost_usd + (stats.cost_usd if stats else 0.0)
    unreadable = stats.unreadable if stats else 0
    store.backfills.finish(
        row.id,
        holder,
        "incomplete" if left.missing else "done",
        now=now,
        wanted=left.wanted,
        judged=left.judged,
        unreadable=unreadable,
        failed=max(stats.skipped - unreadable, 0) if stats else left.missing,
        cost_usd=max(spent, spent_usd(store, row, opinion)),
        reason=missing_words(left, stats, why) if left.missing else _done_words(row, opinion),
    )


def spent_usd(store: "Store", row: "BackfillRow", opinion: Opinion) -> float:
    """US dollars that a backfill has cost: what it says itself, or what its stored judgements cost, if that is more.

    A run that was killed could not say what it spent; what its judgements cost is known.
    """
    from continuum.store.windows import Windows

    named = {"judge": opinion.judge, "rubric": opinion.rubric}
    window = {"since": row.since, "until": row.until, "after": row.created_at}
    return max(row.cost_usd, Windows(store.engine).cost_usd(row.task, **named, **window))


def adopt(store: "Store", opinion: Opinion, *, now: Callable[[], datetime] = utc_now) -> None:
    """Make a rubric the policy's: what was judged by it selects from now on. Safe to repeat."""
    task, criteria = opinion.policy.task, CRITERIA.dump_python(opinion.criteria, mode="json")
    store.tasks.change(task, lambda stored: amended(task, stored, {"judge.criteria": criteria}))
    store.annotations.select_by(task, judge=opinion.judge, rubric=opinion.rubric, now=now)


def missing_words(left: Window, stats: AnnotationStats | None, why: str | None) -> str:
    """What is missing of a window, and why."""
    told = [f"{left.missing} of {left.wanted} are missing"]
    if stats is None:
        return f"{told[0]}: {why}"
    if stats.budget_exhausted:
        told.append("the budget ended it: raise judge.budget_usd or judge.shares.annotation, or wait for the next period")
    if stats.skipped > stats.unreadable:
        cause = f": {stats.why_skipped}" if stats.why_skipped else ""
        told.append(f"{stats.skipped - stats.unreadable} could not be asked about{cause}")
    if stats.unreadable:
        told.append(f"the judge said nothing readable of {stats.unreadable}")
    rest = left.missing - stats.skipped
    if rest > 0 and not stats.budget_exhausted:
        told.append(f"{rest} are being asked about elsewhere, or came meanwhile")
    return "; ".join(told)


def _done_words(row: "BackfillRow", opinion: Opinion) -> str:
    if row.adopt:
        return f"rubric {opinion.rubric} is the policy's"
    if not opinion.is_the_policys:
        return f"tried: scores by rubric {opinion.rubric} select nothing until it is adopted"
    return "judged by the policy's rubric"
