"""What the commands say, and how: lines as they are, a bar on a terminal and nothing in a log."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Annotated, Any, TypeVar

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from continuum.commands.completing import task_names
from continuum.progress import Progress

console = Console(emoji=False)
stderr = Console(stderr=True, emoji=False)
CUT = "…"
"""What rich puts where it cuts a word of a table."""
T = TypeVar("T")
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")]
Task = Annotated[str, typer.Argument(help="Name of the task.", autocompletion=task_names)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]


def say(text: str) -> None:
    """Print a line as it is: no colours guessed, no breaks added, so that it can be searched and piped."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def show_table(table: Table) -> None:
    """Print a table. Where there is no room for its words and numbers, its rows are printed as lines, one for each column.

    What stands in it may come from anybody: a word in brackets is text, and no markup.
    """
    with console.capture() as printed:
        console.print(table, markup=False)
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    if printed.get().count(CUT) == sum(str(cell).count(CUT) for row in rows for cell in row):
        console.print(table, markup=False)
        return
    as_they_are = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    if table.title:
        as_they_are(table.title)
    for row in rows:
        for column, cell in zip(table.columns, row, strict=True):
            as_they_are(column.header, cell, sep=": " if column.header else "")
        as_they_are()


def complain(text: str) -> None:
    """Print a line for whoever watches, beside the output."""
    stderr.print(text, highlight=False, markup=False, soft_wrap=True)


def print_json(found: Any, *, in_a_line: bool = False) -> None:
    """Print one JSON document: records, dataclasses, dates and paths as they travel; what is no number is null.

    Everything beyond ASCII is escaped, so that nothing a user once wrote steers the terminal.

    Args:
        found: what to print.
        in_a_line: for whoever reads a line and no more, as of a command that stays.
    """
    plain = to_jsonable_python(found, inf_nan_mode="null", fallback=_plain)
    sys.stdout.write(json.dumps(plain, indent=None if in_a_line else 2, allow_nan=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """A number of numpy as a number, and whatever else there is as its words."""
    return value.item() if hasattr(value, "item") else str(value)


@contextlib.contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A progress bar on a terminal, nothing in a log."""
    if not stderr.is_terminal:
        # A bar that is switched off still ends with an empty line in some versions of rich.
        yield lambda done, total, note: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=stderr, transient=True) as shown:
        row = shown.add_task(title, total=None)
        yield lambda done, total, note: shown.update(row, completed=done, total=total or None, description=note or title)


def asks_people() -> bool:
    """Whether a person sits there to be asked: what is typed and what is said beside the output are a terminal."""
    return sys.stdin.isatty() and stderr.is_terminal


def yes(question: str) -> bool:
    """Ask a person; no is what a bare return means. To be asked only where `asks_people`."""
    stderr.print(f"{question} [y/N] ", end="", highlight=False, markup=False)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(work)
