"""The guard in a terminal and in CI: a verdict with its reports, people's audit of it, and its repetition."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from continuum.commands.completing import model_names
from continuum.commands.endings import NOTHING_DECIDED, tell, tell_programs, told_of_file
from continuum.commands.stages import checkpoint_of
from continuum.commands.terminal import Json, bar, complain, console, print_json, run, say, stderr
from continuum.errors import ConfigurationError, ContinuumError
from continuum.excerpts import excerpt
from continuum.records import Checkpoint, Verdict
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.guard.measuring import Measurement


def guard(
    candidate: Annotated[
        str | None, typer.Option(help="Id or name of a checkpoint, such as support-v1.", autocompletion=model_names)
    ] = None,
    golden: Annotated[
        str | None, typer.Option(metavar="NAME|FOLDER", help="A golden dataset; the task's newest when left out.")
    ] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="Write a report: .html, .md, .json, or .xml for JUnit; may be given again.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file, whatever its ending.")] = None,
    audit_out: Annotated[
        Path | None, typer.Option(help="Write both models' answers, nameless and shuffled, for people to score: .jsonl or .csv.")
    ] = None,
    audit_items: Annotated[int, typer.Option(min=1, help="Golden items that the audit draws.")] = 40,
    audit: Annotated[Path | None, typer.Option(help="Read the scores of such a file before deciding.")] = None,
    labeller: Annotated[str | None, typer.Option(help="Who gave the scores of --audit.")] = None,
    replay: Annotated[
        str | None, typer.Option(metavar="VERDICT", help="Decide a verdict again from its evidence: its id, or its .json report.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare a candidate with what serves now.

    Exits 0 when it is approved, 1 blocked, 2 inconclusive, and 3 when nothing was decided: wrong usage, or an error.
    """
    from continuum.guard.junit import to_junit
    from continuum.guard.reading import EXIT_CODES
    from continuum.guard.report import print_verdict, report_form, write_report

    try:
        if (candidate is None) == (replay is None):
            raise ConfigurationError("name a candidate with --candidate, or a verdict to decide again with --replay")
        if audit is not None and labeller is None:
            raise ConfigurationError("say with --labeller who gave the scores of --audit")
        if audit_out is not None and audit_out.exists():
            raise ConfigurationError(f"{audit_out} is there already; name another file for the audit, or read it with --audit")
        for path in (*(report or ()), *filter(None, (junit, audit_out))):
            if path.is_dir() or any(parent.is_file() for parent in path.parents):
                raise ConfigurationError(f"nothing can be written to {path}: it is a folder, or a file stands in its way")
        for path in report or ():
            report_form(path)  # Refused now, and not after an hour.
        if candidate is None:
            verdict = _again(str(replay), complain if as_json else say)
        else:
            model = checkpoint_of(candidate)
            if audit is not None and labeller is not None:
                _read(audit, model.task, labeller)
            verdict = _guarded(model, golden, audit_out, audit_items)
        if as_json:
            print_json(verdict)
        else:
            print_verdict(verdict, console)
        for path in report or ():
            complain(f"report written to {write_report(verdict, path)}")
        if junit is not None:
            junit.parent.mkdir(parents=True, exist_ok=True)
            junit.write_text(to_junit(verdict), encoding="utf-8")
            complain(f"JUnit XML written to {junit}")
    except ContinuumError as error:
        tell(error)
        raise typer.Exit(NOTHING_DECIDED) from None
    except Exception as error:  # noqa: BLE001
        if isinstance(error, OSError) and told_of_file(error):
            raise typer.Exit(NOTHING_DECIDED) from None
        # What nobody foresaw is shown whole, and must not end like a verdict.
        stderr.print_exception(max_frames=10)
        tell_programs(str(error), type(error).__name__)
        raise typer.Exit(NOTHING_DECIDED) from None
    raise typer.Exit(EXIT_CODES[verdict.status])


def _guarded(model: Checkpoint, golden: str | None, audit_out: Path | None, audit_items: int) -> Verdict:
    from continuum.config import load_settings
    from continuum.guard.audit import write_audit
    from continuum.guard.guard import RegressionGuard
    from continuum.splits.golden import GoldenDataset
    from continuum.tracking.tracker import tracker_of

    store = default_store()
    asked = GoldenDataset.load(golden, store=store) if golden else GoldenDataset.latest(model.task, store=store)
    if asked is not None:
        complain(f"{asked.name}: {len(asked)} items; {asked.shows()}")
    policy, tracker = store.tasks.get(model.task).policy, tracker_of(model, load_settings())
    guarding = RegressionGuard.for_task(policy, golden_dataset=asked, store=store, tracker=tracker)

    def draw(found: "Measurement") -> None:
        if audit_out is None:
            return
        metrics = list(found.candidate.scores)
        try:
            audit_out.parent.mkdir(parents=True, exist_ok=True)
            drawn = write_audit(audit_out, model.task, found.items, found.baseline, found.candidate, metrics, size=audit_items)
        except (ContinuumError, OSError) as error:
            complain(f"no audit was written: {error}")  # The verdict is worth having all the same.
        else:
            complain(
                f"{drawn.answers} answers to {drawn.items} items written to {audit_out}, which holds what users said; fill in "
                f"the scores, read it back with --audit {audit_out} --labeller NAME, and delete it"
            )

    with bar("guarding") as on_progress:
        return run(guarding.evaluate(candidate_model=model, on_progress=on_progress, on_measured=draw))


def _again(source: str, say: Callable[[str], None]) -> Verdict:
    from continuum.guard.replay import COVERED, NOT_COVERED, read_verdict, require_as_stored, require_reproducible

    store = default_store()
    verdict = read_verdict(source, store)
    require_reproducible(verdict)
    say(f"verdict {verdict.id} is what its evidence makes it, to the last bit: {COVERED}")
    if require_as_stored(verdict, store):
        say(f"as the store has them, and not worked out again: {NOT_COVERED}")
    else:
        say(f"not covered: {NOT_COVERED}; the store has no such verdict to hold them against")
    say(f"who measured, and on what, is for: continuum proof {excerpt(verdict.checkpoint_id)}")
    return verdict


def _read(path: Path, task: str, labeller: str) -> None:
    from continuum.guard.audit import read_audit

    read = read_audit(path, default_store(), task, labeller)
    complain(f"{read.labels} scores of {read.answers} answers read from {path}; {read.blank} answers have none")
    for words in read.refused:
        complain(f"  refused: {words}")
