"""How near a backlog comes to what its concurrency allows, against an endpoint that takes 200 ms an answer."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.claims import Entry, Result, Setting, median, table
from benchmarks.judging.backlogs import backlog
from benchmarks.judging.provider import MODEL, Manners, Running, running_provider
from benchmarks.judging.spender import PRICE, TASK
from continuum.annotation.annotator import Annotator
from continuum.judging.model_judge import EndpointJudge
from continuum.models.endpoint import EndpointModel

LATENCY_S = 0.2
CLAIMED = 8
"""The default concurrency, which the claim is about; the others are shown beside it."""


GOAL = 0.9


@dataclass(frozen=True)
class Size:
    """How much of it."""

    limits: tuple[int, ...]
    """The concurrencies that are measured; the claimed one among them."""
    of_each: int
    """Interactions for each of the calls at once: a run is at least as many latencies long."""
    rounds: int


FULL = Size(limits=(CLAIMED, 16, 32, 64), of_each=60, rounds=3)
QUICK = Size(limits=(CLAIMED,), of_each=60, rounds=1)


def measure(setting: Setting, size: Size | None = None) -> Result:
    """Judge backlogs with several limits."""
    size = size or (QUICK if setting.quick else FULL)
    shown = table("Judging against 200 ms an answer", "concurrency", "interactions", "a second", "the limit allows", "share")
    shares: dict[int, float] = {}
    with running_provider() as provider:
        for limit in size.limits:
            count, allowed = limit * size.of_each, limit / LATENCY_S
            found = [a_second(setting, provider, limit, count, number) for number in range(size.rounds)]
            shares[limit] = (median(found) or 0) / allowed
            shown.add_row(str(limit), str(count), f"{median(found):.1f}", f"{allowed:.0f}", f"{shares[limit]:.1%}")
    claim = f"share of what {CLAIMED} calls at once allow, {CLAIMED * size.of_each} interactions"
    entries = [Entry.of_value(claim, shares[CLAIMED], ">=", GOAL)]
    return Result(entries, shown, ["opening the store's backlog, the start of the client and the last stragglers included"])


def a_second(setting: Setting, provider: Running, limit: int, count: int, number: int) -> float:
    """Interactions judged in a second, of so many with so many calls at once."""
    setting.say(f"concurrency {limit}, round {number + 1}")
    provider.reset(Manners(latency_s=LATENCY_S))
    file = setting.folder / f"{limit}-{number}.db"
    store, _ = backlog(file, count, data=setting.data, seed=setting.seed, budget_usd=1000.0)
    model = EndpointModel(MODEL, base_url=provider.base_url, price=PRICE)
    annotator = Annotator(EndpointJudge(model), store=store, concurrency=limit, admission="off")
    begun = time.perf_counter()
    stats = asyncio.run(annotator.annotate_backlog(TASK))
    took = time.perf_counter() - begun
    store.close()
    return stats.judged / took
