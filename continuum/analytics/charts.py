"""The pictures of the curve's page, drawn as SVG: each metric by examples, gains with their intervals, quality by cost.

Every picture says in words what it shows, for those who do not see it; the tables beside it hold all its numbers.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from continuum.analytics.arms import BASE, Point
from continuum.analytics.gains import Gain, word_of
from continuum.excerpts import excerpt

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve
    from continuum.analytics.frontier import Standing

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 14, 34
SERIES = 4
"""Colours there are."""
ROW, FOREST_WIDTH = 44, 400
LONGEST_LABEL = 32
LETTER = 7
"""Pixels of a letter, about."""
APART = 13
"""Pixels between two names below each other."""
SHIFTS = sorted(range(-2 * APART, 3 * APART), key=lambda shift: (abs(shift), -shift))
"""How far a name may move from where it stands best, in pixels; the nearest place first."""
LEAST_REACH = 0.05
"""A forest shows at least this far on either side of no change."""


@dataclass(frozen=True)
class Axis:
    """A stretch of numbers laid over a stretch of pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value lies, in pixels."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers along it."""
        if self.high <= self.low:
            return [self.low]
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        return [n * step for n in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


def metric_chart(curve: "LearningCurve", metric: str, place: int) -> str:
    """One metric by the examples that each version learned from, with its projection; empty where nothing was measured."""
    line = [point for point in curve.points if metric in point.means and (point.examples or point.model == BASE)]
    others = [point for point in curve.points if metric in point.means and not point.examples and point.model != BASE]
    if not line and not others:
        return ""
    found = curve.projections.get(metric)
    ahead = () if found is None or isinstance(found, str) else found.curve
    ends = [end for point in [*line, *others] for end in _ends(point, metric)] + [end for _, _, *both in ahead for end in both]
    room = max(0.03, (max(ends) - min(ends)) * 0.1)
    y = Axis(max(0.0, min(ends) - room), min(1.0, max(ends) + room), HEIGHT - BOTTOM, TOP)
    most = max([1.0, *(point.examples for point in line), *(one[0] for one in ahead)])
    x = Axis(-most * 0.04, most * 1.04, LEFT, WIDTH - RIGHT)
    parts = [_frame(x, y, "examples learned from")]
    if ahead:
        upper, lower = ([(x.at(one[0]), y.at(one[n])) for one in ahead] for n in (3, 2))
        band = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*upper, *reversed(lower)])
        parts.append(f'<polygon points="{band}" fill="currentColor" fill-opacity="0.14"/>')
        parts.append(_path([(x.at(one[0]), y.at(one[1])) for one in ahead], 'stroke-dasharray="5 4"'))
    parts += [
        _path([(x.at(point.examples), y.at(point.means[metric].mean)) for point in both]) for both in continued(curve, metric)
    ]
    parts += [_whisker(x.at(point.examples), *(y.at(end) for end in _ends(point, metric))) for point in line]
    parts += _names([(x.at(point.examples), y.at(point.means[metric].mean), point.model) for point in named_first(line)])
    parts += [_level(y.at(point.means[metric].mean), of_how_many(curve, point, metric)) for point in others]
    said = ", ".join(f"{point.model} {point.means[metric].mean:.2f}" for point in [*others, *line])
    drawing = _drawing(WIDTH, HEIGHT, f"{metric} by examples: {said}", "".join(parts))
    return f'<figure class="s{place % SERIES}"><h3>{escape(excerpt(metric))}, 0 to 1</h3>{drawing}</figure>'


def continued(curve: "LearningCurve", metric: str) -> list[tuple[Point, Point]]:
    """Each version with the one that it was continued from: those are joined, and never two that both went on from a third."""
    known = {point.model: point for point in curve.points if metric in point.means}
    return [(known[one.before], known[one.model]) for one in curve.turns if {one.before, one.model} <= known.keys()]


