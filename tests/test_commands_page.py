"""What the command line says of itself: help of every command, and the page that is written from it."""

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from continuum.cli import app
from continuum.commands.page import page
from tests.test_commands_json import commands

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
EVERY = list(commands())
WITH_EXAMPLE = {"init", "import", "tasks set", "annotate", "curate", "train", "guard", "deploy", "turn", "watch", "gateway"}


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m continuum.commands.page > docs/cli.md"


@pytest.mark.parametrize(("words", "command"), EVERY, ids=[" ".join(words) for words, _ in EVERY])
def test_a_command_says_what_it_does_and_what_each_option_is(words: tuple[str, ...], command: Any) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"])

    assert shown.exit_code == 0
    assert "Usage" in shown.output
    assert (command.help or "").strip().split("\n")[0].endswith((".", ":"))
    for parameter in command.params:
        assert (parameter.help or "").strip(), f"{' '.join(words)}: {parameter.opts} says nothing of itself"


@pytest.mark.parametrize("name", sorted(WITH_EXAMPLE))
def test_the_main_commands_show_an_example_that_can_be_run(name: str) -> None:
    command: Any = get_command(app)
    for word in name.split():
        command = command.commands[word]

    example = (command.epilog or "").removeprefix("Example: ")
    assert example.startswith(f"continuum {name}")
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word.rstrip(",") for word in example.split() if word.startswith("--")} <= options


def test_every_group_says_what_it_holds() -> None:
    for name, group in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert (group.help or "").strip(), name
