"""Forgetting: a user or some interactions, through every stage, with a receipt; and training anew what had learned from them."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from continuum.commands.terminal import Json, bar, complain, print_json, run, say
from continuum.erasing.receipt import NOTHING
from continuum.errors import ConfigurationError
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.erasing.finding import Request
    from continuum.erasure import Preview


def forget(
    user: Annotated[
        str | None, typer.Option(help="The application's own id of a user, or the hash that stands for it in the store.")
    ] = None,
    interaction: Annotated[
        list[str] | None, typer.Option(help="An interaction, by its id or the provider's; may be given again.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only what belongs to this task.")] = None,
    block: Annotated[bool, typer.Option("--block", help="Refuse what the user says from now on too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go; nothing is changed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it acts.")] = False,
    rebuild: Annotated[
        str | None, typer.Option(metavar="TASK", help="Train the task's quarantined models anew, without what was erased.")
    ] = None,
    receipt: Annotated[str | None, typer.Option(metavar="ID", help="Print the receipt of an erasure again.")] = None,
    as_json: Json = False,
) -> None:
    """Forget a user or interactions in every table, file, index and model, and print a receipt; the same command goes on."""
    given = [user is not None or bool(interaction), rebuild is not None, receipt is not None]
    if sum(given) > 1 or (not given[0] and sum(given) == 1 and (task is not None or block or dry_run)):
        raise ConfigurationError(
            "--rebuild and --receipt stand alone; with --user or --interaction go --task, --block, --dry-run and --yes"
        )
    if rebuild is not None:
        _rebuild(rebuild, as_json)
        return
    if receipt is not None:
        _show_receipt(receipt, as_json)
        return
    from continuum.erasing.finding import Request

    request = Request(user=user, interactions=tuple(interaction or ()), task=task, block=block)
    if dry_run:
        _show_preview(request, as_json)
        return
    if not yes:
        _ask(request)
    _forget(request, as_json)


def _show_preview(request: "Request", as_json: bool) -> None:
    from continuum.erasure import preview

    found = preview(request)
    if as_json:
        print_json(found)
    for line in () if as_json else _words(found):
        say(line)
    for trouble in found.troubles:
        complain(trouble)
    if found.troubles:
        raise typer.Exit(1)


def _words(found: "Preview") -> list[str]:
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.counts.items() if count) or "nothing"
    lines = [f"would go: {kinds}; of tasks: {', '.join(found.tasks) or 'none'}"]
    lines += [NOTHING] if not any(found.counts.values()) else []
    lines += [f"training set that holds some of it: {name}" for name in found.versions]
    lines += [f"model that learned from it{', and serves' if name in found.serving else ''}: {name}" for name in found.models]
    lines += [f"would stay: {place}" for place in found.out_of_reach]
    return lines


def _ask(request: "Request") -> None:
    """Show what would go and have a person agree.

    Raises:
        ConfigurationError: nobody is there who could.
    """
    from continuum.erasure import preview

    if not sys.stdin.isatty():
        raise ConfigurationError("nothing is forgotten without an answer, and nobody is at a terminal: give --yes, or --dry-run")
    for line in _words(preview(request)):
        complain(line)
    typer.confirm("Forget it? This cannot be undone.", abort=True, err=True)


def _forget(request: "Request", as_json: bool) -> None:
    from continuum.erasure import forget as forgotten

    with bar("forgetting") as on_progress:
        made = run(forgotten(request, on_progress=on_progress))
    if as_json:
        print_json(made)
    else:
        for line in made.words():
            say(line)
    if made.troubles:
        raise typer.Exit(1)


def _show_receipt(name: str, as_json: bool) -> None:
    from continuum.erasing.receipt import Receipt

    found = default_store().erasures.get(name)
    if found is None or found.receipt is None:
        state = "there is no such erasure" if found is None else "it is not done yet; give its command again"
        raise ConfigurationError(f"erasure {name!r:.80} has no receipt: {state}")
    made = Receipt.model_validate(found.receipt)
    if as_json:
        print_json(made)
        return
    for line in made.words():
        say(line)


def _rebuild(task: str, as_json: bool) -> None:
    from continuum.erasing.rebuilding import rebuild

    with bar("training anew") as on_progress:
        made = run(rebuild(task, on_progress=on_progress))
    if as_json:
        print_json(made)
        return
    for line in made.words():
        say(line)