def of_how_many(curve: "LearningCurve", point: Point, metric: str) -> str:
    """A model's name, and of how many items its mean is where it has no score for all."""
    found = point.means[metric].items
    return point.model if found == curve.items else f"{point.model}, of {found} items"


def named_first(line: Sequence[Point]) -> list[Point]:
    """The points of a line by how much one wants to know which they are: the newest, the oldest, the others from the newest."""
    ordered = sorted(line, key=lambda point: -point.examples)
    return [*ordered[:1], *ordered[1:][-1:], *ordered[1:-1]]


def frontier_chart(standings: "Sequence[Standing]") -> str:
    """Quality by cost, with the frontier; empty without a model of known cost."""
    if not standings:
        return ""
    qualities = [one.quality for one in standings]
    room = max(0.03, (max(qualities) - min(qualities)) * 0.15)
    y = Axis(max(0.0, min(qualities) - room), min(1.0, max(qualities) + room), HEIGHT - BOTTOM, TOP)
    dearest = max(one.cost_usd for one in standings) or 1e-5
    x = Axis(-dearest * 0.06, dearest * 1.06, LEFT, WIDTH - RIGHT)
    front = sorted((one for one in standings if one.on_frontier), key=lambda one: (one.cost_usd, one.quality))
    steps: list[tuple[float, float]] = []
    for one in front:
        here = (x.at(one.cost_usd), y.at(one.quality))
        steps += [(here[0], steps[-1][1]), here] if steps else [here]
    parts = [_frame(x, y, "US$ a query"), _path(steps)]
    for one in standings:
        parts.append(
            f'<circle cx="{x.at(one.cost_usd):.1f}" cy="{y.at(one.quality):.1f}" r="4.5" stroke="currentColor" '
            f'fill="{"currentColor" if one.on_frontier else "none"}"/>'
        )
    likely = sorted(standings, key=lambda one: (not one.on_frontier, -one.probability, -one.quality))
    parts += _names([(x.at(one.cost_usd), y.at(one.quality), f"{one.model} ({one.probability:.0%})") for one in likely])
    said = ", ".join(f"{one.model} {one.quality:.2f} at ${one.cost_usd:.5f}" for one in standings)
    drawing = _drawing(WIDTH, HEIGHT, f"quality by cost: {said}", "".join(parts))
    return f'<figure class="s0"><h3>quality, 0 to 1, by cost (chance of the frontier)</h3>{drawing}</figure>'


def forest(gains: Sequence[tuple[str, Gain]]) -> str:
    """Differences with their intervals, one a row; empty without any."""
    drawn = [(label, gain) for label, gain in gains if gain.low is not None and gain.high is not None]
    if not drawn:
        return ""
    ends = [end for _, gain in drawn for end in (gain.low, gain.high) if end is not None]
    reach = max([LEAST_REACH, *map(abs, ends)]) * 1.05
    x = Axis(-reach, reach, 8, FOREST_WIDTH - 8)
    height = ROW * len(drawn) + 26
    parts = [
        f'<line class="grid" x1="{x.at(tick):.1f}" x2="{x.at(tick):.1f}" y1="0" y2="{height - 22}" stroke-opacity=".6"/>'
        f'<text class="faint" x="{x.at(tick):.1f}" y="{height - 6}" text-anchor="middle">{_number(tick)}</text>'
        for tick in x.ticks()
    ]
    parts.append(f'<line class="none" x1="{x.at(0):.1f}" x2="{x.at(0):.1f}" y1="0" y2="{height - 22}"/>')
    for n, (label, gain) in enumerate(drawn):
        parts.append(_strip(label, gain, x, ROW * n + 32))
    said = "; ".join(f"{label} {gain.mean:+.3f}, {gain.word}" for label, gain in drawn)
    return f'<figure class="wide">{_drawing(FOREST_WIDTH, height, f"gains with 95% intervals: {said}", "".join(parts))}</figure>'


