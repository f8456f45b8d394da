"""From scores to a curve: means, gains, turns, the frontier, the projections, and what was measured beside."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.analytics.arms import COST, FORGETTING, HUMAN, LATENCY, PRODUCTION, Contender, Point
from continuum.analytics.beside import Reading
from continuum.analytics.bounded import bounded_mean
from continuum.analytics.forgotten import forgetting_readings
from continuum.analytics.fresh import Retold, retold
from continuum.analytics.frontier import Standing, frontier
from continuum.analytics.gains import Gain, gain_of
from continuum.analytics.people import human_readings
from continuum.analytics.projection import Projection, project
from continuum.analytics.scoring import Scored
from continuum.analytics.served import Calls, calls_of, cost_readings, latency_readings
from continuum.analytics.turns import Turn, turns_of
from continuum.analytics.worth import Bill, Worth, bill_of, worth_of
from continuum.splits.golden import GoldenItem
from continuum.statistics.means import Estimate

if TYPE_CHECKING:
    from continuum.store.database import Store

Scores = Mapping[str, Sequence[float | None]]
"""Metric to the score of each item, 0 to 1."""
NO_PRICE = "counted at $0 a query"
UNKNOWN_ERROR = 0.5
"""The standard error that a mean without an interval is taken to have."""


@dataclass(frozen=True)
class Compared:
    """What a curve is made of; the names are those of the curve's fields."""

    points: tuple[Point, ...]
    frontier: tuple[Standing, ...]
    frontier_with_latency: tuple[Standing, ...]
    projections: Mapping[str, Projection | str]
    readings: tuple[Reading, ...]
    turns: tuple[Turn, ...]
    retold: tuple[Retold, ...]
    bill: Bill
    worth: tuple[Worth, ...]
    over_production: Mapping[str, Gain]


def compared(
    store: "Store",
    task: str,
    items: Sequence[GoldenItem],
    contenders: Sequence[Contender],
    found: Scored,
    metrics: Sequence[str],
    beside: Sequence[str],
    reference: str,
    *,
    seed: int = 0,
) -> Compared:
    """Compare what the models answered, and read what else the store knows of them.

    Args:
        store: where traffic, verdicts, labels and prices are.
        task: whose models.
        items: what was asked.
        contenders: the models.
        found: their answers and scores.
        metrics: what the scores are by.
        beside: metrics that no answer is scored by, of `arms.BESIDE`.
        reference: the model that gains are measured from.
        seed: of all resampling.
    """
    calls = calls_of(store, task, contenders, items)
    costs = {contender.name: _cost_usd(contender.name, calls[contender.name]) for contender in contenders}
    points = tuple(_point(one, items, found.scores, costs[one.name], reference) for one in contenders)
    readings: list[Reading] = []
    if COST in beside:
        readings += cost_readings(calls, NO_PRICE)
    latencies = latency_readings(calls, reference, seed=seed) if LATENCY in beside else []
    readings += latencies
    if FORGETTING in beside:
        readings += forgetting_readings(store, contenders)
    if HUMAN in beside:
        readings += human_readings(store, task, contenders, items, found.answers, found.scores, reference)
    bill = bill_of(store, task, contenders)
    versions = {one.name: one.checkpoint.version for one in contenders if one.checkpoint}
    newest = max(versions, key=versions.__getitem__, default=None)
    middles = {one.model: one.value.mean for one in latencies if one.value is not None and one.name.endswith("p50")}
    return Compared(
        points=points,
        frontier=_frontier(items, found.scores, costs, seed=seed),
        frontier_with_latency=_frontier(items, found.scores, costs, middles, seed=seed) if len(middles) > 1 else (),
        projections={metric: _projected(points, metric) for metric in metrics},
        readings=tuple(readings),
        turns=tuple(turns_of(store, task, contenders, items, found.scores)),
        retold=tuple(retold(store, task, contenders, items, found.scores)),
        bill=bill,
        worth=tuple(worth_of(points, metrics, {metric: _errors(points, metric) for metric in metrics}, bill)),
        over_production=_over_production(newest, items, found.scores),
    )


def quality_of(n: int, scores: Scores) -> float | None:
    """The mean of an item's metrics; None where one is missing."""
    values = [column[n] for column in scores.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _cost_usd(model: str, calls: Calls) -> float | None:
    """What a query costs where a live call says so; else nothing for a model that has no price, and unknown for production."""
    return calls.cost_usd if model == PRODUCTION or calls.costs_usd else 0.0


def _point(
    contender: Contender, items: Sequence[GoldenItem], scores: Mapping[str, Scores], cost_usd: float | None, reference: str
) -> Point:
    own = scores[contender.name]
    return Point(
        model=contender.name,
        examples=contender.examples,
        means=_means(items, own),
        gains={} if contender.name == reference else _gains(items, own, scores[reference]),
        intents=_by_intent(items, own),
        cost_usd=cost_usd,
    )


def _means(items: Sequence[GoldenItem], scores: Scores) -> dict[str, Estimate]:
    found = {}
    for metric, values in scores.items():
        known = [(value, item.group) for item, value in zip(items, values, strict=True) if value is not None]
        if known:
            found[metric] = bounded_mean(*zip(*known, strict=True))
    return found


def _gains(items: Sequence[GoldenItem], scores: Scores, reference: Scores) -> dict[str, Gain]:
    groups = [item.group for item in items]
    gains = {metric: gain_of(values, reference[metric], groups) for metric, values in scores.items()}
    return {metric: gain for metric, gain in gains.items() if gain is not None}


def _by_intent(items: Sequence[GoldenItem], scores: Scores) -> dict[str, Estimate]:
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for n, item in enumerate(items):
        if item.slice and (quality := quality_of(n, scores)) is not None:
            found[item.slice].append((quality, item.group))
    return {intent: bounded_mean(*zip(*values, strict=True)) for intent, values in sorted(found.items())}


def _over_production(newest: str | None, items: Sequence[GoldenItem], scores: Mapping[str, Scores]) -> dict[str, Gain]:
    """The gains of the newest version over production; none where either is not compared."""
    return _gains(items, scores[newest], scores[PRODUCTION]) if newest is not None and PRODUCTION in scores else {}


def _frontier(
    items: Sequence[GoldenItem],
    scores: Mapping[str, Scores],
    costs_usd: Mapping[str, float | None],
    latency_ms: Mapping[str, float] | None = None,
    *,
    seed: int,
) -> tuple[Standing, ...]:
    """Standings on the items that all models of known cost, and latency where it counts, have every score for."""
    known = {model: cost for model in scores if (cost := costs_usd[model]) is not None and model in (latency_ms or scores)}
    rows = [[quality_of(n, scores[model]) for model in known] for n in range(len(items))]
    whole = [n for n, row in enumerate(rows) if row and None not in row]
    quality = {model: [quality_of(n, scores[model]) or 0.0 for n in whole] for model in known}
    return tuple(frontier(quality, known, [items[n].group for n in whole], latency_ms=latency_ms, seed=seed))


def _errors(points: Sequence[Point], metric: str) -> list[float]:
    """The standard error of each version's mean."""
    found = [point.means[metric] for point in points if point.examples and metric in point.means]
    return [(m.high - m.low) / 4 if m.high is not None and m.low is not None else UNKNOWN_ERROR for m in found]


def _projected(points: Sequence[Point], metric: str) -> Projection | str:
    versions = [point for point in points if point.examples and metric in point.means]
    means = [point.means[metric].mean for point in versions]
    return project([point.examples for point in versions], means, _errors(points, metric))
