"""Pictures of a training as SVG: the matrix of what is known, and the curves of a run.

Numbers and the names of versions only, no captured word, no script and no font from elsewhere; equal figures give equal bytes.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

from continuum.excerpts import excerpt
from continuum.training.matrix import Cell, Matrix

INK, FAINT, LINE, ACCENT = "#2b303a", "#7b828f", "#c9ced6", "#2f6db3"
PALE, DEEP = (244, 247, 251), (33, 94, 160)
"""Nothing known, all known."""
LETTER = 6.2
"""Pixels of a letter at the size of a label, about."""
CELL_WIDTH, CELL_HEIGHT = 104, 40
LONGEST_NAME = 28
PANEL_WIDTH, PANEL_HEIGHT = 250, 150
MOST_POINTS = 240
PANELS = {"loss": "loss (nats per token)", "ewc_penalty": "EWC penalty", "l2_distance": "L2 distance, (ΔW − ΔW*)²"}


def matrix_svg(matrix: Matrix) -> str:
    """The matrix as a heat map with its numbers: probability, and nats below it; what a version just learned is outlined."""
    names = [excerpt(name, LONGEST_NAME) for name in matrix.versions]
    left = round(max((len(name) for name in names), default=0) * LETTER) + 24
    width = left + max(3, len(matrix.columns)) * CELL_WIDTH + 12
    top = 76
    parts = [
        _text(12, 20, "Probability of an answer's tokens (nats per token below)", size=13, colour=INK),
        _text(12, 36, "by version and held-out rows; outlined: just learned; –: not measured", colour=FAINT),
    ]
    for n, column in enumerate(matrix.columns):
        centre = left + n * CELL_WIDTH + CELL_WIDTH / 2
        name = f"data of {short(column.learned_by)}" if column.learned_by else "general"
        parts.append(_text(centre, top - 16, excerpt(name, 17), anchor="middle"))
        parts.append(_text(centre, top - 4, f"{column.rows} rows", anchor="middle", size=9, colour=FAINT))
    for row, (version, name) in enumerate(zip(matrix.versions, names, strict=True)):
        y = top + row * CELL_HEIGHT
        parts.append(_text(left - 8, y + CELL_HEIGHT / 2 + 4, name, anchor="end"))
        for n, column in enumerate(matrix.columns):
            parts += _cell(left + n * CELL_WIDTH, y, matrix.cells[row][n], learned=column.learned_by == version)
    return _picture(width, top + len(names) * CELL_HEIGHT + 12, parts, "What each version knows")


def curves_svg(history: Sequence[Mapping[str, float]]) -> str:
    """The loss of a run by step, the EWC penalty and the L2 distance beside it where they were logged; empty without any.

    Values that are not finite are left out; a long run is drawn by the means of equal stretches of steps.
    """
    drawn = {name: curve for name in PANELS if len(curve := _curve(history, name)) > 1}
    parts = [part for n, (name, curve) in enumerate(drawn.items()) for part in _panel(12 + n * (PANEL_WIDTH + 18), name, curve)]
    return _picture(12 + len(drawn) * (PANEL_WIDTH + 18), PANEL_HEIGHT + 64, parts, "The run by step") if parts else ""


def short(name: str) -> str:
    """A version's name without its task: `support-v2` is `v2`."""
    last = name.rpartition("-")[2]
    return last if last[:1] == "v" and last[1:].isdigit() else name


def _cell(x: float, y: float, cell: Cell | None, *, learned: bool) -> list[str]:
    middle = x + CELL_WIDTH / 2
    if cell is None:
        return [
            _box(x, y, f'fill="#fff" stroke="{LINE}"'),
            _text(middle, y + CELL_HEIGHT / 2 + 4, "–", anchor="middle", colour=FAINT),
        ]
    share = min(1.0, max(0.0, cell.probability))
    colour = "#fff" if share > 0.7 else INK
    fill = "rgb({},{},{})".format(*(round(pale + share * (deep - pale)) for pale, deep in zip(PALE, DEEP, strict=True)))
    edge = f' stroke="{INK}" stroke-width="2"' if learned else ""
    return [
        _box(x, y, f'fill="{fill}"{edge}'),
        _text(middle, y + 18, f"{cell.probability:.3f}", anchor="middle", size=13, colour=colour),
        _text(middle, y + 32, f"{cell.nats:.3g} nats", anchor="middle", size=9, colour=colour),
    ]


def _box(x: float, y: float, look: str) -> str:
    return f'<rect x="{x + 1:g}" y="{y + 1:g}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}" {look}/>'


def _panel(x: float, name: str, curve: Sequence[tuple[float, float]]) -> list[str]:
    top, left, right = 32, x + 42, x + PANEL_WIDTH
    bottom = top + PANEL_HEIGHT
    steps, values = [step for step, _ in curve], [value for _, value in curve]
    low, high = min(0.0, *values), max(values)
    high = high if high > low else low + 1.0

    def across(step: float) -> float:
        return left + (step - steps[0]) / ((steps[-1] - steps[0]) or 1.0) * (right - left)

    def up(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    points = " ".join(f"{across(step):.1f},{up(value):.1f}" for step, value in curve)
    lines = [
        f'<path d="M{left:g} {up(level):.1f}H{right:g}" stroke="{LINE}" stroke-width="{1 if level in (low, 0) else 0.5}"/>'
        for level in (low, (low + high) / 2, high)
    ]
    labels = [_text(left - 5, up(level) + 3, f"{level:.3g}", anchor="end", size=9) for level in (low, (low + high) / 2, high)]
    return [
        _text(x, 20, PANELS[name], size=12, colour=INK),
        *lines,
        *labels,
        f'<polyline points="{points}" fill="none" stroke="{ACCENT}" stroke-width="1.5" stroke-linejoin="round"/>',
        _text(left, bottom + 16, f"step {steps[0]:g}", size=9),
        _text(right, bottom + 16, f"{steps[-1]:g}", anchor="end", size=9),
        _text(right, 20, f"last {values[-1]:.3g}", anchor="end", colour=ACCENT),
    ]


def _curve(history: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    points = [
        (float(point.get("step", n)), float(point[name]))
        for n, point in enumerate(history, start=1)
        if name in point and math.isfinite(point[name])
    ]
    if len(points) <= MOST_POINTS:
        return points
    bounds = [round(n * len(points) / MOST_POINTS) for n in range(MOST_POINTS + 1)]
    stretches = [points[start:end] for start, end in pairwise(bounds)]
    return [(stretch[-1][0], sum(value for _, value in stretch) / len(stretch)) for stretch in stretches]


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 11, colour: str = FAINT) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(words)}</text>'


def _picture(width: float, height: float, parts: Sequence[str], title: str) -> str:
    # A ground of its own: the page that shows it may be dark.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
        f'font-family="sans-serif" role="img"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
