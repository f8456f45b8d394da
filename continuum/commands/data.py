"""Data in and out."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from continuum.commands.terminal import Json, Task, bar, complain, print_json, say
from continuum.config import load_settings
from continuum.store import default_store
from continuum.timespan import parse_span, utc_now

ImportForm = Literal["auto", "plain", "openai", "otlp", "langfuse", "mlflow"]
ExportForm = Literal["plain", "openai", "otlp"]


def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSONL, or one JSON document.")],
    task: Annotated[str | None, typer.Option(help="Put every row under this task; formats that name none need it.")] = None,
    form: Annotated[
        ImportForm, typer.Option("--format", help="How the file is written; told by its content when left out.")
    ] = "auto",
    requests: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Input file of an OpenAI batch, where FILE is its output.")
    ] = None,
    redact: Annotated[str | None, typer.Option(help="Redactor to use, or off; CONTINUUM_REDACTOR when left out.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a row was refused.")] = False,
    as_json: Json = False,
) -> None:
    """Import interactions; those already there are left alone, bad rows are named and skipped."""
    from continuum.signals.importer import import_file

    with bar("importing") as on_progress:
        report = import_file(
            file, store=default_store(), task=task, format=form, redact=redact, requests=requests, on_progress=on_progress
        )
    if as_json:
        print_json(report)
        raise typer.Exit(1 if strict and report.refused else 0)
    rows = "lines" if report.format == "plain" else f"rows ({report.format})"
    say(
        f"{report.read} {rows} read: {report.added} interactions added, {report.already_there} already there, "
        f"{report.feedback_added} feedback rows added, {len(report.refused)} refused"
        + (f", {report.erased} erased before and not taken in again" if report.erased else ""),
    )
    for note in report.notes:
        complain(note)
    for refusal in report.refused[:20]:
        complain(f"{refusal.place}: {refusal.reason}")
    if len(report.refused) > 20:
        complain(f"... and {len(report.refused) - 20} more")
    if strict and report.refused:
        raise typer.Exit(1)


def export(
    task: Task,
    target: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - for standard output.")] = "-",
    form: Annotated[ExportForm, typer.Option("--format", help="plain is what `import` takes back.")] = "plain",
    since: Annotated[str | None, typer.Option(help="Only the last, such as 30d.")] = None,
    as_json: Json = False,
) -> None:
    """Export a task's interactions with what was said of them, as they are stored: redacted, users as hashes."""
    from continuum.signals.exporter import export as write

    if as_json and target == "-":
        raise typer.BadParameter("--json prints what was written, and standard output is taken by it: name a FILE")
    store = default_store()
    store.tasks.get(task)
    begin = None if since is None else utc_now() - parse_span(since)
    with bar("exporting") as on_progress:
        report = write(task, target, format=form, since=begin, store=store, on_progress=on_progress)
    if as_json:
        print_json(report)
        return
    complain(
        f"{report.interactions} interactions and {report.feedback} feedback rows written"
        + (f", {report.left_out} without an answer left out" if report.left_out else "")
    )


def drain(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; more than one for a large backlog.")] = 1,
    as_json: Json = False,
) -> None:
    """Store what killed or ended processes left in this home's spool; a living process drains its own."""
    from continuum.spool.draining import collect, collect_together

    settings = load_settings()
    with bar("draining") as on_progress:
        if workers > 1:
            drained = collect_together(settings.database_url.get_secret_value(), settings.spool_dir, workers=workers)
        else:
            drained = collect(default_store(), settings.spool_dir, on_progress=on_progress)
    if as_json:
        print_json(drained)
        return
    say(
        f"{drained.stored} interactions and {drained.feedback_stored} feedback rows stored from {drained.segments} segments, "
        f"{drained.failed + drained.feedback_failed} lines could not be"
    )


def gather(task: Task, as_json: Json = False) -> None:
    """Bring in what waits, apply retention, derive implicit signals, weigh raters, write snapshots; a turn begins with it."""
    from continuum.gathering import gather as gather_task

    with bar("gathering") as on_progress:
        did = gather_task(default_store(), task, on_progress=on_progress)
    if as_json:
        print_json(did)
        return
    say(
        f"{did.recovered} recovered from the spool, {did.deleted} deleted by retention ({did.kept_for_lineage} as old are kept: "
        f"a dataset holds them), {did.implicit_signals} implicit signals, {did.raters} raters weighed, "
        f"{did.snapshot_rows} rows written to snapshots"
    )
    if did.golden_items_erased or did.trainings_erased:
        say(
            f"erased from files: {did.golden_items_erased} golden items over all versions, {did.trainings_erased} folders of "
            "trainings that were not finished"
        )


def upgrade(as_json: Json = False) -> None:
    """Bring the store's schema to this version of Continuum; opening a store does it too."""
    from continuum.store.database import upgrade_store

    before, after = upgrade_store(load_settings().database_url.get_secret_value())
    if as_json:
        print_json({"before": before, "after": after})
        return
    say(f"the schema is {after} already" if before == after else f"the schema went from {before or 'nothing'} to {after}")
