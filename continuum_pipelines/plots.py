"""Small pictures for the Dagster UI: an SVG as a Markdown image.

The UI shows Markdown inline up to 1,000 characters and hides longer ones behind a click, so each picture stays below that:
a long series is thinned and coordinates are whole pixels.
"""

import base64
from collections.abc import Mapping, Sequence
from math import isfinite
from xml.sax.saxutils import escape

MARKDOWN_SHOWN_INLINE = 1000
WIDTH, HEIGHT = 320, 96
MARGIN = 18
INK, ACCENT = "#667", "#36c"


def line_plot(values: Sequence[float], title: str) -> str:
    """A curve with its first and last value written at its ends; an empty text where there are no two values."""
    points = thinned([value for value in values if isfinite(value)], 30)
    if len(points) < 2:
        return ""
    low, high = min(points), max(points)
    step = (WIDTH - 2 * MARGIN) / (len(points) - 1)
    path = " ".join(
        f"{MARGIN + n * step:.0f},{_between(value, low, high, HEIGHT - MARGIN, MARGIN)}" for n, value in enumerate(points)
    )
    first, last = (_text(x, 10, f"{value:.3g}") for x, value in ((0, points[0]), (WIDTH - 40, points[-1])))
    return picture(f'<polyline points="{path}" fill="none" stroke="{ACCENT}"/>{first}{last}', title)


def bar_plot(counts: Mapping[str, int], title: str) -> str:
    """Bars of whole numbers, up to eight of them, labelled; an empty text where there are none."""
    bars = list(counts.items())[:8]
    if not bars:
        return ""
    most = max(max(count for _, count in bars), 1)
    room = WIDTH / len(bars)
    body = ""
    for n, (label, count) in enumerate(bars):
        top = _between(count, 0, most, HEIGHT - MARGIN, MARGIN)
        body += f'<path d="M{n * room + 3:.0f} {HEIGHT - MARGIN}V{top}h{room - 6:.0f}V{HEIGHT - MARGIN}" fill="{ACCENT}"/>'
        body += _text(n * room + 3, HEIGHT - 4, label[:6])
    return picture(body, title)


def picture(body: str, title: str) -> str:
    """An SVG body as a Markdown image; an empty text when it would be too long to be shown."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-size="10">{body}</svg>'
    markdown = image(svg, title)
    return markdown if len(markdown) < MARKDOWN_SHOWN_INLINE else ""


def image(svg: str, title: str) -> str:
    """A whole SVG as a Markdown image, which the UI hides behind a click where it is long; an empty text for an empty one."""
    data = base64.b64encode(svg.encode()).decode()
    alternative = title.translate(str.maketrans("[]\n", "() "))
    return f"![{alternative}](data:image/svg+xml;base64,{data})" if svg else ""


def thinned(values: Sequence[float], size: int) -> list[float]:
    """At most `size` of the values, evenly spread, the first and the last among them."""
    if len(values) <= size:
        return list(values)
    return [values[round(n * (len(values) - 1) / (size - 1))] for n in range(size)]


def _between(value: float, low: float, high: float, start: float, end: float) -> int:
    share = (value - low) / (high - low) if high > low else 0.5
    return round(start + share * (end - start))


def _text(x: float, y: float, words: str) -> str:
    visible = "".join(letter for letter in words if letter.isprintable())
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{INK}">{escape(visible)}</text>'
