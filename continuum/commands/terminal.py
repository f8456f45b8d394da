"""What the commands say, and how: lines as they are, a bar on a terminal and nothing in a log."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from continuum.progress import Progress

console = Console()
stderr = Console(stderr=True)
T = TypeVar("T")
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")]
Task = Annotated[str, typer.Argument(help="Name of the task.")]


def say(text: str) -> None:
    """Print a line as it is: no colours guessed, no breaks added, so that it can be searched and piped."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print a line for whoever watches, beside the output."""
    stderr.print(text, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A progress bar on a terminal, nothing in a log."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as shown:
        row = shown.add_task(title, total=None)
        yield lambda done, total, note: shown.update(row, completed=done, total=total or None, description=note or title)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(work)
