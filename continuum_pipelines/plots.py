"""Small pictures for the Dagster UI: an SVG as a Markdown image, with what it shows written above it.

The UI shows Markdown inline up to 1,000 characters and hides longer ones behind a click, so each picture stays below that:
a long series is thinned, coordinates are whole pixels, and what is named comes down to the most telling few. The colours are
read on a light ground and on a dark one.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

from continuum.excerpts import excerpt
from continuum.training.plots import short

if TYPE_CHECKING:
    from continuum.statistics.means import Estimate

MARKDOWN_SHOWN_INLINE = 1000
WIDTH, HEIGHT = 320, 96
MARGIN = 18
INK, FAINT, ACCENT = "#777", "#aaa", "#47d"
GOOD, BAD, OPEN = "#2a7", "#d44", "#b80"
PLAIN = "/+:=',;-._~"
"""What stands as it is in an address that Markdown reads; spaces, brackets, `&` and all that is not ASCII do not."""
MOST_POINTS = 30
MOST_MEANS = 6
LETTER = 6
"""Pixels of a letter, about."""
NARROW_LETTER = 5
WIDEST_BAR = 48
LONGEST_TITLE = 60
CAPTION = 14
"""Pixels of the line above a picture."""


def line_plot(values: Sequence[float], title: str) -> str:
    """A curve with its first and last value written at its ends; an empty text where there are no two values."""
    points = thinned([value for value in values if isfinite(value)], MOST_POINTS)
    if len(points) < 2:
        return ""
    low, high = min(points), max(points)
    step = (WIDTH - 2 * MARGIN) / (len(points) - 1)
    path = ",".join(
        f"{MARGIN + n * step:.0f},{between(value, low, high, HEIGHT - MARGIN, MARGIN)}" for n, value in enumerate(points)
    )
    first = text(0, 10, f"{points[0]:.3g}")
    last = text(WIDTH, 10, f"{points[-1]:.3g}", anchor="end")
    return fitting([f"<polyline points='{path}' fill='none' stroke='{ACCENT}' stroke-width='2'/>{first}{last}"], title)


def bar_plot(counts: Mapping[str, int], title: str) -> str:
    """Bars of whole numbers, up to eight of them, labelled; an empty text where there are none."""
    bars = list(counts.items())[:8]
    if not bars:
        return ""
    most, room = max(max(count for _, count in bars), 1), WIDTH / len(bars)
    path, labels, numbers = "", "", ""
    for n, (label, count) in enumerate(bars):
        middle, top = n * room + room / 2, between(count, 0, most, HEIGHT - MARGIN, MARGIN)
        path += f"M{middle:.0f},{HEIGHT - MARGIN}V{top}"
        labels += text(middle, HEIGHT - 4, label[: int(room / LETTER)])
        numbers += text(middle, top - 4, brief(count))
    drawn = f"<path d='{path}' stroke='{ACCENT}' stroke-width='{min(room - 8, WIDEST_BAR):.0f}'/>"
    return fitting(
        [f"<g text-anchor='middle'>{drawn}{shown}</g>" for shown in (labels + numbers, labels, "")],
        title,
    )


def means_plot(means: "Mapping[str, Estimate]", title: str, *, line: Container[str] = ()) -> str:
    """Means with their intervals side by side, each named below it; of many the first and the newest; empty without any.

    Args:
        means: name to the mean; one of a single answer has no interval.
        title: what it shows.
        line: names whose means are joined, because each came from the one before it.
    """
    each = [(name, *(one.mean if end is None else end for end in (one.low, one.mean, one.high))) for name, one in means.items()]
    shown = [*each[:1], *each[1:][-(MOST_MEANS - 1) :]]
    ends = [end for _, low, mean, high in shown for end in (low, mean, high)]
    if not shown or not all(map(isfinite, ends)):
        return ""
    room, lowest, highest = (WIDTH - MARGIN) / len(shown), min(ends), max(ends)
    path, joint, names, numbers = "", [], "", ""
    for n, (name, low, mean, high) in enumerate(shown):
        x = round(MARGIN + n * room + room / 2)
        bottom, y, top = (between(end, lowest, highest, HEIGHT - MARGIN, MARGIN) for end in (low, mean, high))
        path += f"M{x},{bottom}V{top}M{x - 3},{y}h6"
        joint += [f"{x},{y}"] if name in line else []
        names += text(x, HEIGHT - 4, short(name)[: int(room / NARROW_LETTER)])
        numbers += text(x, 10, f"{mean:.2f}")
    drawn = f"<path d='{path}' stroke='{ACCENT}' stroke-width='2'/>"
    joined = f"<polyline points='{','.join(joint)}' fill='none' stroke='{FAINT}'/>" if len(joint) > 1 else ""
    bodies = (joined + drawn + names + numbers, joined + drawn + names, drawn + names, drawn)
    return fitting([f"<g text-anchor='middle'>{body}</g>" for body in bodies], title, adorned=1)


def picture(body: str, title: str, *, width: int = WIDTH, height: int = HEIGHT, captioned: bool = True) -> str:
    """An SVG body as a Markdown image, its title above it; an empty text when it would be too long to be shown."""
    look = f"style='font:10px sans-serif' fill='{INK}'"
    words = excerpt(title, LONGEST_TITLE) if captioned else ""
    if words:
        width, height = max(width, LETTER * len(words)), height + CAPTION
        look, body = f"viewBox='0 -{CAPTION} {width} {height}' {look}", text(0, -5, words) + body
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' {look}>{body}</svg>"
    markdown = image(svg, title)
    return markdown if len(markdown) < MARKDOWN_SHOWN_INLINE else ""


def fitting(bodies: Iterable[str], title: str, *, width: int = WIDTH, height: int = HEIGHT, adorned: int = 0) -> str:
    """The first of some bodies, the richest first, that is short enough to be shown; an empty text when none is.

    Each goes without its title before it is given up, for what is named in a drawing says more of it.

    Args:
        bodies: what is drawn.
        title: what it shows.
        width: of the drawing, in pixels.
        height: likewise.
        adorned: so many of the first bodies hold what stands in a table too, and give way to the title.
    """
    every = list(bodies)
    tried = [(body, True) for body in every[: adorned + 1]] + [(body, titled) for body in every for titled in (True, False)]
    shown = (picture(body, title, width=width, height=height, captioned=captioned) for body, captioned in tried)
    return next(filter(None, shown), "")


def image(svg: str, title: str) -> str:
    """A whole SVG as a Markdown image, which the UI hides behind a click where it is long; an empty text for an empty one.

    Percent signs take fewer characters than base64 does, since a drawing is mostly digits.
    """
    alternative = excerpt(title, LONGEST_TITLE).translate(str.maketrans("[]\\`", "()/'"))
    return f"![{alternative}](data:image/svg+xml,{quote(svg, safe=PLAIN)})" if svg else ""


def thinned(values: Sequence[float], size: int) -> list[float]:
    """At most `size` of the values, evenly spread, the first and the last among them."""
    return [values[place] for place in spread(len(values), size)]


def spread(length: int, size: int) -> list[int]:
    """At most `size` places of a sequence, evenly spread, the first and the last among them."""
    if length <= size:
        return list(range(length))
    return [round(n * (length - 1) / (size - 1)) for n in range(size)]


def between(value: float, low: float, high: float, start: float, end: float) -> int:
    """Where a value lies on an axis, in whole pixels; in its middle where the axis has no length."""
    share = (value - low) / (high - low) if high > low else 0.5
    return round(start + min(1.0, max(0.0, share)) * (end - start))


def text(x: float, y: float, words: str, *, anchor: str = "start") -> str:
    """Some words, without anything that could be markup or cannot be seen."""
    placed = f" x='{x:.0f}'" if round(x) else ""
    aligned = "" if anchor == "start" else f" text-anchor='{anchor}'"
    return f"<text{placed} y='{y:.0f}'{aligned}>{escape(excerpt(words))}</text>"


def brief(count: int) -> str:
    """A count in at most five characters: 950, 12k, 3.4M."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            share = count / size
            return f"{share:.1f}{letter}" if share < 10 else f"{share:.0f}{letter}"
    return str(count)
