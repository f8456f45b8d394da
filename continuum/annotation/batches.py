"""The backlog left to a provider's batch endpoint: half the price of live calls, an answer within a day.

    submit_backlog    claims what nobody has judged, reserves what it can cost, hands it over
    collect_batches   looks how far the open batches are, settles those that have ended, goes on with what was interrupted
    cancel_batch      ends one; what was answered by then is kept, and charged by the provider

Each may be killed at any moment and called again by anyone. What the provider answered is judged, for the price of its tokens.
What it did not work on goes back to the backlog, at no charge, and may be in the next batch. An answer that cannot be read is
charged, and its interaction is left to a live call, which can ask the judge to repair it; so is one that the provider refused,
or that three batches brought no answer for. Such interactions are in no later batch; `store.batches.left_to_live` names them.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from continuum.annotation.backlog import is_judged
from continuum.annotation.batch_ending import GIVEN_UP_AFTER, look_at, sent
from continuum.annotation.batch_filling import Filling
from continuum.annotation.batch_sending import Clock, adopted, give_back, held, judge_of
from continuum.annotation.batch_stats import BatchStats, Tally
from continuum.config import Settings, load_settings
from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.model_judge import EndpointJudge
from continuum.models.budget import Budget
from continuum.policy import Purpose, TaskPolicy
from continuum.progress import Progress, silent
from continuum.records import Interaction
from continuum.rubric import Criterion, normalised
from continuum.store.batches import BatchRow
from continuum.timespan import start_of, utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store


async def submit_backlog(
    store: "Store",
    policy: TaskPolicy,
    judge: EndpointJudge,
    criteria: Sequence[Criterion] | None = None,
    *,
    purpose: Purpose = "annotation",
    since: str | timedelta | None = None,
    limit_usd: float | None = None,
    chosen: Callable[[Interaction], bool] | None = None,
    most: int | None = None,
    on_progress: Progress = silent,
    now: Clock = utc_now,
) -> BatchStats:
    """Leave a task's answered interactions that this judge has not scored to the batch endpoint of its provider.

    The money is reserved before anything is sent, at half the bound of a live call. What does not fit the budget stays in the
    backlog. A backlog that is too large for one batch becomes several.

    Args:
        store: where the interactions are.
        policy: the task's, for its budget.
        judge: whose endpoint is asked, in the very words of a live call.
        criteria: the rubric; None for the policy's.
        purpose: what the money is for; `second` for a judge who only watches.
        since: only interactions of the last such span, like "7d"; None for all.
        limit_usd: the most that this call may reserve besides what the policy allows; None for no limit of its own.
        chosen: which interactions may go; None for the share that the policy's sample rate draws.
        most: requests in one batch; None for as many as the provider takes.
        on_progress: told while the requests are written down.
        now: the clock.

    Returns:
        What was handed over. A budget that does not cover all of it is a result, not an error; so is an endpoint that does not
        answer: what was written down is handed over by the next call of this or of `collect_batches`.

    Raises:
        ConfigurationError: there is a budget and no price for the judge, or the endpoint has no batch routes, refuses the key
            or the request; nothing is reserved any more.
    """
    from continuum.models.batch_endpoint import MOST_BYTES, MOST_REQUESTS, BatchEndpoint

    budget = Budget.of_task(store, policy, purpose, limit_usd=limit_usd, now=now)
    assert budget.account is not None  # noqa: S101 - a task's budget has one
    if budget.limited:
        judge.model.must_be_priced()
    newest = store.batches.newest(policy.task, judge.name, judge.model.base_url)
    learned = learned_from(newest, judge)
    rubric = normalised(tuple(policy.judge.criteria if criteria is None else criteria))
    sampled = chosen or (lambda interaction: is_judged(interaction.id, policy.judge.sample_rate))
    role = "second" if purpose == "second" else "selecting"
    filling = Filling(store, judge, rubric, budget.account, budget.limit, role, learned, sampled, now)
    answered, scored = store.interactions.count_annotated(policy.task, judge=judge.name, rubric=filling.rubric)
    requests, batches, trouble = filling.requests(start_of(since, now())), [], None
    most = min(most or MOST_REQUESTS, learned or MOST_REQUESTS)

    def tell(done: int) -> None:
        on_progress(done, max(done, answered - scored), f"leaving {policy.task} to a batch")

    try:
        async with BatchEndpoint(judge.model) as endpoint:
            before = open_of(store, policy.task, judge)
            for interrupted in before:
                batches += await sent(store, endpoint, interrupted, judge, now)
            # Beside an open batch a provider that takes so little at once would refuse another.
            free = learned is None or not any(row.state == "submitted" for row in before)
            while free and (row := await filling.batch(requests, most, MOST_BYTES, tell)):
                batches += await sent(store, endpoint, row, judge, now)
                free = learned is None
    except JudgeError as error:
        trouble = str(error)
    tally = Tally()
    for annotation in filling.filled.annotations:
        tally.add_annotation(annotation)
    filled = filling.filled
    return BatchStats.of(
        policy.task,
        tally,
        batches=tuple(batches),
        state="submitted" if batches else "nothing to do",
        requests=filled.requests,
        reserved_usd=filled.reserved_micro_usd / 1e6,
        cached=filled.cached,
        left_to_live=len(store.batches.left_to_live(policy.task, judge.name, filling.rubric)),
        under_way=filled.under_way,
        budget_exhausted=filled.exhausted,
        error=trouble,
    )


async def collect_batches(
    store: "Store",
    *,
    settings: Settings | None = None,
    only: Collection[str] | None = None,
    on_progress: Progress = silent,
    now: Clock = utc_now,
) -> list[BatchStats]:
    """Look at every open batch once: settle those that have ended, hand over those that were interrupted on the way.

    Args:
        store: where the batches are written down.
        settings: for the judge's key; None for those of the environment.
        only: ids of the batches to look at; None for all that are open.
        on_progress: told while results are settled.
        now: the clock.

    Returns:
        What this call came to for each, the oldest first; one that could not be looked at says why, and the others go on.
    """
    chosen = settings or load_settings()
    rows = [row for row in store.batches.open() if only is None or row.id in only]
    return [await look_at(store, row, chosen, on_progress, now) for row in rows]


@dataclass(frozen=True)
class Look:
    """How an open batch is, at a glance."""

    batch: str
    state: str
    """Ours where it is not handed over, or only its files are left to delete; else the provider's word for it."""
    due: bool
    """Whether `collect_batches` has something to do for it."""
    trouble: str | None = None
    """Why the provider could not be asked."""


