"""What a shell completes: names from the store, read with the database's own driver.

A key press must be answered at once, must not make a store or bring one to a newer schema, and must not fail: where the store is
away, or is none yet, there is nothing to complete.
"""

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from continuum.config import load_settings

PATIENCE_S = 1
"""The longest that a key press waits for a database."""
MOST = 200
"""Names that a shell is given; who knows the first letters gets the others."""


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell that is to complete.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")] = False,
) -> None:
    """Print what makes a shell complete commands, options, tasks, models and deployments.

    Bash: eval "$(continuum completion bash)" in ~/.bashrc. Zsh: the same with zsh in ~/.zshrc, after compinit.
    Fish: continuum completion fish > ~/.config/fish/completions/continuum.fish
    """
    from typer.completion import get_completion_script  # pyright: ignore[reportPrivateImportUsage] - its one way without a prompt

    script = get_completion_script(prog_name="continuum", complete_var="_CONTINUUM_COMPLETE", shell=shell)
    typer.echo(json.dumps({"shell": shell, "script": script}) if as_json else script)


def task_names(incomplete: str) -> list[str]:
    """Tasks."""
    return _read("SELECT name FROM tasks WHERE name LIKE {} ESCAPE '!' ORDER BY name", incomplete)


def model_names(incomplete: str) -> list[str]:
    """Checkpoints by name, each task's newest first."""
    found = _read("SELECT task || '-v' || version FROM checkpoints WHERE task || '-v' || version LIKE {} ESCAPE '!'", incomplete)
    return sorted(found, key=lambda name: (name.rpartition("-v")[0], -int(name.rpartition("-v")[2])))


def dataset_names(incomplete: str) -> list[str]:
    """Dataset versions, the newest first."""
    return _read("SELECT name FROM datasets WHERE name LIKE {} ESCAPE '!' ORDER BY created_at DESC", incomplete)


def deployment_ids(incomplete: str) -> list[str]:
    """Deployments by id, the newest first."""
    return _read("SELECT id FROM deployments WHERE id LIKE {} ESCAPE '!' ORDER BY created_at DESC", incomplete)


def backfill_ids(incomplete: str) -> list[str]:
    """Backfills by id, the newest first."""
    return _read("SELECT id FROM backfills WHERE id LIKE {} ESCAPE '!' ORDER BY created_at DESC", incomplete)


def deployed(incomplete: str) -> list[str]:
    """All that names a deployment: tasks, models, ids."""
    return [*task_names(incomplete), *model_names(incomplete), *deployment_ids(incomplete)]


def versions(incomplete: str) -> list[str]:
    """All that names a dataset version: versions, and tasks for their newest."""
    return [*dataset_names(incomplete), *task_names(incomplete)]


def _read(statement: str, incomplete: str) -> list[str]:
    begin = incomplete.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
    try:
        url = load_settings().database_url.get_secret_value()
        read = _sqlite if url.startswith("sqlite") else _postgres
        return [str(name) for (name,) in read(url, f"{statement} LIMIT {MOST}", begin)]
    except Exception:  # noqa: BLE001
        # Whatever it is, it would be printed into the line that is being typed; the command itself will say it.
        return []


def _sqlite(url: str, statement: str, begin: str) -> Sequence[Any]:
    path = Path(url.partition("///")[2].partition("?")[0])
    # Read as it is: a file that is not there is not made.
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE_S)) as connection:
        return connection.execute(statement.format("?"), (begin,)).fetchall()


def _postgres(url: str, statement: str, begin: str) -> Sequence[Any]:
    import psycopg2

    plain = url.replace("+psycopg2", "", 1)
    settings = {"connect_timeout": PATIENCE_S, "options": f"-c statement_timeout={PATIENCE_S * 1000}"}
    with contextlib.closing(psycopg2.connect(plain, **settings)) as connection, connection.cursor() as cursor:
        cursor.execute(statement.format("%s"), (begin,))
        return cursor.fetchall()
