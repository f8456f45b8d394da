"""Tables of the command line: whatever stands in them is read whole, at any width of the terminal."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from continuum.commands import terminal
from continuum.commands.terminal import show_table

CELLS = st.text(st.sampled_from("ab7[/]b\\: "), min_size=1, max_size=24).map(str.strip).filter(bool)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4)


def shown(rows: list[tuple[str, ...]], width: int, title: str | None = None) -> str:
    """What a terminal of so many columns is sent."""
    table = Table("name", "12,345,678", "why", title=title, box=None)
    for row in rows:
        table.add_row(*row)
    sent = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(terminal.console, "_width", width)
        patched.setattr(terminal.console, "_file", sent)
        show_table(table)
    return sent.getvalue()


@given(ROWS, st.integers(10, 120))
def test_no_word_of_a_table_is_cut_and_a_word_in_brackets_is_a_word(rows: list[tuple[str, ...]], width: int) -> None:
    told = shown(rows, width).split()

    for word in " ".join(" ".join(row) for row in rows).split():
        assert word in told


def test_a_table_that_fits_is_a_table_and_one_that_does_not_is_lines() -> None:
    row = ("support", "3", "the judge is away")

    assert len(shown([row], 80, "Tasks").splitlines()) == 3
    assert shown([row], 20, "Tasks").splitlines() == [
        "Tasks",
        "name: support",
        "12,345,678: 3",
        "why: the judge is away",
        "",
    ]
