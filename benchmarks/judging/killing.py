"""A process that judges is killed (SIGKILL) again and again over a backlog; then what was judged and charged is counted.

The provider honours `Idempotency-Key`, and its ledger says how many requests were sent again under a key it had answered: those
were under way at a kill, and a provider that knows no such keys would have charged them twice.
"""

import random
import time
from dataclasses import dataclass

from sqlalchemy import func, select

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.judging.backlogs import backlog
from benchmarks.judging.provider import Manners, running_provider
from benchmarks.judging.spender import TASK, Order, running_spenders
from continuum.store.database import Store
from continuum.store.tables import annotations

CONCURRENCY = 16
LATENCY_S = 0.05
START_S = 120.0


@dataclass(frozen=True)
class Size:
    """How much of it."""

    interactions: int
    kills: int


FULL = Size(2000, 10)
QUICK = Size(120, 1)


def measure(setting: Setting, size: Size | None = None) -> Result:
    """Kill so many times, then let one finish."""
    size = size or (QUICK if setting.quick else FULL)
    count, kills = size.interactions, size.kills
    rng = random.Random(setting.seed)
    store, url = backlog(setting.folder / "kills.db", count, data=setting.data, seed=setting.seed, budget_usd=100.0)
    with running_provider() as provider:
        provider.reset(Manners(latency_s=LATENCY_S))
        order = Order("ours", url, provider.base_url, CONCURRENCY, timeout_s=20.0)
        for kill in range(kills):
            setting.say(f"kill {kill + 1} of {kills}")
            target = stored(store) + int(count / (kills + 1) * rng.uniform(0.5, 1.0))
            with running_spenders(1) as (spender,):
                spender.told(order)
                wait_for(store, target, rng.uniform(0, 2 * LATENCY_S))
                spender.process.kill()
        setting.say("the last one finishes")
        with running_spenders(1) as (spender,):
            spender.told(order)
            stats = spender.answer()
        ledger = provider.ledger()
    balance = store.accounts.balance(TASK)
    rows, cost = sums(store)
    store.close()
    often = ledger.of_content
    shown = table("SIGKILL during a backlog", "figure", "value")
    figures = {
        "interactions": count,
        "kills": kills,
        "annotations stored": rows,
        "charged by the provider, answers": ledger.charged,
        "most often one content was charged": max(often.values()),
        "sent again after a kill under the same key": ledger.repeated,
        "charged by the provider, US dollars": f"{ledger.micro_usd / 1e6:.6f}",
        "cost of the stored annotations, US dollars": f"{cost:.6f}",
        "booked, US dollars": f"{balance.spent_micro_usd / 1e6:.6f}",
        "of it for calls of unknown outcome, US dollars": f"{balance.unknown_micro_usd / 1e6:.6f}",
        "left reserved": balance.reserved_micro_usd,
        "judged by the last run, and known to it": f"{stats['judged']}, {stats['cached']}",
    }
    for name, value in figures.items():
        shown.add_row(name, str(value))
    entries = [
        Entry.of_value(
            f"interactions not judged exactly once, {kills} kills", abs(count - rows) + abs(count - len(often)), "==", 0
        ),
        Entry.of_value("interactions charged twice", sum(n - 1 for n in often.values()), "==", 0),
        Entry.of_value(
            "micro-dollars between the stored costs and the provider's charges, an interaction",
            abs(cost * 1e6 - ledger.micro_usd) / count,
            "<=",
            1,
        ),
        Entry.of_value("micro-dollars left reserved after kills", balance.reserved_micro_usd, "==", 0),
    ]
    return Result(
        entries,
        shown,
        [f"a provider without idempotency keys would have charged {ledger.repeated} of {count} a second time; they are booked"],
    )


def wait_for(store: Store, target: int, delay_s: float) -> None:
    """Until so many annotations are stored, and a moment longer."""
    deadline = time.monotonic() + START_S
    while stored(store) < target:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {stored(store)} of {target} annotations after {START_S:g} s")
        time.sleep(0.02)
    time.sleep(delay_s)


def stored(store: Store) -> int:
    """How many annotations there are."""
    return store.annotations.count(TASK)


def sums(store: Store) -> tuple[int, float]:
    """How many interactions have an annotation, and what those cost."""
    with store.engine.connect() as connection:
        query = select(func.count(annotations.c.interaction_id.distinct()), func.sum(annotations.c.cost_usd))
        rows, cost = connection.execute(query.where(annotations.c.task == TASK)).one()
    return rows, cost or 0.0
