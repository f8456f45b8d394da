"""Looking at an open batch: how far its provider is, what is to be settled, what is to be deleted there."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from continuum.annotation.batch_results import settle_results
from continuum.annotation.batch_sending import Clock, judge_of, send
from continuum.annotation.batch_stats import BatchStats, Tally
from continuum.config import Settings
from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.model_judge import EndpointJudge
from continuum.progress import Progress
from continuum.store.batches import BatchRow

if TYPE_CHECKING:
    from continuum.models.batch_endpoint import BatchEndpoint, ProviderBatch
    from continuum.store.database import Store

GIVEN_UP_AFTER = timedelta(days=7)
"""A batch that its provider does not know is given up so long after it was begun; no provider works on one for that long."""
TOO_MUCH_AT_ONCE = "token_limit"
"""Part of the code with which a batch fails where the provider does not take so many tokens at once."""


async def sent(store: "Store", endpoint: "BatchEndpoint", row: BatchRow, judge: EndpointJudge, now: Clock) -> list[str]:
    """Hand a batch over if it still is to be; its id, or nothing where there was nothing to do."""
    return [row.id] if row.state in ("prepared", "sending") and await send(store, endpoint, row, judge, now) else []


async def look_at(store: "Store", row: BatchRow, settings: Settings, on_progress: Progress, now: Clock) -> BatchStats:
    """Look at an open batch once, and do what is to be done."""
    from continuum.models.batch_endpoint import BatchEndpoint, BatchGone

    try:
        judge = judge_of(row, settings)
        async with BatchEndpoint(judge.model) as endpoint:
            if row.state in ("prepared", "sending"):
                handed_over = await sent(store, endpoint, row, judge, now)
                requests = sum(store.batches.outcomes(row.id).values())
                return BatchStats(row.task, (row.id,), "submitted" if handed_over else row.state, requests)
            tally = Tally()
            if row.state == "submitted":
                try:
                    provider = await endpoint.look(row.provider_id or "")
                except BatchGone:
                    if now() - row.created_at <= GIVEN_UP_AFTER:
                        raise
                    provider = gone(row)
                if not provider.ended:
                    return BatchStats(row.task, (row.id,), provider.status, provider.requests, provider.answered)
                tally = await settle_results(store, endpoint, row, provider, judge, now=now, on_progress=on_progress)
                store.batches.note(row.id, now(), state="ended", **ending_of(store, row, provider, tally))
            return await _closed(store, endpoint, row, tally, now)
    except (JudgeError, ConfigurationError) as error:
        return BatchStats(row.task, (row.id,), row.state, error=str(error))


async def _closed(store: "Store", endpoint: "BatchEndpoint", row: BatchRow, tally: Tally, now: Clock) -> BatchStats:
    """Delete the provider's files, which hold what was captured; where that fails for now, the next call tries again."""
    detail = (store.batches.get(row.id) or row).detail
    left = [file for file in detail.get("files", ()) if not await endpoint.delete_file(file)]
    state = "ended" if left else "closed"
    store.batches.note(row.id, now(), state=state, files=left)
    return BatchStats.of(
        row.task,
        tally,
        batches=(row.id,),
        state=state,
        requests=tally.outcomes.total(),
        answered=tally.outcomes["judged"] + tally.outcomes["unreadable"],
        left_to_live=len(store.batches.left_to_live(row.task, row.judge, row.rubric)),
        error=detail.get("error"),
    )


def ending_of(store: "Store", row: BatchRow, provider: "ProviderBatch", tally: Tally) -> dict[str, Any]:
    """What is kept of how a batch ended, and what the next one learns from it."""
    outcomes, takes = store.batches.outcomes(row.id), row.detail.get("takes")
    if any(TOO_MUCH_AT_ONCE in code for code, _ in provider.faults):
        takes = max(1, sum(outcomes.values()) // 2)
    elif takes is not None and provider.status in ("completed", "expired"):
        takes *= 2
    faults = "; ".join(f"{code}: {message}" for code, message in provider.faults)
    files = (row.detail.get("input_file"), provider.output_file, provider.error_file)
    return {
        "status": provider.status,
        "takes": takes,
        "outcomes": outcomes,
        "unreadable_lines": tally.unreadable_lines,
        "unknown_lines": tally.unknown_lines,
        "error": f"the provider says: {faults}" if faults else None,
        "files": [file for file in files if file],
    }


def gone(row: BatchRow) -> "ProviderBatch":
    """A batch of which nothing will be heard any more: nobody knows what was worked on, and all that is reserved is spent."""
    from continuum.models.batch_endpoint import ProviderBatch

    return ProviderBatch(
        row.provider_id or "", "completed", row.detail.get("input_file"), None, None, 0, 0, (("gone", "it is not known there"),)
    )
