"""A learning curve as one page of HTML: nothing to load, nothing that runs, and its pictures in it."""

from html import escape
from typing import TYPE_CHECKING

from continuum.analytics.charts import forest, frontier_chart, metric_chart
from continuum.analytics.gains import Gain
from continuum.analytics.html_style import STYLE
from continuum.analytics.short import findings
from continuum.analytics.telling import SHORT, Cell, Section, sections, title_of
from continuum.excerpts import excerpt
from continuum.report_page import page_of

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve

SENTENCE = 1200
"""Characters of a text that the page shows."""


def to_html(curve: "LearningCurve") -> str:
    """The whole curve as a page that stands for itself.

    Every text of a user, a model or a policy is escaped, and marks that steer a terminal, hide or turn writing are left out.
    """
    parts = [
        f"<h1>Learning curve of {_text(curve.task)}</h1>",
        f'<p class="soft">{_text(title_of(curve).partition(": ")[2])}</p>',
        _answers(curve),
        _charts(curve),
        _forests(curve),
        *(_section(section) for section in sections(curve) if section.key != SHORT),
    ]
    return page_of(f"Learning curve of {curve.task}", STYLE, parts)


def _answers(curve: "LearningCurve") -> str:
    """What a person wants to know first, in a line each."""
    shown = "".join(
        f'<li><span class="who">{_text(one.about)}</span><span class="{one.word.replace(" ", "-")}">{_text(one.said)}</span></li>'
        for one in findings(curve)
    )
    return f'<ul class="answers">{shown}</ul>' if shown else ""


def _charts(curve: "LearningCurve") -> str:
    drawn = [metric_chart(curve, metric, place) for place, metric in enumerate(curve.metrics)]
    drawn.append(frontier_chart(curve.frontier))
    inside = "".join(drawn)
    return f'<section><h2>The curve</h2><div class="charts">{inside}</div></section>' if inside else ""


def _forests(curve: "LearningCurve") -> str:
    rows: list[tuple[str, Gain]] = [
        (f"{one.model} - {one.before}, {metric}", one.gains[metric])
        for metric in curve.metrics
        for one in curve.turns
        if metric in one.gains
    ]
    drawn = forest(rows)
    words = '<p class="soft">95% intervals; a filled mark is a gain or a loss that the interval shows, a ring is open.</p>'
    return f"<section><h2>Is it real: each turn over the one before</h2>{words}{drawn}</section>" if drawn else ""


def _section(section: Section) -> str:
    words = f'<p class="soft">{_text(section.words)}</p>' if section.words and section.rows else ""
    lines = "".join(f"<li>{_text(line)}</li>" for line in section.lines)
    listed = f"<ul>{lines}</ul>" if lines else ""
    return f"<section><h2>{_text(section.title)}</h2>{words}{_table(section)}{listed}</section>"


def _table(section: Section) -> str:
    if not section.rows:
        return ""
    head = "".join(f"<th>{_text(name)}</th>" for name in section.heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in section.rows)
    wordy = ' class="wordy"' if section.wordy else ""
    return f'<div class="scroll"><table{wordy}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: Cell) -> str:
    word = f' class="{cell.word.replace(" ", "-")}"' if cell.word else ""
    return f"<td{word}>{_text(cell.text)}</td>"


def _text(words: str) -> str:
    """Someone's words as text of a page, in one line."""
    return escape(excerpt(words, SENTENCE))