def _strip(label: str, gain: Gain, x: Axis, y: float) -> str:
    low, mean, high = (x.at(gain.mean if end is None else end) for end in (gain.low, gain.mean, gain.high))
    word = word_of(gain)
    filled = "none" if word == "open" else "currentColor"
    unpaired = "" if gain.paired else ' stroke-dasharray="4 3"'
    return (
        f'<text x="2" y="{y - 14:.1f}">{escape(excerpt(label, LONGEST_LABEL))}</text>'
        f'<g class="{word.replace(" ", "-")}">'
        f'<path d="M{low:.1f} {y}H{high:.1f}M{low:.1f} {y - 4}v8M{high:.1f} {y - 4}v8" stroke="currentColor" '
        f'stroke-width="2"{unpaired}/><circle cx="{mean:.1f}" cy="{y}" r="4.5" fill="{filled}" stroke="currentColor" '
        f'stroke-width="2"/><text x="{FOREST_WIDTH - 2}" y="{y - 14:.1f}" text-anchor="end">{gain.mean:+.3f} {word}</text></g>'
    )


def _frame(x: Axis, y: Axis, label: str) -> str:
    parts = []
    for tick in y.ticks():
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y.at(tick):.1f}" y2="{y.at(tick):.1f}"/>')
        parts.append(f'<text class="faint" x="{LEFT - 6}" y="{y.at(tick) + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    for tick in x.ticks():
        parts.append(f'<text class="faint" x="{x.at(tick):.1f}" y="{HEIGHT - 18}" text-anchor="middle">{_number(tick)}</text>')
    parts.append(f'<text class="faint" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 3}" text-anchor="middle">{label}</text>')
    return "".join(parts)


def _path(points: Iterable[tuple[float, float]], more: str = "") -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{joined}" fill="none" stroke="currentColor" stroke-width="2" {more}/>' if " " in joined else ""


def _whisker(x: float, mean: float, low: float, high: float) -> str:
    return (
        f'<path d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8" stroke="currentColor" '
        f'stroke-width="1.5"/><circle cx="{x:.1f}" cy="{mean:.1f}" r="4" fill="currentColor"/>'
    )


def _names(points: Iterable[tuple[float, float, str]]) -> list[str]:
    """A name beside each point, the most important first, to its right where there is room, else to its left.

    Never one upon another, nor outside the picture: a name that finds no room close to its point is left to the table.
    """
    drawn: list[str] = []
    placed: list[tuple[float, float, float]] = []
    for x, y, label in points:
        words = excerpt(label, LONGEST_LABEL)
        width = len(words) * LETTER
        right = x + 8 + width < WIDTH
        start = x + 7 if right else x - 7 - width
        for below in (y - 5 + shift for shift in SHIFTS):
            taken = any(abs(below - other) < APART and start < to and begin < start + width for begin, to, other in placed)
            if not taken and TOP <= below <= HEIGHT - BOTTOM:
                placed.append((start, start + width, below))
                anchor = "" if right else ' text-anchor="end"'
                drawn.append(f'<text x="{x + 7 if right else x - 7:.1f}" y="{below:.1f}"{anchor}>{escape(words)}</text>')
                break
    return drawn


def _level(y: float, label: str) -> str:
    words, end = escape(excerpt(label, LONGEST_LABEL)), WIDTH - RIGHT
    return (
        f'<line x1="{LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" stroke-dasharray="2 4"/>'
        f'<text class="faint" x="{end}" y="{y - 4:.1f}" text-anchor="end">{words}</text>'
    )


def _ends(point: Point, metric: str) -> tuple[float, float, float]:
    found = point.means[metric]
    return (found.mean, found.mean if found.low is None else found.low, found.mean if found.high is None else found.high)


def _number(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:,.6g}"


def _drawing(width: int, height: int, label: str, inside: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(excerpt(label, 600))}">{inside}</svg>'
