"""What there is: tasks and their policies, where they stand, what a thing was made from."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from continuum.amending import amended
from continuum.commands.completing import task_names
from continuum.commands.terminal import Json, Task, complain, console, print_json, say, show_table
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.status import Status
    from continuum.store.database import Store

LONGEST_WORDS = 400


def tasks(context: typer.Context, as_json: Json = False) -> None:
    """List the tasks."""
    if context.invoked_subcommand:
        return
    table = Table(Column("task", no_wrap=True), "interactions", "new", "reopened", "trains at", "answers", "canary", box=None)
    store = brought_in()
    if as_json:
        print_json([_plain(store, said) for said in _statuses(store)])
        return
    for status in _statuses(store):
        canary = f"{status.canary} {status.canary_traffic:.0%}" if status.canary else "-"
        wanted = str(status.train_when) if status.train_when else "when asked"
        counts = (str(one) for one in (status.interactions, status.new_interactions, status.reopened))
        table.add_row(status.task, *counts, wanted, status.champion, canary)
    if store.tasks.names():
        show_table(table)
    else:
        say("no task yet: capture something, or `continuum import FILE.jsonl`")


def set_policy(
    task: Task,
    changes: Annotated[
        list[str], typer.Argument(help="Such as auto_train_when=1000 judge.model=gpt-4o-mini; values are JSON or text.")
    ],
    as_json: Json = False,
) -> None:
    """Change a task's policy; a task that is not there yet is registered."""
    store = default_store()
    for change in changes:
        if "=" not in change:
            raise ConfigurationError(f"{change!r} is not of the form name=value; write it like auto_train_when=1000")
    values = {name: _json_or_text(value) for name, _, value in (change.partition("=") for change in changes)}
    # The stored policy as it is, so that one that cannot be read can be mended.
    state = store.tasks.change(task, lambda stored: amended(task, stored, values))
    if as_json:
        print_json(state.policy)
    else:
        say(f"{task}: {', '.join(changes)}")


def show_policy(task: Task, as_json: Json = False) -> None:
    """Print a task's policy as JSON, in colours where somebody looks."""
    policy = default_store().tasks.get(task).policy
    if as_json or not console.is_terminal:
        print_json(policy)
    else:
        console.print_json(policy.model_dump_json())


def status(
    task: Annotated[str | None, typer.Argument(help="Name of the task; all when left out.", autocompletion=task_names)] = None,
    as_json: Json = False,
) -> None:
    """Say where a task stands and what happens next."""
    from continuum.config import load_settings
    from continuum.deployment.standing import standings
    from continuum.status import status_of

    store = brought_in()
    found = [status_of(store, task)] if task else list(_statuses(store))
    if as_json:
        known = [_plain(store, said) for said in found]
        print_json({"home": load_settings().home, "store": store.address, "tasks": known})
        return
    say(f"home {load_settings().home}\nstore {store.address}")
    if not found:
        say("no task yet: `continuum init`, or `continuum import FILE.jsonl`")
    for said in found:
        say(str(said))
        for one in standings(store, said.task, now=utc_now()):
            say(f"  {one.record.model} is {one.record.state} at {one.record.traffic:.0%}: {excerpt(one.next, LONGEST_WORDS)}")
            if one.record.alarm:
                say(f"  ALARM {excerpt(one.record.alarm, LONGEST_WORDS)}")


def lineage(
    item: Annotated[
        str, typer.Argument(metavar="ID", help="Id or name of a deployment, verdict, checkpoint, dataset or interaction.")
    ],
    as_json: Json = False,
) -> None:
    """Print what a thing was made from, back to the interaction ids."""
    from continuum.provenance.lineage import lineage as trace

    found = trace(default_store(), item)
    if as_json:
        print_json(found.to_dict())
    else:
        sys.stdout.write("\n".join(found.render()) + "\n")


# --- the stages by hand ----------------------------------------------------------------------------------------------


def brought_in() -> "Store":
    """The store, with what ended processes had left in the spool."""
    from continuum.config import load_settings
    from continuum.spool.draining import collect

    store = default_store()
    collect(store, load_settings().spool_dir)
    return store


def _statuses(store: "Store") -> Iterator["Status"]:
    from continuum.status import status_of

    for name in store.tasks.names():
        try:
            yield status_of(store, name)
        except ConfigurationError as error:
            complain(f"error: {error}")


def _plain(store: "Store", said: "Status") -> dict[str, Any]:
    """Where a task stands and who serves it, for a program."""
    from continuum.deployment.standing import standings

    serving = [one.record.model_dump(mode="json") | {"next": one.next} for one in standings(store, said.task, now=utc_now())]
    return said.model_dump(mode="json") | {"advice": said.advice, "deployments": serving}


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value, parse_constant=_no_number)
    except ConfigurationError:
        raise
    except ValueError:
        return value


def _no_number(constant: str) -> Any:
    raise ConfigurationError(f"{constant} is not a number that a policy can hold; null means no value")
