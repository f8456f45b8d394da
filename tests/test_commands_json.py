"""Every command that says what a script could use says it as one JSON document, alone on stdout."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
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
def test_every_command_speaks_json(words: tuple[str, ...], command: object) -> None:
    options = {option for parameter in getattr(command, "params") for option in parameter.opts}  # noqa: B009

    assert "--json" in options


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
        ["completion", "bash"],
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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["watch", "--every", "1s"], {"ticks"}),
        (["turn", "support", "--watch"], {"outcome", "reason", "seconds"}),
        (["label", "support", "--page", "--port", "0"], {"url", "labeller"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_that_stays_prints_a_document_a_line(arguments: list[str], told: set[str], store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=2, base_model="none"))
    store.interactions.add(interactions(3))
    process = subprocess.Popen(
        [sys.executable, "-c", "from continuum.cli import main; main()", *arguments, "--json"], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        try:
            first = json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
        rest = [json.loads(line) for line in process.stdout.read().splitlines()]

    assert told <= first.keys()
    assert all(told <= one.keys() or one.get("kind") == "Interrupted" for one in rest)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [(["gateway"], "/healthz"), (["gateway", "--workers", "2"], "/healthz"), (["serve"], "/v1/models")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_server_tells_a_program_in_a_line_where_it_is_found(arguments: list[str], asked: str, store: Store) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from continuum.cli import main; main()", *arguments, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        env=os.environ | {"CONTINUUM_UPSTREAM_BASE_URL": "http://ada:secret@127.0.0.1:9/v1"},
        text=True,
    )
    with process:
        assert process.stdout is not None
        told = process.stdout.readline()
        try:
            address = json.loads(told)["base_url"].removesuffix("/v1")
            with urllib.request.urlopen(address + asked, timeout=30) as answer:  # noqa: S310 - the address is a server of this test
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""

    assert process.returncode == 0
    assert "secret" not in told


def test_a_server_that_cannot_listen_tells_a_program_why(store: Store) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from continuum.cli import main; main()", "serve", "--host", "192.0.2.1", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].startswith("cannot listen on 192.0.2.1:8790")
