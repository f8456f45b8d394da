"""Backfills in a terminal: old traffic judged anew, what is missing of it, and a task led through the wheel once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from continuum.commands.completing import backfill_ids, task_names
from continuum.commands.deployments import who
from continuum.commands.endings import FAILED, INCOMPLETE, refuse
from continuum.commands.terminal import Json, bar, complain, print_json, run, say, show_table
from continuum.errors import ConfigurationError, ContinuumError
from continuum.excerpts import excerpt
from continuum.progress import Progress
from continuum.store import default_store
from continuum.store.claims import holder_name
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.rubric import Criterion
    from continuum.store.backfills import BackfillRow
    from continuum.store.database import Store

LONGEST_REASON = 400
DRIVER_UNSEEN_AFTER = timedelta(minutes=10)


def backfill(
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Names of tasks.", autocompletion=task_names)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All tasks that have a judge and traffic in the window.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="SPAN|DATE", help="From when on: 30d, 2026-10-01 or 2026-10-01T14:30+02:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="SPAN|DATE", help="Before when; now when left out.")] = None,
    rubric: Annotated[Path | None, typer.Option(help="Criteria as YAML or JSON to judge by; the policy's when left out.")] = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Make the rubric the policy's once everything is judged by it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is missing and what it would cost.")] = False,
    whole_turn: Annotated[
        bool, typer.Option("--whole-turn", help="Lead the task through the whole wheel once instead, as for a new task.")
    ] = False,
    dagster: Annotated[bool, typer.Option("--dagster", help="Leave it for the Dagster daemon.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List what was asked for, and how far it is.")] = False,
    retry: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with what is missing of one.", autocompletion=backfill_ids)
    ] = None,
    cancel: Annotated[
        str | None, typer.Option(metavar="ID", help="Cancel one; what was judged is kept.", autocompletion=backfill_ids)
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge old traffic, by the task's rubric or another, and say how the scores moved.

    Exits 0 when everything is judged, 3 when some of it is missing, 1 when it failed, and 2 when nothing was begun: wrong usage,
    an unknown task, a window without traffic, a rubric that cannot be read.
    """
    store, named = default_store(), tuple(dict.fromkeys(tasks or ()))
    judging = {"--since": since, "--until": until, "--rubric": rubric, "--adopt": adopt, "--dry-run": dry_run}
    chosen = {"--list": list_them, "--retry": retry, "--cancel": cancel, "--whole-turn": whole_turn}
    modes = [name for name, value in chosen.items() if value]
    beside = [name for name, value in judging.items() if value]
    if len(modes) > 1 or (modes and beside):
        refuse(f"{' and '.join([*modes, *beside])} exclude each other")
    if (retry or cancel) and (named or everything):
        refuse(f"{modes[0]} names one backfill by its id; leave the tasks out")
    if dagster and (dry_run or list_them or cancel):
        refuse("--dagster leaves work for the daemon; it says nothing to --list, --cancel or --dry-run")
    if named and everything:
        refuse("name tasks or say --all, not both")
    if list_them:
        _list(store, named, as_json)
        return
    if cancel:
        _cancel(store, cancel, as_json)
        return
    if not (retry or named or everything):
        refuse("name a task, or say --all, --list, --retry ID or --cancel ID")
    rows = _retried(store, retry, dagster) if retry else _planned(store, named, everything, whole_turn, dagster, judging)
    if dry_run:
        _tell_prices(store, rows, as_json)
        return
    for row in rows:
        store.backfills.add(row)
    if dagster:
        _leave(store, rows, as_json)
        return
    done = [_worked(store, row, as_json) for row in rows]
    if as_json:
        print_json([told for _, told in done])
    code = max((code for code, _ in done), key=(0, INCOMPLETE, FAILED).index, default=0)
    if code:
        raise typer.Exit(code)


# --- what is asked for -----------------------------------------------------------------------------------------------


