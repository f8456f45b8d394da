"""The pictures of a dataset card; numbers and the names of stages only, never a captured word."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH = 7.5
"""Inches."""
DOTS_PER_INCH = 100
GREY, BLUE, ORANGE = "#b8bcc4", "#2f6db3", "#d9822b"
MOST_CLASSES = 40
"""Classes in one picture, the most frequent ones; the table beside it has them all."""


def draw_funnel(path: Path, left: Sequence[tuple[str, int]]) -> Path:
    """How many interactions were left after each stage, from all that were seen to those that were selected."""
    figure, axes = _figure(0.9 + 0.27 * len(left), left=1.8)
    names, counts = [name for name, _ in left], [count for _, count in left]
    places = range(len(left))
    axes.barh(places, counts, color=[GREY] * (len(left) - 1) + [BLUE])
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    for place, count in zip(places, counts, strict=True):
        axes.annotate(f"{count:,}", (count, place), textcoords="offset points", xytext=(3, 0), va="center", fontsize=8)
    axes.set(xlabel="interactions left", xlim=(0, max([*counts, 1]) * 1.12))
    return _save(figure, path)


def draw_scores(path: Path, scored: Mapping[str, int], chosen: Mapping[str, Mapping[str, int]]) -> Path:
    """How the scores of everything that was rated and of the examples are spread.

    Args:
        path: of the picture.
        scored: score, rounded, to how many were rated so.
        chosen: source of the score to the same of the examples.
    """
    figure, axes = _figure(3.2)
    levels = [str(level) for level in range(1, 6)]
    everything = [scored.get(level, 0) for level in levels]
    axes.bar(range(5), _shares(everything), width=0.86, color="none", edgecolor="#555b66", label=f"all {sum(everything):,} rated")
    rows = sum(sum(counts.values()) for counts in chosen.values()) or 1
    floor = [0.0] * 5
    for (source, counts), colour in zip(chosen.items(), (BLUE, ORANGE, "#5b9a68"), strict=False):
        heights = [100 * counts.get(level, 0) / rows for level in levels]
        axes.bar(range(5), heights, bottom=floor, width=0.6, color=colour, label=f"examples: {source}")
        floor = [low + height for low, height in zip(floor, heights, strict=True)]
    axes.set_xticks(range(5), levels)
    axes.set(xlabel="score, rounded", ylabel="share (%)")
    axes.legend(fontsize=8, frameon=False)
    return _save(figure, path)


def draw_coverage(path: Path, classes: Sequence[tuple[str, int, int, int | None]]) -> Path:
    """Which share of the eligible rows, of the examples and of the control each class has.

    Args:
        path: of the picture.
        classes: label, eligible rows, examples, rows of the control (None where none was drawn); most frequent first.
    """
    shown = classes[:MOST_CLASSES]
    series = [("eligible", GREY, [one[1] for one in classes]), ("examples", BLUE, [one[2] for one in classes])]
    if any(one[3] is not None for one in classes):
        series.append(("random control", ORANGE, [one[3] or 0 for one in classes]))
    figure, axes = _figure(1.2 + 0.2 * len(shown))
    thickness = 0.8 / len(series)
    for n, (name, colour, counts) in enumerate(series):
        places = [place + (n - (len(series) - 1) / 2) * thickness for place in range(len(shown))]
        axes.barh(places, _shares(counts)[: len(shown)], height=thickness, color=colour, label=f"{name} ({sum(counts):,})")
    axes.set_yticks(range(len(shown)), [one[0] for one in shown], fontsize=7)
    axes.invert_yaxis()
    axes.set(xlabel="share (%)", ylabel="class, as numbered in the table", ylim=(len(shown) - 0.4, -0.6))
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return _save(figure, path)


def draw_generations(path: Path, eligible: Mapping[int, int], chosen: Mapping[int, int]) -> Path:
    """How many eligible rows and examples each generation wrote: 0 is a person or a model outside this line."""
    figure, axes = _figure(2.8)
    depths = sorted({*eligible, *chosen, 0})
    for n, (name, colour, counts) in enumerate((("eligible", GREY, eligible), ("examples", BLUE, chosen))):
        heights = _shares([counts.get(depth, 0) for depth in depths])
        axes.bar([place + (n - 0.5) * 0.36 for place in range(len(depths))], heights, width=0.36, color=colour, label=name)
    axes.set_xticks(range(len(depths)), [f"v{depth}" if depth else "others" for depth in depths])
    axes.set(xlabel="who wrote the answer", ylabel="share (%)", xlim=(-0.8, max(len(depths), 3) - 0.2), ylim=(0, 105))
    axes.legend(fontsize=8, frameon=False)
    return _save(figure, path)


def _figure(height: float, left: float = 0.6) -> tuple[Figure, Axes]:
    """A figure of a height, with a margin for the names at its left, in inches."""
    # A figure of its own, without pyplot: no window, no global state, safe in any thread.
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    # Margins by hand: to have them found takes as long as to draw the picture.
    figure.subplots_adjust(left=left / WIDTH, right=1 - 0.1 / WIDTH, bottom=0.5 / height, top=1 - 0.1 / height)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _shares(counts: Sequence[int]) -> list[float]:
    return [100 * count / (sum(counts) or 1) for count in counts]


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the library's name in it, so that equal data give an equal picture.
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    return path
