"""Data in and out."""

from pathlib import Path
from typing import Annotated

import typer

from continuum.commands.terminal import bar, complain, say
from continuum.store import default_store


def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSONL, one interaction a line.")],
    task: Annotated[str | None, typer.Option(help="Put every line under this task.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a line was refused.")] = False,
) -> None:
    """Import interactions; those already there are left alone, bad lines are named and skipped."""
    from continuum.signals.importer import import_jsonl

    with bar("importing") as on_progress:
        report = import_jsonl(file, store=default_store(), task=task, on_progress=on_progress)
    say(
        f"{report.read} lines read: {report.added} interactions added, {report.already_there} already there, "
        f"{report.feedback_added} feedback rows added, {len(report.refused)} refused",
    )
    for refusal in report.refused[:20]:
        complain(f"line {refusal.line}: {refusal.reason}")
    if len(report.refused) > 20:
        complain(f"... and {len(report.refused) - 20} more")
    if strict and report.refused:
        raise typer.Exit(1)
