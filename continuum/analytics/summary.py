"""A learning curve in words and columns, for a terminal and in Markdown."""

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING

from continuum.analytics.telling import Section, sections, texts, title_of
from continuum.excerpts import excerpt, prose

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve

LONGEST_LINE = 1200


def as_text(curve: "LearningCurve") -> str:
    """The whole curve as plain text."""
    return "\n\n".join([title_of(curve), *(_as_text(section) for section in sections(curve))])


def as_markdown(curve: "LearningCurve", *, without: Container[str] = ()) -> str:
    """The comparison as a Markdown table, with all else below it.

    Args:
        curve: what to tell.
        without: keys of sections that are told elsewhere.
    """
    told = [section for section in sections(curve) if section.key not in without]
    return "\n".join(line for section in told for line in _as_markdown(section)) + "\n"


def columns(rows: Sequence[Sequence[str]], *, wordy: bool = False) -> list[str]:
    """Rows of cells as aligned lines: the first column to the left, numbers to the right; sentences in the last to the left."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    left = {0, len(widths) - 1} if wordy else {0}
    return [
        "  ".join(
            cell.ljust(width) if n in left else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _as_text(section: Section) -> str:
    table = columns([section.heads, *(texts(row) for row in section.rows)], wordy=section.wordy) if section.rows else []
    if section.key == "models":
        return "\n".join(table)
    words = [section.words] if section.words and section.rows else []
    return section.title + "\n" + _lines([*words, *table, *(excerpt(line, LONGEST_LINE) for line in section.lines)])


def _as_markdown(section: Section) -> Iterable[str]:
    if section.key != "models":
        yield from ("", f"**{prose(section.title)}**")
        if section.words and section.rows:
            yield from ("", prose(section.words))
        yield ""
    if section.rows:
        rows = [section.heads, ["---"] * len(section.heads), *(texts(row) for row in section.rows)]
        for n, row in enumerate(rows):
            yield "| " + " | ".join(row if n == 1 else map(prose, row)) + " |"
        yield ""
    yield from (f"- {prose(line)}" for line in section.lines)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
