"""What the wheel has gained, in a terminal, in a picture and on a page."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from continuum.commands.terminal import Json, Task, bar, complain, print_json, run
from continuum.errors import ConfigurationError
from continuum.store import default_store


def curve(
    task: Task,
    models: Annotated[
        list[str] | None,
        typer.Option("--models", help="production, nearest, base, v1, v2; with commas, or given again; all when left out."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            "--metric",
            help="Criteria, action_match, latency_ms, forgetting, human_agreement; likewise; the guard's and all of these.",
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report to this HTML file.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the plot to this PNG file.")] = None,
    as_json: Json = False,
) -> None:
    """What each version gained on the golden set, whether that is real, what it cost, and what more examples would buy."""
    from continuum.analytics.curve import LearningCurve

    for path in filter(None, (html, plot)):
        if path.is_dir() or any(parent.is_file() for parent in path.parents):
            # Refused now, and not after an hour.
            raise ConfigurationError(f"nothing can be written to {path}: it is a folder, or a file stands in its way")
    with bar("measuring") as on_progress:
        measured = run(
            LearningCurve.compute(
                task=task, models=_named(models), metrics=_named(metrics), store=default_store(), on_progress=on_progress
            )
        )
    if as_json:
        print_json(measured.to_dict())
    else:
        sys.stdout.write(measured.summary() + "\n")
    if html:
        complain(f"report written to {measured.report(html)}")
    if plot:
        complain(f"plot written to {measured.plot(plot)}")


def _named(given: list[str] | None) -> list[str] | None:
    """Names that were given with commas or one by one; None where none was."""
    return [name.strip() for one in given for name in one.split(",") if name.strip()] if given else None
