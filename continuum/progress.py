"""How long work tells how far it is; the CLI draws a bar from it, Dagster a line in the log."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and a few words on what is going on."""


def silent(done: int, total: int, note: str) -> None:
    """The progress of someone who does not want to know."""
