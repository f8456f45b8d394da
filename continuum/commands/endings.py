"""How a command ends: its exit code, and what it says of an error to people and to programs."""

from contextvars import ContextVar
from typing import NoReturn

import typer

from continuum.commands.terminal import complain, print_json
from continuum.excerpts import excerpt

DONE = 0
FAILED = 1
WRONG_USAGE = 2
NOTHING_DECIDED = 3
INCOMPLETE = 3
INTERRUPTED = 130
LONGEST_NAME = 200
CODES = {
    DONE: "done; `guard`: approved; `gateway`, `serve`, `label --page`: told to stop, by Ctrl-C too",
    FAILED: "refused or failed, or whoever read the output went away; `guard`: blocked; `doctor`: something fails",
    WRONG_USAGE: "wrong usage; `backfill`: nothing was begun; `guard`: inconclusive",
    NOTHING_DECIDED: "`guard`: nothing was decided, be it wrong usage or an error; `backfill`: some of it is missing",
    INTERRUPTED: "interrupted; what was finished is kept, and the same command goes on from there",
}
"""Every exit code there is, and what it means."""

speaks_json: ContextVar[bool] = ContextVar("speaks_json", default=False)
"""Whether the command that runs was asked for JSON."""


def tell(error: Exception | str, kind: str | None = None) -> None:
    """Say an error: a line for people on stderr and, where JSON was asked for, `{"error": ..., "kind": ...}` on stdout.

    Args:
        error: what went wrong.
        kind: the name of its kind; the class of the error where none is given.
    """
    complain(f"error: {error}")
    tell_programs(str(error), kind or type(error).__name__)


def tell_programs(error: str, kind: str) -> None:
    """The half of `tell` that is for programs, where people have been told."""
    if speaks_json.get():
        # In a line: what stays has printed lines before.
        print_json({"error": error, "kind": kind}, in_a_line=True)


def told_of_file(error: OSError) -> bool:
    """Say that the system refused a file: a name it cannot have, a place that may not be written, a disk that is full.

    Returns:
        Whether it was said; what is not of a file is for nobody to mend.
    """
    if error.filename is None or isinstance(error, ConnectionError):
        return False
    tell(f"{excerpt(str(error.filename), LONGEST_NAME)}: {error.strerror}; name another, or set its place right", "OSError")
    return True


def refuse(why: str) -> NoReturn:
    """End the command as wrongly used.

    Raises:
        typer.Exit: always.
    """
    tell(why, "UsageError")
    raise typer.Exit(WRONG_USAGE)
