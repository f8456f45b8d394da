"""A learning curve in words and columns."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve, Point
    from continuum.statistics.means import Estimate

INTENTS_SHOWN = 12


def as_text(curve: "LearningCurve") -> str:
    """The whole curve as plain text."""
    judged = f", judged by {curve.judge}" if curve.judge else ""
    title = f"Learning curve of {curve.task}: {curve.items} items of {curve.golden}{judged}; scores from 0 to 1, 95% intervals"
    sections = [
        title,
        "\n".join(columns([_header(curve), *(_row(curve, point) for point in curve.points)])),
        "Trajectory\n" + _lines(_trajectory(curve)),
        "Cost and quality\n" + _lines(_frontier(curve)),
        "Projection\n" + _lines(_projections(curve)),
    ]
    if any(point.intents for point in curve.points):
        sections.append("By intent, mean of the metrics\n" + _lines(columns(_intents(curve))))
    if curve.notes:
        sections.append("To keep in mind\n" + _lines(curve.notes))
    return "\n\n".join(sections)


def as_markdown(curve: "LearningCurve") -> str:
    """The comparison as a Markdown table, with the projections and the notes."""
    head = _header(curve)
    table = [head, ["---"] * len(head), *(_row(curve, point) for point in curve.points)]
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([*lines, "", *(f"- {line}" for line in [*_frontier(curve), *_projections(curve), *curve.notes])]) + "\n"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as aligned lines: the first column to the left, numbers to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _header(curve: "LearningCurve") -> list[str]:
    gains = [f"{metric} against {curve.reference}" for metric in curve.metrics]
    return ["model", "examples", *curve.metrics, *gains, "cost per query"]


def _row(curve: "LearningCurve", point: "Point") -> list[str]:
    means = [_estimate(point.means.get(metric)) for metric in curve.metrics]
    gains = [_estimate(point.gains.get(metric), signed=True) for metric in curve.metrics]
    cost = "unknown" if point.cost_usd is None else f"${point.cost_usd:.5f}"
    return [point.model, str(point.examples), *means, *gains, cost]


def _estimate(found: "Estimate | None", *, signed: bool = False) -> str:
    if found is None:
        return "-"
    sign = "+" if signed else ""
    interval = "" if found.low is None or found.high is None else f" [{found.low:{sign}.2f}, {found.high:{sign}.2f}]"
    return f"{found.mean:{sign}.3f}{interval}"


def _trajectory(curve: "LearningCurve") -> Iterable[str]:
    versions = [point for point in curve.points if point.examples or point.model == curve.reference]
    for metric in curve.metrics:
        known = [point for point in versions if metric in point.means]
        steps = [
            f"{later.model} {later.means[metric].mean - earlier.means[metric].mean:+.3f}" for earlier, later in pairwise(known)
        ]
        if steps:
            yield f"{metric}: {known[0].model} {known[0].means[metric].mean:.3f}, then {', '.join(steps)}"
        else:
            yield f"{metric}: one model is no trajectory"


def _frontier(curve: "LearningCurve") -> Iterable[str]:
    for standing in curve.frontier:
        place = "on the frontier" if standing.on_frontier else "beaten by a model at most as dear"
        yield (
            f"{standing.model}: quality {standing.quality:.3f} at ${standing.cost_usd:.5f} a query, {place}; "
            f"on it in {standing.probability:.0%} of resamples"
        )
    if not curve.frontier:
        yield "no model has both a cost and a quality"


def _projections(curve: "LearningCurve") -> Iterable[str]:
    for metric, found in curve.projections.items():
        if isinstance(found, str):
            yield f"{metric}: no projection: {found}"
        else:
            yield (
                f"{metric}: about {found.mean:.3f} (90% {found.low:.3f} to {found.high:.3f}) at {found.examples} examples, "
                f"if they are like those so far; the fitted curve levels off at {found.ceiling:.3f}"
            )


def _intents(curve: "LearningCurve") -> list[list[str]]:
    names = sorted({intent for point in curve.points for intent in point.intents})
    rows = [["intent", *(point.model for point in curve.points)]]
    for name in names[:INTENTS_SHOWN]:
        rows.append([name, *(f"{point.intents[name]:.3f}" if name in point.intents else "-" for point in curve.points)])
    return rows


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
