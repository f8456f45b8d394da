"""What models did in live traffic: how long their answers took, and what they cost.

A version's calls are those that a deployment sent to it. Production's are all others of the task, or where there are none any
more those that gave the golden items. A call that failed, fell back or was sent where its caller said tells nothing of a model.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from continuum.analytics.arms import COST, LATENCY, PRODUCTION, Contender
from continuum.analytics.beside import Reading
from continuum.analytics.gains import as_gain
from continuum.splits.golden import GoldenItem
from continuum.statistics.means import estimate, estimate_difference
from continuum.statistics.quantiles import least_groups, quantile_difference, quantile_estimate
from continuum.store.live_rows import LiveRows, ServedRow

if TYPE_CHECKING:
    from continuum.serving_records import DeploymentRecord
    from continuum.store.database import Store

MOST_CALLS = 2000
"""Of a deployment or of production, the newest."""
QUANTILES = (("p50", 0.5), ("p95", 0.95))
NOT_ITS_OWN = frozenset({"fell_back_from", "arm_named"})
"""Tags that the gateway puts on a call that another model was asked first, or whose arm the caller named."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Calls:
    """What is known of the calls of one model; groups are conversations, or the golden items' groups."""

    on: str
    """Which calls they are, in words."""
    latencies_ms: tuple[float, ...] = ()
    latency_groups: tuple[str, ...] = ()
    costs_usd: tuple[float, ...] = ()
    cost_groups: tuple[str, ...] = ()
    ids: frozenset[str] = field(default_factory=frozenset)

    @property
    def cost_usd(self) -> float | None:
        """The mean over groups, US$ a query; None where no call has a cost."""
        return estimate(self.costs_usd, self.cost_groups).mean if self.costs_usd else None


def calls_of(store: "Store", task: str, contenders: Sequence[Contender], items: Sequence[GoldenItem]) -> dict[str, Calls]:
    """The calls of each model by its name; without calls it says why there are none."""
    deployments = store.deployments.of(task)
    by_model = _by_model(store, deployments)
    found = {}
    for contender in contenders:
        if contender.name == PRODUCTION:
            found[contender.name] = _production_calls(store, task, deployments, items)
        elif contender.checkpoint is None:
            found[contender.name] = Calls("no live traffic goes to it")
        elif not any(one.checkpoint_id == contender.checkpoint.id for one in deployments):
            found[contender.name] = Calls("it was never deployed, so nothing live was measured")
        else:
            rows = by_model.get(contender.checkpoint.name, [])
            found[contender.name] = _calls(rows, "live call", "no live call was served by it")
    return found


def latency_readings(calls: Mapping[str, Calls], reference: str, *, seed: int = 0) -> list[Reading]:
    """The middle and the tail of each model's latencies, with the difference from the reference, which shares no call with it."""
    against = _with_data(calls, reference, "latencies_ms")
    found = []
    for name, share in QUANTILES:
        needed = least_groups(share)
        for model, one in calls.items():
            reading = Reading(LATENCY, f"{LATENCY} {name}", model, one.on, digits=0)
            groups = len(set(one.latency_groups))
            if groups < needed:
                found.append(_without(reading, groups, needed, bool(one.latencies_ms)))
                continue
            value = quantile_estimate(one.latencies_ms, one.latency_groups, share, seed=seed)
            other = calls.get(against) if against != model else None
            gain = None
            if other is not None and len(set(other.latency_groups)) >= needed:
                pair = (one.latencies_ms, one.latency_groups, other.latencies_ms, other.latency_groups)
                gain = as_gain(quantile_difference(*pair, share, seed=seed), paired=False, lower_is_better=True)
            found.append(Reading(LATENCY, reading.name, model, one.on, value, gain, against if gain else "", digits=0))
    return found


def cost_readings(calls: Mapping[str, Calls], uncosted: str) -> list[Reading]:
    """What a query to each model costs; of one whose calls have no cost, what `uncosted` says.

    Differences are from production, the one model that is certainly paid for.
    """
    paid = calls.get(PRODUCTION)
    found = []
    for model, one in calls.items():
        if not one.costs_usd:
            why = f"{one.on}, and none has a cost" if one.ids else one.on
            found.append(Reading(COST, COST, model, why if model == PRODUCTION else f"{why}; {uncosted}", digits=5))
            continue
        gain = None
        if paid is not None and paid.costs_usd and model != PRODUCTION:
            difference = estimate_difference(one.costs_usd, one.cost_groups, paid.costs_usd, paid.cost_groups)
            gain = as_gain(difference, paired=False, lower_is_better=True)
        value = estimate(one.costs_usd, one.cost_groups)
        found.append(Reading(COST, COST, model, one.on, value, gain, PRODUCTION if gain else "", digits=5))
    return found


def _with_data(calls: Mapping[str, Calls], reference: str, what: str) -> str:
    """The reference, or production where the reference has no such data, as a base model that never served."""
    there = calls.get(reference)
    return reference if there is not None and getattr(there, what) else PRODUCTION


def _without(reading: Reading, groups: int, needed: int, any_call: bool) -> Reading:
    why = f"{reading.on}: {groups} conversations are too few, {needed} are needed" if any_call else reading.on
    return Reading(reading.metric, reading.name, reading.model, why, digits=0)


def _by_model(store: "Store", deployments: "Sequence[DeploymentRecord]") -> dict[str, list[ServedRow]]:
    """The calls that deployments answered, by the model; a champion also answers what a later one's canary leaves to it."""
    found: dict[str, list[ServedRow]] = defaultdict(list)
    for one in deployments:
        for row in LiveRows(store.engine).of(one.id, most=MOST_CALLS):
            if _answered(row) and (row.variant == "canary" or row.model):
                found[one.model if row.variant == "canary" else str(row.model)].append(row)
    return found


def _production_calls(store: "Store", task: str, deployments: "Sequence[DeploymentRecord]", items: Sequence[GoldenItem]) -> Calls:
    tuned = {one.model for one in deployments}
    newest = LiveRows(store.engine).between(task, since=EPOCH, most=MOST_CALLS)
    rows = [row for row in newest if _answered(row) and row.variant != "canary" and row.model not in tuned]
    if rows:
        return _calls(rows, "captured call", "")
    group = {item.interaction_id: item.group for item in items if item.production is not None}
    asked = store.interactions.get_many(group).values()
    return Calls(
        f"the {len(asked)} calls that gave the golden items" if asked else "no call of production is in the store",
        tuple(one.latency_ms for one in asked if one.latency_ms is not None),
        tuple(group[one.id] for one in asked if one.latency_ms is not None),
        tuple(one.cost_usd for one in asked if one.cost_usd is not None),
        tuple(group[one.id] for one in asked if one.cost_usd is not None),
        frozenset(one.id for one in asked),
    )


def _answered(row: ServedRow) -> bool:
    return row.status == "ok" and NOT_ITS_OWN.isdisjoint(row.tags)


def _calls(rows: Sequence[ServedRow], kind: str, none: str) -> Calls:
    if not rows:
        return Calls(none)
    timed = [row for row in rows if row.latency_ms is not None]
    paid = [row for row in rows if row.cost_usd is not None]
    conversations = len({_unit(row) for row in rows})
    return Calls(
        f"{len(rows)} {kind}s in {conversations} conversations",
        tuple(row.latency_ms for row in timed if row.latency_ms is not None),
        tuple(_unit(row) for row in timed),
        tuple(row.cost_usd for row in paid if row.cost_usd is not None),
        tuple(_unit(row) for row in paid),
        frozenset(row.id for row in rows),
    )


def _unit(row: ServedRow) -> str:
    return row.conversation_id or row.id