async def glance_at_batches(
    store: "Store", *, settings: Settings | None = None, patience_s: float = 10.0, now: Clock = utc_now
) -> list[Look]:
    """How the open batches are, the oldest first; nothing about them is written. Their providers are asked at the same time.

    Args:
        store: where the batches are written down.
        settings: for the judge's key; None for those of the environment.
        patience_s: how long one provider has to answer.
        now: the clock.
    """
    await asyncio.to_thread(store.workers.settle_dead, now=now)
    chosen = settings or load_settings()
    return list(await asyncio.gather(*(_glance(store, row, chosen, patience_s, now) for row in store.batches.open())))


async def _glance(store: "Store", row: BatchRow, settings: Settings, patience_s: float, now: Clock) -> Look:
    from continuum.models.batch_endpoint import BatchEndpoint, BatchGone

    if row.state != "submitted":
        return Look(row.id, row.state, due=row.state == "ended" or not store.batches.is_held(row.id))
    try:
        async with asyncio.timeout(patience_s), BatchEndpoint(judge_of(row, settings).model) as endpoint:
            provider = await endpoint.look(row.provider_id or "")
            return Look(row.id, provider.status, provider.ended)
    except BatchGone as error:
        return Look(row.id, "gone", now() - row.created_at > GIVEN_UP_AFTER, str(error))
    except (JudgeError, ConfigurationError) as error:
        return Look(row.id, "unknown", due=False, trouble=str(error))
    except TimeoutError:
        return Look(row.id, "unknown", due=False, trouble=f"{row.base_url} did not answer within {patience_s:g} s")


async def cancel_batch(
    store: "Store", batch_id: str, *, settings: Settings | None = None, on_progress: Progress = silent, now: Clock = utc_now
) -> BatchStats:
    """End a batch. The provider takes a while: until a later `collect_batches` settles it, what it holds stays reserved.

    Raises:
        ConfigurationError: there is no such batch, or the endpoint refuses the key.
        JudgeError: the endpoint did not answer.
    """
    from continuum.models.batch_endpoint import BatchEndpoint

    row = store.batches.get(batch_id)
    if row is None:
        raise ConfigurationError(f"there is no batch {batch_id!r}; `collect_batches` tells which are open")
    chosen = settings or load_settings()
    judge = judge_of(row, chosen)
    if row.state in ("prepared", "sending") and not await held(store, row, now):
        raise ConfigurationError(f"batch {batch_id} is being handed over by another process; cancel it when that has ended")
    async with BatchEndpoint(judge.model) as endpoint:
        found = await adopted(endpoint, row) if row.state == "sending" else None
        if found is not None:
            store.batches.note(row.id, now(), state="submitted", provider=found.id, input_file=found.input_file)
        elif row.state in ("prepared", "sending"):
            returned = give_back(store, row, now())
            store.batches.note(row.id, now(), state="closed", status="cancelled")
            return BatchStats(row.task, (row.id,), "closed", returned=returned)
        row = store.batches.get(batch_id) or row
        if row.state == "submitted" and not (await endpoint.look(row.provider_id or "")).ended:
            await endpoint.cancel(row.provider_id or "")
    return await look_at(store, row, chosen, on_progress, now)


def open_of(store: "Store", task: str, judge: EndpointJudge) -> list[BatchRow]:
    """The open batches of a task that this judge is asked in."""
    whose = (task, judge.name, judge.model.base_url)
    return [row for row in store.batches.open() if (row.task, row.judge, row.base_url) == whose]


def learned_from(newest: BatchRow | None, judge: EndpointJudge) -> int | None:
    """How many requests the provider takes at once, where the last batch showed it; the judge learns how it is spoken to."""
    from continuum.models.wire import Dialect

    if newest is None:
        return None
    if judge.model.dialect == Dialect():
        judge.model.dialect = Dialect(**newest.detail["dialect"])
    return newest.detail.get("takes")
