"""Lines of a terminal: cut, broken and packed by the cells that they take, so that none is wider than there is room."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from continuum.commands.terminal import console

CUT = "…"


def clipped(text: str, width: int) -> str:
    """A text of at most so many cells, cut at its end."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + CUT[: max(0, width)]


def cut_name(name: str, width: int) -> str:
    """A name of at most so many cells, cut in its middle: versions stand at the end, and what it is of at the beginning."""
    if cell_len(name) <= width:
        return name
    room = max(0, width - 1)
    head, tail = set_cell_size(name, room // 3), name
    while cell_len(tail) > room - room // 3:
        tail = tail[1:]
    return (head.rstrip() + CUT + tail)[: max(0, width)]


def clipped_line(line: Text, width: int) -> Text:
    """The same of a styled line."""
    shorter = line.copy()
    shorter.truncate(width, overflow="ellipsis")
    return shorter


def wrapped(line: Text, width: int, *, indent: int = 0) -> list[Text]:
    """A styled line in lines of at most so many cells, broken between words; all but the first begin with so many spaces."""
    first, *_ = line.wrap(console, max(1, width)) or [Text()]
    rest = line[len(first.plain) :]
    rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
    if not rest.plain:
        return [_without_end(first)]
    more = rest.wrap(console, max(1, width - indent))
    return [_without_end(first), *(Text(" " * indent).append_text(_without_end(one)) for one in more)]


def packed(parts: Sequence[Text], width: int, *, between: str = " · ", indent: int = 0) -> list[Text]:
    """Parts one after the other, in as few lines as hold them unbroken; one that is longer than a line is broken in words.

    Args:
        parts: in their order.
        width: cells of a line.
        between: what stands between two parts of a line.
        indent: spaces at the beginning of each line.
    """
    lines: list[Text] = []
    for part in parts:
        joined = lines[-1].copy().append(between, style="dim").append_text(part) if lines else None
        if joined is not None and joined.cell_len <= width - indent:
            lines[-1] = joined
        else:
            # A style of a whole line would cover what is appended to it.
            lines += [Text().append_text(line) for line in wrapped(part, width - indent)]
    return [Text(" " * indent).append_text(line) for line in lines]


def _without_end(line: Text) -> Text:
    line = line.copy()
    line.rstrip()
    return line