def _planned(
    store: "Store", named: Sequence[str], everything: bool, whole_turn: bool, dagster: bool, judging: dict[str, Any]
) -> "list[BackfillRow]":
    """What is to be written down; nothing is, where one task of those that are named is refused."""
    from continuum.annotation.backfill import NothingToJudge, planned, planned_turn

    rows: list[BackfillRow] = []
    driver = "dagster" if dagster else "here"
    try:
        criteria = _criteria(judging["--rubric"])
        for task in named or store.tasks.names():
            try:
                if whole_turn:
                    row = planned_turn(store, task, driver=driver, asked_by=who())
                else:
                    window = {"since": judging["--since"], "until": judging["--until"]}
                    wanted = {"criteria": criteria, "adopt": judging["--adopt"], "driver": driver}
                    row = planned(store, task, **window, **wanted, asked_by=who())
                rows.append(row)
            except NothingToJudge as error:
                if not everything:
                    raise
                complain(f"{task} is left out: {error}")
    except ConfigurationError as error:
        refuse(str(error))
    if not rows:
        complain("there is nothing to do")
    return rows


def _criteria(path: Path | None) -> "tuple[Criterion, ...] | None":
    from continuum.judging.rubric_file import read_rubric
    from continuum.rubric import normalised

    return None if path is None else normalised(read_rubric(path))


def _retried(store: "Store", backfill_id: str, dagster: bool) -> "list[BackfillRow]":
    from continuum.annotation.backfill import ask_again

    try:
        return [ask_again(store, backfill_id, driver="dagster" if dagster else "here")]
    except ConfigurationError as error:
        refuse(str(error))


# --- what is done ----------------------------------------------------------------------------------------------------


def _worked(store: "Store", row: "BackfillRow", as_json: bool) -> tuple[int, dict[str, Any]]:
    """Work on one in this process; the exit code, and all there is to tell."""
    try:
        return _turned(store, row, as_json) if row.kind == "turn" else _judged(store, row, as_json)
    except ContinuumError as error:
        complain(f"error: {row.task}: {error}")
        found = store.backfills.get(row.id) or row
        return FAILED, found.model_dump(mode="json") | {"error": str(error)}


def _judged(store: "Store", row: "BackfillRow", as_json: bool) -> tuple[int, dict[str, Any]]:
    from continuum.annotation.backfill import opinion_of_row
    from continuum.annotation.backfill_price import quote, window_words
    from continuum.annotation.backfill_work import work
    from continuum.annotation.rubric_change import rubric_change

    opinion = opinion_of_row(store, row)
    if not as_json:
        price = quote(store, opinion, row.since, row.until)
        say(f"{row.task}, {window_words(opinion, row.since, row.until)}: {price.words()}")
    with bar(f"judging {row.task}") as on_progress:
        done = run(work(store, row.id, holder=holder_name(), on_progress=on_progress))
    change = rubric_change(store, opinion_of_row(store, done), done.since, done.until)
    if not as_json:
        say(f"{done.task} is {done.state}: {done.judged} of {done.wanted} judged, ${done.cost_usd:.4f}; {_reason(done)}")
        for line in change.lines() if change else ():
            say(line)
        if done.state == "incomplete":
            say(f"go on with what is missing: continuum backfill --retry {done.id}")
    told = done.model_dump(mode="json") | {"missing": done.missing, "change": change.as_dict() if change else None}
    return (0 if done.state == "done" else INCOMPLETE), told


def _turned(store: "Store", row: "BackfillRow", as_json: bool) -> tuple[int, dict[str, Any]]:
    from continuum.annotation.backfill import held_words, known
    from continuum.annotation.backfill_work import CLAIM_LASTS, INTERRUPTED, Held, holding

    me, held = holder_name(), Held()
    if not store.backfills.claim(row.id, me, lasts=CLAIM_LASTS):
        raise ConfigurationError(held_words(known(store, row.id), utc_now()))

    async def turning(on_progress: Progress) -> str:
        from continuum import flywheel

        async with holding(store, row, me, held):
            report = await flywheel.turn(row.task, store=store, on_progress=on_progress)
        state = "incomplete" if report.outcome == "waiting" else "done"
        store.backfills.finish(row.id, me, state, reason=f"{report.outcome}: {report.reason}")
        return report.outcome

    try:
        with bar(f"turning {row.task}") as on_progress:
            run(turning(on_progress))
    except (KeyboardInterrupt, asyncio.CancelledError):
        if not held.lost:
            store.backfills.finish(row.id, me, "incomplete", reason=INTERRUPTED)
            raise
    except ContinuumError as error:
        store.backfills.finish(row.id, me, "incomplete", reason=excerpt(str(error), LONGEST_REASON))
        raise
    done = known(store, row.id)
    if not as_json:
        say(f"{done.task} is {done.state}: {_reason(done)}")
    return (0 if done.state == "done" else INCOMPLETE), done.model_dump(mode="json")


