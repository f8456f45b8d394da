"""How near a backlog comes to what its concurrency allows, against an endpoint that takes 200 ms an answer."""

import asyncio
import time

from benchmarks.claims import Entry, Result, Setting, median, table
from benchmarks.judging.backlogs import backlog
from benchmarks.judging.provider import MODEL, Manners, running_provider
from benchmarks.judging.spender import PRICE, TASK
from continuum.annotation.annotator import Annotator
from continuum.judging.model_judge import EndpointJudge
from continuum.models.endpoint import EndpointModel

LATENCY_S = 0.2
CLAIMED = 8
"""The default concurrency, which the claim is about; the others are shown beside it."""


def measure(setting: Setting) -> Result:
    """Judge backlogs with several limits."""
    limits = (8, 16) if setting.quick else (8, 16, 32, 64)
    rounds = 1 if setting.quick else 3
    shown = table("Judging against 200 ms an answer", "concurrency", "interactions", "a second", "the limit allows", "share")
    shares: dict[int, float] = {}
    with running_provider() as provider:
        for limit in limits:
            count = limit * (25 if setting.quick else 60)
            found = []
            for number in range(rounds):
                setting.say(f"concurrency {limit}, round {number + 1}")
                provider.reset(Manners(latency_s=LATENCY_S))
                file = setting.folder / f"{limit}-{number}.db"
                store, _ = backlog(file, count, data=setting.data, seed=setting.seed, budget_usd=1000.0)
                model = EndpointModel(MODEL, base_url=provider.base_url, price=PRICE)
                annotator = Annotator(EndpointJudge(model), store=store, concurrency=limit, admission="off")
                begun = time.perf_counter()
                stats = asyncio.run(annotator.annotate_backlog(TASK))
                found.append(stats.judged / (time.perf_counter() - begun))
                store.close()
            allowed = limit / LATENCY_S
            shares[limit] = (median(found) or 0) / allowed
            shown.add_row(str(limit), str(count), f"{median(found):.1f}", f"{allowed:.0f}", f"{shares[limit]:.1%}")
    entries = [Entry.of_value(f"share of what {CLAIMED} calls at once allow", shares[CLAIMED], ">=", 0.9)]
    return Result(entries, shown, ["opening the store's backlog, the start of the client and the last stragglers included"])
