"""A forest plot in strips of inline SVG: one strip a check, placed by percentages, so that it fits a phone and a wall alike.

A strip shows the 95% interval of the delta and the delta itself, a tall tick where `min_delta` is, a dashed one at the floor
that an approval has to be above, and the line of no change. The mark's shape says the outcome, the colour only repeats it.
Without a style sheet everything is drawn in the colour of the text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from continuum.guard.pairs import Outcome
from continuum.guard.reading import Finding, signed

HEIGHT = 30
"""Of a strip, in pixels."""
MIDDLE = HEIGHT / 2
MARGIN = 0.05
"""Room at both ends, as a share of the width."""
LEAST_REACH = 0.05
"""The axis shows at least this far below and above no change."""
MARKS = {
    Outcome.PASSED: '<circle r="5.5" fill="currentColor"/>',
    Outcome.REGRESSED: '<path d="M0 -7.5L7.5 0L0 7.5L-7.5 0Z" fill="currentColor"/>',
    Outcome.UNDECIDED: '<circle r="5" class="hollow" fill="none" stroke="currentColor" stroke-width="2.5"/>',
}
"""A filled dot, a diamond, a ring."""


@dataclass(frozen=True)
class Axis:
    """The differences that a plot shows."""

    low: float
    high: float

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "Axis":
        """As wide as the checks need."""
        ends = [-LEAST_REACH, LEAST_REACH]
        for one in findings:
            if one.compared:
                ends += [one.number("low"), one.number("high"), one.number("delta"), one.min_delta]
                ends += [] if one.floor is None else [one.floor]
        low, high = min(ends), max(ends)
        room = (high - low) * MARGIN
        return cls(low - room, high + room)

    def place(self, value: float) -> str:
        """Where a difference lies, as a percentage of the width."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"

    def ticks(self, most: int = 5) -> list[float]:
        """Round differences along the axis."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        return [n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def strip(finding: Finding, axis: Axis) -> str:
    """One check's strip; empty where nothing was compared."""
    if not finding.compared:
        return ""
    low, high = axis.place(finding.number("low")), axis.place(finding.number("high"))
    parts = [
        _upright("zero", axis.place(0.0), 0, HEIGHT, 'stroke-opacity="0.45"'),
        "" if finding.floor is None else _upright("floor", axis.place(finding.floor), 4, HEIGHT - 4, 'stroke-dasharray="3 2"'),
        _upright("limit", axis.place(finding.min_delta), 4, HEIGHT - 4, 'stroke-width="2"'),
        f'<g class="{word(finding.outcome)}">',
        f'<line x1="{low}" x2="{high}" y1="{MIDDLE}" y2="{MIDDLE}" stroke="currentColor" stroke-width="2"/>',
        *(_upright("end", end, MIDDLE - 4, MIDDLE + 4, 'stroke-width="2"') for end in (low, high)),
        f'<svg x="{axis.place(finding.number("delta"))}" y="{MIDDLE}" overflow="visible">{MARKS[finding.outcome]}</svg></g>',
    ]
    return _drawing(HEIGHT, spoken(finding), "".join(parts))


def axis_strip(axis: Axis) -> str:
    """The axis under the strips, with its numbers."""
    parts = []
    for tick in axis.ticks():
        place = axis.place(tick)
        parts.append(_upright("end", place, 0, 5, ""))
        parts.append(f'<text x="{place}" y="18" text-anchor="middle" font-size="12" fill="currentColor">{_short(tick)}</text>')
    return _drawing(22, "the axis: candidate minus baseline", "".join(parts))


def legend() -> str:
    """What the marks mean."""
    shown = (
        (MARKS[Outcome.PASSED], "passed", "passed"),
        (MARKS[Outcome.REGRESSED], "regressed", "regressed"),
        (MARKS[Outcome.UNDECIDED], "undecided", "undecided"),
        ('<path d="M0 -8V8" stroke="currentColor" stroke-width="2"/>', "limit", "lowest difference allowed (min_delta)"),
        ('<path d="M0 -8V8" stroke="currentColor" stroke-dasharray="3 2"/>', "floor", "an approval is shown to be above this"),
        ('<path d="M0 -8V8" stroke="currentColor" stroke-opacity="0.45"/>', "zero", "no change"),
    )
    drawn = '<svg class="{}" width="20" height="18" aria-hidden="true"><g transform="translate(10 9)">{}</g></svg>'
    items = (f"<li>{drawn.format(name, mark)} {words}</li>" for mark, name, words in shown)
    return f'<ul class="legend">{"".join(items)}</ul>'


def spoken(finding: Finding) -> str:
    """The strip in words, for those who do not see it."""
    floor = "" if finding.floor is None else f", floor {signed(finding.floor)}"
    return (
        f"{finding.label}: {signed(finding.number('delta'))}, 95% {signed(finding.number('low'))} to "
        f"{signed(finding.number('high'))}, allowed {signed(finding.min_delta)}{floor}: {finding.outcome.value}"
    )


def word(outcome: Outcome) -> str:
    """An outcome as the name of a style."""
    return outcome.value.replace(" ", "-")


def _drawing(height: int, label: str, inside: str) -> str:
    return f'<svg class="strip" width="100%" height="{height}" role="img" aria-label="{escape(label)}">{inside}</svg>'


def _upright(name: str, x: str, top: float, bottom: float, more: str) -> str:
    return f'<line class="{name}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}" stroke="currentColor" {more}/>'


def _short(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:+.3f}".rstrip("0").rstrip(".")
