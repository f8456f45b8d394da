"""Data in and out."""

from pathlib import Path
from typing import Annotated

import typer

from continuum.commands.terminal import Task, bar, complain, say
from continuum.config import load_settings
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


def drain(workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; more than one for a large backlog.")] = 1) -> None:
    """Store what killed or ended processes left in this home's spool; a living process drains its own."""
    from continuum.spool.draining import collect, collect_together

    settings = load_settings()
    with bar("draining") as on_progress:
        if workers > 1:
            drained = collect_together(settings.database_url.get_secret_value(), settings.spool_dir, workers=workers)
        else:
            drained = collect(default_store(), settings.spool_dir, on_progress=on_progress)
    say(
        f"{drained.stored} interactions and {drained.feedback_stored} feedback rows stored from {drained.segments} segments, "
        f"{drained.failed + drained.feedback_failed} lines could not be"
    )


def gather(task: Task) -> None:
    """Bring in what waits, apply retention, derive implicit signals, weigh raters, write snapshots; a turn begins with it."""
    from continuum.gathering import gather as gather_task

    with bar("gathering") as on_progress:
        did = gather_task(default_store(), task, on_progress=on_progress)
    say(
        f"{did.recovered} recovered from the spool, {did.deleted} deleted by retention ({did.kept_for_lineage} as old are kept: "
        f"a dataset holds them), {did.implicit_signals} implicit signals, {did.raters} raters weighed, "
        f"{did.snapshot_rows} rows written to snapshots"
    )


def upgrade() -> None:
    """Bring the store's schema to this version of Continuum; opening a store does it too."""
    from continuum.store.database import upgrade_store

    before, after = upgrade_store(load_settings().database_url.get_secret_value())
    say(f"the schema is {after} already" if before == after else f"the schema went from {before or 'nothing'} to {after}")
