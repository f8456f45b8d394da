"""The matrix of what each version knows as a small heat map.

Its cells are a PNG of one pixel each, drawn large: eighty rectangles would not fit into a text that is shown inline.
"""

import base64
import struct
import zlib
from collections.abc import Sequence

from continuum.training.matrix import Matrix
from continuum.training.plots import DEEP, PALE
from continuum_pipelines.plots import OPEN, fitting, text

LEVELS = 15
"""Shades from nothing known to all known; the sixteenth of four bits is a cell that was not measured."""
CELL_WIDTH, CELL_HEIGHT = 30, 18
LEFT, TOP = 44, 14
MOST = 10
"""Versions and columns that are drawn: the newest."""
GLYPH = 6
"""Pixels from a digit to the next."""
READ_ON_DEEP = 0.6
"""Above this a cell is so deep that white is read on it."""
Shares = Sequence[Sequence[float | None]]
Glyph = tuple[int, int, str]
"""Across, down, and the letter."""


def matrix_plot(matrix: Matrix, title: str) -> str:
    """Versions by what they were asked of, darker for more known, what was just learned underlined; empty without any figure.

    Rows and columns are numbered by their version, 0 is the base and g the general questions. Of a long line the newest are
    drawn; percentages are written into the cells where there is room.
    """
    numbers = {name: n for n, name in enumerate(matrix.versions)}
    rows, columns = list(numbers.items())[-MOST:], matrix.columns[-MOST:]
    shares = [[None if cell is None else cell.probability for cell in row[-MOST:]] for row in matrix.cells[-MOST:]]
    if not any(share is not None for row in shares for share in row):
        return ""
    first = rows[0][1]
    learned = [(numbers.get(column.learned_by or "", -1) - first, n) for n, column in enumerate(columns)]
    beside = [str(number) for _, number in rows]
    above = [str(numbers.get(column.learned_by, "?")) if column.learned_by else "g" for column in columns]
    cells, marks = _cells(shares), _marks([place for place in learned if place[0] >= 0])
    names = text(0, 10, "version") + _written(_beside(beside)) + _written(_above(above))
    bodies = [cells + marks + names + _percentages(shares), cells + marks + names, cells + names, cells]
    width, height = LEFT + len(columns) * CELL_WIDTH + 2, TOP + len(rows) * CELL_HEIGHT + 2
    return fitting(bodies, title, width=width, height=height, adorned=1)


def png_of(levels: Sequence[Sequence[int]]) -> bytes:
    """A picture of one pixel a level, 0 transparent and 1 to 15 from pale to deep; all rows are equally long."""
    width, height = len(levels[0]), len(levels)
    lines = b"".join(b"\0" + _nibbles(row) for row in levels)
    shades = [
        round(pale + level / (LEVELS - 1) * (deep - pale))
        for level in range(LEVELS)
        for pale, deep in zip(PALE, DEEP, strict=True)
    ]
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)),
        (b"PLTE", bytes([0, 0, 0, *shades])),
        (b"tRNS", b"\0"),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _nibbles(row: Sequence[int]) -> bytes:
    padded = [*row, 0] if len(row) % 2 else row
    return bytes(padded[n] << 4 | padded[n + 1] for n in range(0, len(padded), 2))


def _cells(shares: Shares) -> str:
    levels = [[0 if share is None else 1 + round(min(1.0, max(0.0, share)) * (LEVELS - 1)) for share in row] for row in shares]
    data = base64.b64encode(png_of(levels)).decode()
    width, height = len(levels[0]) * CELL_WIDTH, len(levels) * CELL_HEIGHT
    return (
        f"<image x='{LEFT}' y='{TOP}' width='{width}' height='{height}' preserveAspectRatio='none' "
        f"style='image-rendering:pixelated' href='data:image/png;base64,{data}'/>"
    )


def _marks(learned: Sequence[tuple[int, int]]) -> str:
    path = "".join(f"M{LEFT + n * CELL_WIDTH},{TOP + (row + 1) * CELL_HEIGHT - 1}h{CELL_WIDTH}" for row, n in learned)
    return f"<path d='{path}' stroke='{OPEN}' stroke-width='2'/>" if path else ""


def _beside(names: Sequence[str]) -> list[Glyph]:
    return [(16 + GLYPH * k, _line(row), letter) for row, name in enumerate(names) for k, letter in enumerate(name)]


def _above(names: Sequence[str]) -> list[Glyph]:
    return [(_middle(column) + GLYPH * k, 10, letter) for column, name in enumerate(names) for k, letter in enumerate(name)]


def _percentages(shares: Shares) -> str:
    dark: list[Glyph] = []
    pale: list[Glyph] = []
    for row, those in enumerate(shares):
        for column, share in enumerate(those):
            if share is not None:
                written = f"{min(1.0, max(0.0, share)):.0%}".removesuffix("%")
                glyphs = [(_middle(column) - 4 + GLYPH * k, _line(row), digit) for k, digit in enumerate(written)]
                (dark if share > READ_ON_DEEP else pale).extend(glyphs)
    return _written(dark, "#fff") + _written(pale, "#234")


def _written(glyphs: Sequence[Glyph], colour: str = "") -> str:
    """Letters in one element, each with a place of its own: an element for each word would take three times the room."""
    if not glyphs:
        return ""
    x, y = (",".join(str(glyph[axis]) for glyph in glyphs) for axis in (0, 1))
    look = f" fill='{colour}'" if colour else ""
    return f"<text x='{x}' y='{y}'{look}>{''.join(letter for _, _, letter in glyphs)}</text>"


def _middle(column: int) -> int:
    return LEFT + column * CELL_WIDTH + 12


def _line(row: int) -> int:
    return TOP + row * CELL_HEIGHT + 13
