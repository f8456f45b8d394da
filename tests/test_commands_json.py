"""Every command that says what a script could use says it as one JSON document, alone on stdout."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from continuum.cli import app
from continuum.commands.terminal import print_json
from continuum.policy import TaskPolicy
from continuum.store.database import Store
from tests.builders import interactions

WITHOUT = {
    "gateway": "a server: it says nothing while it serves",
    "serve": "a server: it says nothing while it serves",
    "demo": "a story for people",
    "completion": "a shell reads what it prints",
}
"""Commands that have no `--json`, and why."""


def commands(group: object = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every command that can be run, by the words that name it."""
    here = group or get_command(app)
    for name, command in getattr(here, "commands", {}).items():
        below = (*path, name)
        children = getattr(command, "commands", {})
        if not children or getattr(command, "invoke_without_command", False):
            yield below, command
        yield from commands(command, below) if children else ()


@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_command_speaks_json_or_has_a_reason_not_to(words: tuple[str, ...], command: object) -> None:
    options = {option for parameter in getattr(command, "params") for option in parameter.opts}  # noqa: B009

    assert ("--json" in options) != (" ".join(words) in WITHOUT)


def test_every_reason_belongs_to_a_command() -> None:
    assert set(WITHOUT) <= {" ".join(words) for words, _ in commands()}


def said(*arguments: str) -> object:
    """What a command prints on stdout with `--json`, read."""
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["tasks"],
        ["tasks", "set", "support", "auto_train_when=9"],
        ["tasks", "show", "support"],
        ["status"],
        ["status", "support"],
        ["drain"],
        ["gather", "support"],
        ["db", "upgrade"],
        ["judge", "support"],
        ["label", "support", "--show"],
        ["constitution", "list"],
        ["constitution", "show", "Never claim to be human"],
        ["dataset", "list"],
        ["deployments"],
        ["watch", "--once"],
        ["watch", "--once", "--read-only"],
        ["keys", "list"],
        ["keys", "create", "webshop"],
        ["backfill", "--list"],
    ],
    ids=" ".join,
)
def test_stdout_is_one_document_and_nothing_else(arguments: list[str], store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=5))
    store.interactions.add(interactions(3))

    assert said(*arguments) is not None


def test_status_tells_a_program_what_it_tells_people(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=5))
    store.interactions.add(interactions(3))

    (told,) = said("status", "support")["tasks"]  # type: ignore[index]

    assert (told["task"], told["interactions"], told["train_when"], told["champion"]) == ("support", 3, 5, "production")
    assert told["advice"].startswith("3 of 5")


def test_an_import_tells_which_rows_it_refused_and_ends_as_without_json(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("not json\n", encoding="utf-8")

    result = CliRunner().invoke(app, ["import", str(path), "--strict", "--json"], catch_exceptions=False)

    assert result.exit_code == 1
    assert json.loads(result.stdout)["refused"][0]["line"] == 1


def test_an_export_to_stdout_has_no_room_for_a_report(store: Store, tmp_path: Path) -> None:
    store.tasks.ensure("support")
    store.interactions.add(interactions(2))

    result = CliRunner().invoke(app, ["export", "support", "--json"])
    assert result.exit_code == 2
    assert "name a FILE" in result.stderr
    assert said("export", "support", str(tmp_path / "out.jsonl"))["interactions"] == 2  # type: ignore[index]


def test_what_is_no_number_is_null_and_what_steers_a_terminal_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"rate": float("nan"), "words": "red \x1b[31m and \u202e turned"})

    printed = capsys.readouterr().out
    assert json.loads(printed) == {"rate": None, "words": "red \x1b[31m and \u202e turned"}
    assert printed.isascii()
    assert "\x1b" not in printed
