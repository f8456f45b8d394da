"""The learning curve as a picture: quality by examples learned from, and quality by cost."""

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve


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
    for n, metric in enumerate(curve.metrics):
        colour = f"C{n % 10}"
        line = [point for point in curve.points if metric in point.means and (point.examples or point.model == "base")]
        means = [point.means[metric] for point in line]
        errors = [
            [found.mean - (found.mean if found.low is None else found.low) for found in means],
            [(found.mean if found.high is None else found.high) - found.mean for found in means],
        ]
        x = [point.examples for point in line]
        axes.errorbar(x, [found.mean for found in means], yerr=errors, marker="o", capsize=3, color=colour, label=metric)
        for point, found in zip(line, means, strict=True):
            axes.annotate(point.model, (point.examples, found.mean), textcoords="offset points", xytext=(5, 5), fontsize=8)
        for point in curve.points:
            if not point.examples and point.model != "base" and metric in point.means:
                axes.axhline(point.means[metric].mean, color=colour, linestyle=":", label=f"{metric}, {point.model}")
        _draw_projection(axes, curve, metric, colour)
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
    ordered = sorted(curve.frontier, key=lambda one: (one.cost_usd, one.quality))
    for n, standing in enumerate(ordered):
        axes.scatter(standing.cost_usd, standing.quality, color="C0" if standing.on_frontier else "C7")
        label = f"{standing.model} ({standing.probability:.0%})"
        # Of two as dear, the names stand on either side, so that those that are nearly as good can be read.
        left = n % 2 == 1 and ordered[n - 1].cost_usd == standing.cost_usd
        beside, side = ((-7, -3), "right") if left else ((7, -3), "left")
        place = (standing.cost_usd, standing.quality)
        axes.annotate(label, place, textcoords="offset points", xytext=beside, ha=side, fontsize=8)
    front = [standing for standing in curve.frontier if standing.on_frontier]
    axes.plot([s.cost_usd for s in front], [s.quality for s in front], color="C0", linewidth=1, drawstyle="steps-post")
    axes.margins(x=0.25)
    axes.set(xlabel="US$ a query", ylabel="mean of the metrics (0 to 1)", ylim=(-0.02, 1.02))
    axes.set_title("cost and quality (probability of the frontier)", fontsize=9)
