"""The golden dataset of a task: what it holds, how healthy it is, and how it grows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from continuum.commands.terminal import Json, Task, complain, print_json, say, show_table
from continuum.errors import ConfigurationError
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.splits.golden_growth import Grown
    from continuum.splits.golden_health import GoldenHealth

SHOWN = 20
"""Slices, and refused lines, that are shown."""


def golden(
    task: Task,
    refresh: Annotated[bool, typer.Option("--refresh", help="Let it grow from what the task was asked lately.")] = False,
    size: Annotated[
        int | None, typer.Option(min=1, help="With --refresh: the most that join; its share of splits.max_golden when left out.")
    ] = None,
    since: Annotated[str, typer.Option(help="With --refresh: how fresh, such as 30d, or all.")] = "90d",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="With --refresh: only what a person has spoken of joins; the rest waits for people.")
    ] = False,
    add: Annotated[Path | None, typer.Option(help="Add your own items: a JSONL file, or a folder of such.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="With --add: exit with 1 when a line was refused.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write a copy into a folder that is not there yet.")] = None,
    as_json: Json = False,
) -> None:
    """Show the golden dataset of a task and its health, let it grow, add to it, or take a copy."""
    from continuum.splits.golden import GoldenDataset
    from continuum.splits.golden_growth import grow
    from continuum.splits.own_items import read_items

    store = default_store()
    policy = store.tasks.get(task).policy
    grown = None
    if refresh or add is not None:
        grown = grow(
            store,
            policy,
            # Without --refresh nothing joins but what is brought.
            size=size if refresh else 0,
            since=None if since == "all" else since,
            confirm=True if confirm else None if refresh else False,
            brought=None if add is None else read_items(add),
        )
        _told(grown, task, refresh)
    version = grown.dataset if grown is not None else GoldenDataset.latest(task, store=store)
    if version is None:
        raise ConfigurationError(
            f"task {task!r} has no golden dataset"
            + (f": {grown.words()}; people are asked with continuum label {task} --queue golden" if grown else "")
            + f"; capture and annotate more, then: continuum golden {task} --refresh"
        )
    health = version.health(store)
    if as_json:
        print_json({**health.as_dict(), "fingerprint": version.fingerprint})
    else:
        _show(health)
    if save is not None:
        complain(f"{version.name} copied to {version.save(save)}; GoldenDataset.load reads it anywhere")
    if strict and grown is not None and grown.refused:
        raise typer.Exit(1)


def _told(grown: "Grown", task: str, refreshed: bool) -> None:
    waiting = f"; continuum label {task} --queue golden" if grown.waiting else ""
    complain(grown.words() + waiting if refreshed else f"joined: {len(grown.joined)}, refused: {len(grown.refused)}")
    for one in grown.refused[:SHOWN]:
        complain(f"refused {one}")
    if len(grown.refused) > SHOWN:
        complain(f"... and {len(grown.refused) - SHOWN} more")


def _show(health: "GoldenHealth") -> None:
    from continuum.excerpts import excerpt

    say(
        f"{health.name}: {health.items} questions in {health.groups} groups, {health.with_reference} with a reference, "
        f"{health.with_checker} with a checker, {health.confirmed} confirmed by people, {health.own} brought"
    )
    say(f"a drop of {health.detectable:.3f} is found 4 times in 5 (differences with a spread of 0.2)")
    age = "of unknown age" if health.median_age_days is None else f"{health.median_age_days:g} days old in the middle"
    used = "" if health.last_used_at is None else f", last on {health.last_used_at:%Y-%m-%d}"
    ledger = f"{health.uses} candidates measured{used}, the next is approved at the level {health.next_level:.4g}"
    say(f"{age}; {len(health.leaks)} trained on; {ledger}")
    if health.slices:
        table = Table("slice", "questions", "groups", "of the traffic", "", box=None)
        for one in health.slices[:SHOWN]:
            decides = "can block by itself" if one.decides else "reported only"
            table.add_row(Text(excerpt(one.name, 40)), str(one.items), str(one.groups), f"{one.traffic:.1%}", decides)
        show_table(table)
        if len(health.slices) > SHOWN:
            say(f"... and {len(health.slices) - SHOWN} smaller ones; --json has all")
    for note in health.notes:
        say(f"note: {note}")
