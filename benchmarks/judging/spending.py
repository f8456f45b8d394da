"""One budget, eight processes, three hundred calls at once, and a provider that misbehaves: is more spent than there is?

Each trial has a store, a backlog and a budget that covers about half of it. The provider keeps the ledger that counts: what it
charged. Beside ours runs the budget most would write, which looks at what is spent and then calls.
"""

import random
import statistics
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.judging.backlogs import backlog
from benchmarks.judging.provider import Ledger, Manners, Running, running_provider
from benchmarks.judging.spender import NAIVE, TASK, Order, Spender, running_spenders
from continuum.store.database import Store
from continuum.store.tables import annotations

TIMEOUT_S = 4.0
MANNERS = Manners(latency_s=0.3, too_many=0.10, broken=0.05, silent=0.02, silent_s=6.0, cut=0.02, garbled=0.03)


@dataclass(frozen=True)
class Size:
    """How much of it; the budget covers about half of the backlog."""

    trials: int
    naive: int
    """Trials of the peer."""
    processes: int
    concurrency: int
    """Calls at once, of all processes together."""
    backlog: int
    budget_usd: float


FULL = Size(trials=100, naive=20, processes=8, concurrency=300, backlog=900, budget_usd=0.085)
QUICK = Size(trials=3, naive=2, processes=8, concurrency=300, backlog=900, budget_usd=0.085)


@dataclass(frozen=True)
class Trial:
    """What one trial came to; money in micro-dollars."""

    limit: int
    charged: float
    """By the provider's own ledger."""
    booked: int
    unknown: int
    left_reserved: int
    judged: int
    """By the stats of all processes that were not cancelled."""
    stored: int
    stored_cost: float
    cancelled: int
    ledger: Ledger

    @property
    def overspend(self) -> float:
        """Share of the budget that was charged beyond it."""
        return max(0.0, self.charged / self.limit - 1)


def measure(setting: Setting, size: Size | None = None) -> Result:
    """Run the trials of both."""
    size = size or (QUICK if setting.quick else FULL)
    rng = random.Random(setting.seed)
    with running_provider() as provider, running_spenders(size.processes) as spenders:
        ours = [trial(setting, size, "ours", number, rng, provider, spenders) for number in range(size.trials)]
        naive = [trial(setting, size, "check-then-call", number, rng, provider, spenders) for number in range(size.naive)]
    return told(ours, naive, size)


def told(ours: list[Trial], naive: list[Trial], size: Size) -> Result:
    """The table and the claims."""
    shown = table(
        f"{size.concurrency} calls at once from {size.processes} processes on one budget",
        *("", "trials", "overspend mean", "worst", "budget charged", "least", "booked for unknown outcomes", "left reserved"),
    )
    for name, found in (("reserve, wait, settle", ours), ("check then call", naive)):
        shown.add_row(
            name,
            str(len(found)),
            f"{statistics.fmean(t.overspend for t in found):.1%}",
            f"{max(t.overspend for t in found):.1%}",
            f"{statistics.fmean(t.charged / t.limit for t in found):.1%}",
            f"{min(t.charged / t.limit for t in found):.1%}",
            f"{statistics.fmean(t.unknown / t.limit for t in found):.1%}",
            str(sum(t.left_reserved for t in found)),
        )
    overspend = max(t.overspend for t in ours)
    used = statistics.fmean(t.charged / t.limit for t in ours)
    whole = [t for t in ours if not t.cancelled]
    entries = [
        Entry.of_value(
            f"most that was charged beyond the budget, share of it, {size.trials} trials",
            overspend,
            "==",
            0,
            peer=statistics.fmean(t.overspend for t in naive),
        ),
        Entry.of_value("share of the budget that was charged, mean", used, ">=", 0.8),
        Entry.of_value("micro-dollars left reserved", sum(t.left_reserved for t in ours), "==", 0),
        Entry.of_value(
            f"judgements by the stats that are not stored, or stored and in no stats, {len(whole)} trials",
            sum(abs(t.judged - t.stored) for t in whole),
            "==",
            0,
        ),
        Entry.of_value("interactions that were paid for under two answers", doubled(ours), "==", 0),
    ]
    total = sum((t.ledger.outcomes for t in ours), start=type(ours[0].ledger.outcomes)())
    asked = sum(total.values())
    notes = [
        "the provider: " + ", ".join(f"{name} {count / asked:.1%}" for name, count in total.most_common()),
        f"most calls under way at once {max(t.ledger.most_under_way for t in ours)}; "
        f"{sum(t.cancelled for t in ours)} processes were cancelled under way, in every second trial",
    ]
    return Result(entries, shown, notes)


def doubled(trials: list[Trial]) -> int:
    """Contents that the provider charged twice though its first answer was good and arrived."""
    # A silent answer never arrived: asking again is right, and its first charge was booked as of unknown outcome.
    return sum(max(0, sum(n - 1 for n in t.ledger.of_content.values()) - t.ledger.outcomes["silent"]) for t in trials)


def trial(
    setting: Setting,
    size: Size,
    kind: str,
    number: int,
    rng: random.Random,
    provider: Running,
    spenders: list[Spender],
    manners: Manners = MANNERS,
) -> Trial:
    """One backlog, judged by all processes at once until the budget is spent."""
    setting.say(f"{kind}, trial {number + 1}")
    file = Path(setting.folder) / f"{kind}-{number}.db"
    store, url = backlog(file, size.backlog, data=setting.data, seed=setting.seed * 1000 + number, budget_usd=size.budget_usd)
    provider.reset(manners)
    cancelled = {rng.randrange(size.processes)} if number % 2 else set()
    for place, spender in enumerate(spenders):
        spender.told(
            Order(
                kind,
                url,
                provider.base_url,
                size.concurrency // size.processes + (place < size.concurrency % size.processes),
                timeout_s=TIMEOUT_S,
                cancel_after_s=rng.uniform(0.3, 2.0) if place in cancelled and kind == "ours" else None,
                budget_usd=size.budget_usd,
            )
        )
    answers = [spender.answer() for spender in spenders]
    found = outcome(store, provider.ledger(), answers, kind, size)
    store.close()
    return found


def outcome(store: Store, ledger: Ledger, answers: list[dict], kind: str, size: Size) -> Trial:
    """Compare what the processes say, what the store holds and what the provider charged."""
    balance = store.accounts.balance(TASK, period=NAIVE.period if kind != "ours" else None)
    with store.engine.connect() as connection:
        query = select(func.count(), func.coalesce(func.sum(annotations.c.cost_usd), 0.0)).where(annotations.c.task == TASK)
        stored, cost = connection.execute(query).one()
    return Trial(
        limit=round(size.budget_usd * 1e6),
        charged=ledger.micro_usd,
        booked=balance.spent_micro_usd,
        unknown=balance.unknown_micro_usd,
        left_reserved=balance.reserved_micro_usd,
        judged=sum(answer.get("judged", 0) for answer in answers),
        stored=stored,
        stored_cost=cost,
        cancelled=sum("cancelled" in answer for answer in answers),
        ledger=ledger,
    )
