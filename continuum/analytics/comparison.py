"""From scores to a curve: means, paired gains, the frontier and the projections."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from continuum.analytics.arms import Contender, Point
from continuum.analytics.frontier import Standing, frontier
from continuum.analytics.projection import Projection, project
from continuum.splits.golden import GoldenItem
from continuum.statistics.means import Estimate, estimate

Scores = Mapping[str, Sequence[float | None]]
"""Metric to the score of each item, 0 to 1."""


def compared(
    items: Sequence[GoldenItem],
    contenders: Sequence[Contender],
    scores: Mapping[str, Scores],
    costs_usd: Mapping[str, float | None],
    metrics: Sequence[str],
    reference: str,
) -> tuple[tuple[Point, ...], tuple[Standing, ...], dict[str, Projection | str]]:
    """The points of the curve, the standings in cost and quality, and each metric's projection."""
    points = tuple(
        Point(
            model=contender.name,
            examples=contender.examples,
            means=_means(items, scores[contender.name]),
            gains={} if contender.name == reference else _gains(items, scores[contender.name], scores[reference]),
            intents=_by_intent(items, scores[contender.name]),
            cost_usd=costs_usd[contender.name],
        )
        for contender in contenders
    )
    projections = {metric: _projected(points, metric) for metric in metrics}
    return points, _frontier(items, scores, costs_usd), projections


def _means(items: Sequence[GoldenItem], scores: Scores) -> dict[str, Estimate]:
    found = {}
    for metric, values in scores.items():
        known = [(value, item.group) for item, value in zip(items, values, strict=True) if value is not None]
        if known:
            found[metric] = estimate(*zip(*known, strict=True))
    return found


def _gains(items: Sequence[GoldenItem], scores: Scores, reference: Scores) -> dict[str, Estimate]:
    gains = {
        metric: [None if a is None or b is None else a - b for a, b in zip(values, reference[metric], strict=True)]
        for metric, values in scores.items()
    }
    return _means(items, gains)


def _quality(n: int, scores: Scores) -> float | None:
    """The mean of an item's metrics; None where one is missing."""
    values = [column[n] for column in scores.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _by_intent(items: Sequence[GoldenItem], scores: Scores) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for n, item in enumerate(items):
        if item.slice and (quality := _quality(n, scores)) is not None:
            found[item.slice].append(quality)
    return {intent: sum(values) / len(values) for intent, values in sorted(found.items())}


def _frontier(
    items: Sequence[GoldenItem], scores: Mapping[str, Scores], costs_usd: Mapping[str, float | None]
) -> tuple[Standing, ...]:
    """Standings on the items that all models of known cost have every score for."""
    known = {model: cost for model in scores if (cost := costs_usd[model]) is not None}
    rows = [[_quality(n, scores[model]) for model in known] for n in range(len(items))]
    whole = [n for n, row in enumerate(rows) if row and None not in row]
    quality = {model: [_quality(n, scores[model]) or 0.0 for n in whole] for model in known}
    return tuple(frontier(quality, known, [items[n].group for n in whole]))


def _projected(points: Sequence[Point], metric: str) -> Projection | str:
    versions = [point for point in points if point.examples and metric in point.means]
    found = [point.means[metric] for point in versions]
    errors = [(m.high - m.low) / 4 if m.high is not None and m.low is not None else 0.5 for m in found]
    return project([point.examples for point in versions], [m.mean for m in found], errors)
