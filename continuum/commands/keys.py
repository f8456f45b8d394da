"""Keys of the gateway: who may ask it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from continuum.commands.completing import task_names
from continuum.commands.terminal import Json, complain, print_json, say, show_table
from continuum.errors import ConfigurationError
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.store.gateway_keys import GatewayKey

MOST_PER_MINUTE = 10**9


def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, for people.")],
    task: Annotated[
        list[str] | None,
        typer.Option(help="A task it may ask for, may be repeated; all when left out.", autocompletion=task_names),
    ] = None,
    override: Annotated[bool, typer.Option("--override", help="Its requests may name who answers, in a header.")] = False,
    per_minute: Annotated[
        int | None, typer.Option(min=1, max=MOST_PER_MINUTE, help="How often it may ask; no limit when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept."""
    store = default_store()
    if unknown := sorted(set(task or ()) - set(store.tasks.names())):
        complain(f"warning: not registered yet, is the name right? {', '.join(unknown)}")
    new = store.gateway_keys.create(name, tasks=task or None, may_override=override, requests_per_minute=per_minute)
    if as_json:
        print_json(_plain(new.record) | {"key": new.secret.get_secret_value()})
    else:
        say(new.secret.get_secret_value())
    complain(f"key {new.record.id} of {name}; it is not shown again, and a gateway knows it within a second")
    if store.gateway_keys.state().issued == 1:
        complain("it is the first one: from now on every request to the gateway needs a key")


def list_keys(as_json: Json = False) -> None:
    """List the keys, revoked ones too; what opens the gateway is not known any more."""
    known = default_store().gateway_keys.all()
    if as_json:
        print_json([_plain(key) for key in known])
        return
    if not known:
        say("no keys: the gateway asks for none, as long as it listens on loopback; continuum keys create NAME makes one")
        return
    table = Table("id", "name", "tasks", "a minute", "override", "made", "revoked", box=None)
    for key in known:
        tasks = "all" if key.tasks is None else ", ".join(key.tasks)
        limit = "-" if key.requests_per_minute is None else str(key.requests_per_minute)
        revoked = "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d}"
        override = "yes" if key.may_override else "no"
        table.add_row(key.id, Text(key.name), Text(tasks), limit, override, f"{key.created_at:%Y-%m-%d}", revoked)
    show_table(table)


def revoke(name: Annotated[str, typer.Argument(help="The key's name or id.")], as_json: Json = False) -> None:
    """Close the gateway to a key, within a second; it cannot be opened again."""
    if name.startswith("ck-"):
        # What is typed here stays in the shell's history; the key itself is never asked for.
        raise ConfigurationError("that is a key, or looks like one; name it by its name or id, see continuum keys list")
    store = default_store()
    revoked = store.gateway_keys.revoke(name)
    if as_json:
        print_json(_plain(revoked))
    else:
        say(f"key {revoked.id} of {revoked.name} is revoked")
    if not store.gateway_keys.in_use():
        complain("no key is left, and the gateway refuses every request; continuum keys create NAME makes a new one")


def _plain(key: "GatewayKey") -> dict[str, Any]:
    return key.model_dump(mode="json", exclude={"hash"})