# --- what is told ----------------------------------------------------------------------------------------------------


def _tell_prices(store: "Store", rows: "Sequence[BackfillRow]", as_json: bool) -> None:
    from continuum.annotation.backfill import opinion_of_row
    from continuum.annotation.backfill_price import quote, window_words

    told = []
    for row in rows:
        opinion = opinion_of_row(store, row)
        price = quote(store, opinion, row.since, row.until)
        told.append(price.as_dict() | row.model_dump(mode="json", include={"since", "until", "adopt"}))
        if not as_json:
            say(f"{row.task}, {window_words(opinion, row.since, row.until)}: {price.words()}")
    if as_json:
        print_json(told)


def _leave(store: "Store", rows: "Sequence[BackfillRow]", as_json: bool) -> None:
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
    else:
        for row in rows:
            say(f"{row.task}: backfill {row.id} is left for Dagster")
    seen = [store.tasks.get(row.task).driver_seen_at for row in rows if store.tasks.get(row.task).driver == "dagster"]
    if rows and not any(one and utc_now() - one < DRIVER_UNSEEN_AFTER for one in seen):
        complain("warning: no Dagster daemon has been seen lately; start one with: make ui")


def _cancel(store: "Store", backfill_id: str, as_json: bool) -> None:
    from continuum.annotation.backfill import known

    try:
        row = known(store, backfill_id)
    except ConfigurationError as error:
        refuse(str(error))
    if not store.backfills.cancel(row.id, f"cancelled by {who()}"):
        refuse(f"backfill {row.id} is {known(store, row.id).state} already")
    if as_json:
        print_json(known(store, row.id).model_dump(mode="json") | {"missing": row.missing})
        return
    say(f"{row.task}: backfill {row.id} is cancelled; {row.judged} of {row.wanted} were judged, and stay so")


def _list(store: "Store", named: Sequence[str], as_json: bool) -> None:
    unknown = [task for task in named if task not in store.tasks.names()]
    if unknown:
        refuse(f"there is no task {unknown[0]!r:.120}; continuum tasks lists them")
    rows = [row for task in named for row in store.backfills.newest(task)] if named else store.backfills.newest()
    if as_json:
        print_json([row.model_dump(mode="json") | {"missing": row.missing} for row in rows])
        return
    if not rows:
        say("no backfill was asked for yet: continuum backfill TASK --since 30d")
        return
    now = utc_now()
    table = Table("id", "task", "state", "window", "judged", "cost", "why", box=None)
    for row in rows:
        judged = f"{row.judged}/{row.wanted}" if row.kind == "judging" else "-"
        table.add_row(row.id, row.task, _state(row, now), _window(row), judged, f"${row.cost_usd:.4f}", _reason(row))
    show_table(table)


def _state(row: "BackfillRow", now: datetime) -> str:
    if row.state == "working" and row.claimed_until is not None and row.claimed_until < now:
        return "left by a process that ended"
    return row.state


def _window(row: "BackfillRow") -> str:
    if row.kind == "turn":
        return "a whole turn"
    since, until = (f"{one:%Y-%m-%d %H:%M}" if one else "" for one in (row.since, row.until))
    return f"{since or 'the beginning'} to {until} UTC" + (", another rubric" if row.rubric else "")


def _reason(row: "BackfillRow") -> str:
    return excerpt(row.reason or "", LONGEST_REASON)
