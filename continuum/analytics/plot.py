"""The learning curve as a picture: quality by examples learned from, and quality by cost."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from continuum.analytics.arms import PRODUCTION, Point
from continuum.analytics.charts import continued, named_first, of_how_many

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve

T = TypeVar("T")
Place = tuple[float, float]
ACROSS, ABOVE = 0.12, 0.035
"""Two points nearer than this, as shares of the picture's width and height, do not both have their name in it."""


def draw(curve: "LearningCurve", path: Path) -> Path:
    """Write the picture; the file's ending says the format."""
    # A figure of its own, without pyplot: no window, no global state, safe in any thread.
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_quality(left, curve)
    _draw_cost(right, curve)
    figure.suptitle(f"{curve.task}: {curve.items} items of {curve.golden}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _draw_quality(axes: Axes, curve: "LearningCurve") -> None:
    named: list[tuple[Point, Place]] = []
    for n, metric in enumerate(curve.metrics):
        colour = f"C{n % 10}"
        line = [point for point in curve.points if metric in point.means and (point.examples or point.model == "base")]
        means = [point.means[metric] for point in line]
        errors = [
            [found.mean - (found.mean if found.low is None else found.low) for found in means],
            [(found.mean if found.high is None else found.high) - found.mean for found in means],
        ]
        x = [point.examples for point in line]
        axes.errorbar(x, [found.mean for found in means], yerr=errors, fmt="o", capsize=3, color=colour, label=metric)
        for both in continued(curve, metric):
            axes.plot([point.examples for point in both], [point.means[metric].mean for point in both], color=colour)
        named += [(one, (one.examples, one.means[metric].mean)) for one in named_first(line)]
        for point in curve.points:
            if not point.examples and point.model != "base" and metric in point.means:
                style = ":" if point.model == PRODUCTION else "-."
                axes.axhline(
                    point.means[metric].mean,
                    color=colour,
                    linestyle=style,
                    label=f"{metric}, {of_how_many(curve, point, metric)}",
                )
        _draw_projection(axes, curve, metric, colour)
    # Two metrics of one version may lie upon each other.
    for point, place in _apart(named):
        axes.annotate(point.model, place, textcoords="offset points", xytext=(5, 5), fontsize=8)
    axes.set(xlabel="curated examples learned from", ylabel="score (0 to 1)", ylim=(-0.02, 1.02))
    axes.legend(fontsize=8)


def _draw_projection(axes: Axes, curve: "LearningCurve", metric: str, colour: str) -> None:
    found = curve.projections[metric]
    if isinstance(found, str):
        return
    x, mean, low, high = zip(*found.curve, strict=True)
    axes.plot(x, mean, linestyle="--", color=colour)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _draw_cost(axes: Axes, curve: "LearningCurve") -> None:
    for standing in curve.frontier:
        axes.scatter(standing.cost_usd, standing.quality, color="C0" if standing.on_frontier else "C7")
    likely = sorted(curve.frontier, key=lambda one: (not one.on_frontier, -one.probability, -one.quality))
    dearest = max((standing.cost_usd for standing in likely), default=0.0)
    for standing, place in _apart([(one, (one.cost_usd, one.quality)) for one in likely]):
        # The dearest has no room to its right.
        left = standing.cost_usd == dearest > 0
        beside, side = ((-7, -3), "right") if left else ((7, -3), "left")
        label = f"{standing.model} ({standing.probability:.0%})"
        axes.annotate(label, place, textcoords="offset points", xytext=beside, ha=side, fontsize=8)
    front = [standing for standing in curve.frontier if standing.on_frontier]
    axes.plot([s.cost_usd for s in front], [s.quality for s in front], color="C0", linewidth=1, drawstyle="steps-post")
    axes.margins(x=0.25)
    axes.locator_params(axis="x", nbins=5)
    # No query costs less than nothing.
    axes.set_xlim(left=-0.04 * axes.get_xlim()[1])
    axes.set(xlabel="US$ a query", ylabel="mean of the metrics (0 to 1)", ylim=(-0.02, 1.02))
    axes.set_title("cost and quality (probability of the frontier)", fontsize=9)


def _apart(points: Sequence[tuple[T, Place]]) -> Iterator[tuple[T, Place]]:
    """The points that have a name of their own, the most important first: none near one that is named before."""
    named: list[Place] = []
    width = max((x for _, (x, _) in points), default=0.0) - min((x for _, (x, _) in points), default=0.0)
    for one, (x, y) in points:
        if not any(abs(x - a) <= ACROSS * width and abs(y - b) < ABOVE for a, b in named):
            named.append((x, y))
            yield one, (x, y)
