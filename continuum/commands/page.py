"""The page `docs/cli.md`, written from the commands themselves: `python -m continuum.commands.page > docs/cli.md`."""

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from continuum.commands.endings import CODES

HEAD = """\
# The command line

This page is written from the commands: `python -m continuum.commands.page > docs/cli.md`.

## For scripts

- `--json` prints one JSON document on stdout and nothing else there; progress and warnings go to stderr. What is no number is
  `null`. What stays prints a document in each line: a server the address that it is found at,
  `turn --watch` each turn, `watch` each look.
- An error is a line on stderr and, with `--json`, `{"error": "...", "kind": "..."}` on stdout. The kind is the name of the
  error's class (`ConfigurationError`, `NotEnoughData`, `StoreError`, ...), `UsageError` where the line was not understood, or
  `Interrupted`. What nobody foresaw has a traceback on stderr beside it.
- Where nobody sits at a terminal there are no colours, no bars and no questions: what would be asked is refused, and the flag
  to give is named. `NO_COLOR=1` takes the colours away at a terminal too.
- Ctrl-C ends every command in order: what was finished is kept, and the same command goes on from there.

| exit code | meaning |
|---|---|
"""
SHELLS = """
## Shells

```console
$ eval "$(continuum completion bash)"     # in ~/.bashrc; with zsh in ~/.zshrc, after compinit
$ continuum completion fish > ~/.config/fish/completions/continuum.fish
```

Commands, options, tasks, models, dataset versions, deployments and backfills complete. Names are read from the store with
one query; where it is away nothing completes, and nothing fails. `continuum --install-completion` does it for the shell that it
finds.

## Commands
"""


def page() -> str:
    """The whole page."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in CODES.items())
    from continuum.cli import app

    return HEAD + codes + SHELLS + "".join(_section(*one) for one in _commands(get_command(app), ("continuum",)))


def _commands(group: Any, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        words = (*above, name)
        if getattr(command, "hidden", False):
            continue
        children = getattr(command, "commands", None)
        if children is None or command.invoke_without_command:
            yield " ".join(words), command
        if children is not None:
            yield from _commands(command, words)


def _section(name: str, command: Any) -> str:
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option" and "--help" not in one.opts]
    words = inspect.cleandoc(command.help or "").replace("\n\n", "\n").splitlines()
    rows = [_row(one, _metavar(one)) for one in arguments]
    rows += [_row(one, "`, `".join([*one.opts, *one.secondary_opts])) for one in options]
    table = "| | |\n|---|---|\n" + "".join(rows) if rows else ""
    usage = " ".join([name, *(_metavar(one) for one in arguments)])
    example = (command.epilog or "").removeprefix("Example: ")
    shown_example = f"\nExample: `{example.replace(', then: ', '`, then: `')}`\n" if example else ""
    return f"\n### `{name}`\n\n" + "\n".join(words) + f"\n\n`{usage}{' [OPTIONS]' if options else ''}`\n\n{table}{shown_example}"


def _metavar(argument: Any) -> str:
    name = (argument.metavar or argument.name or "").strip("[].").upper()
    many = "..." if argument.nargs == -1 else ""
    return f"{name}{many}" if argument.required else f"[{name}]{many}"


def _row(parameter: Any, name: str) -> str:
    words = " ".join((parameter.help or "").split()).replace("|", "\\|")
    default = parameter.default
    plain = isinstance(default, (int, float, str)) and not isinstance(default, bool) and default != ""
    return f"| `{name}` | {words}{f' Default: `{default}`.' if plain else ''} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
