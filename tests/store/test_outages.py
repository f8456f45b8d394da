"""Which errors of a database pass by themselves, asked of the databases themselves."""

import sqlite3
from contextlib import nullcontext
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from continuum.errors import StoreError
from continuum.store.database import Store, open_store
from continuum.store.outages import causes, is_away, unless_away
from continuum.store.writing import in_one_transaction


def test_a_server_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(psycopg2.OperationalError) as nobody:
        psycopg2.connect(f"host={tmp_path} dbname=postgres")
    assert is_away(nobody.value)


def test_a_store_that_cannot_be_reached_says_that_this_may_pass(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened") as refused:
        open_store(f"postgresql://postgres@/postgres?host={tmp_path}")
    assert refused.value.passing


def test_a_connection_that_the_server_breaks_off_is_away(postgres_url: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as mine, engine.connect() as other:
        pid = mine.execute(text("SELECT pg_backend_pid()")).scalar()
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(OperationalError) as broken:
            mine.execute(text("SELECT 1"))
        mine.invalidate()
    engine.dispose()
    assert is_away(broken.value)


@pytest.mark.parametrize("statement", ["SELECT nothing FROM nowhere", "SELECT 1/0", "SELECT 'a'::int", "SELEKT"])
def test_what_postgres_will_never_do_does_not_pass(statement: str, postgres_url: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as refused:
        connection.execute(text(statement))
    engine.dispose()
    assert not is_away(refused.value)


def test_a_locked_file_passes_and_one_that_is_no_database_does_not(tmp_path: Path) -> None:
    one, other = (sqlite3.connect(tmp_path / "a.db", timeout=0) for _ in range(2))
    one.execute("CREATE TABLE rows (n)")
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as locked:
        other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as wrong:
        other.execute("SELECT 1 FROM nowhere")
    one.close()
    other.close()
    assert is_away(locked.value)
    assert not is_away(wrong.value)


def test_what_was_raised_because_of_an_outage_is_one(tmp_path: Path) -> None:
    def fail() -> None:
        try:
            psycopg2.connect(f"host={tmp_path} dbname=postgres")
        except psycopg2.OperationalError as error:
            raise RuntimeError("the run's log cannot be written") from error

    with pytest.raises(RuntimeError) as failed:
        fail()
    assert is_away(failed.value)
    assert len(list(causes(failed.value))) == 2


def test_an_error_that_is_its_own_cause_ends() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert list(causes(one)) == [one, other]
    assert not is_away(one)
    assert not is_away(None)


def test_a_write_that_fails_says_whether_this_may_pass(store: Store) -> None:
    from continuum.store.writing import in_one_transaction

    def locked(_: object) -> None:
        raise store.engine.dialect.loaded_dbapi.OperationalError("database is locked")

    def misspelt(_: object) -> None:
        raise store.engine.dialect.loaded_dbapi.ProgrammingError("no such table: taskz")

    with pytest.raises(StoreError) as passes:
        in_one_transaction(store.engine, locked)
    with pytest.raises(StoreError) as stays:
        in_one_transaction(store.engine, misspelt)
    assert passes.value.passing
    assert not stays.value.passing


@pytest.mark.parametrize("passing", [True, False])
def test_what_is_left_undone_while_the_store_is_away_is_told_and_every_other_error_is_raised(
    passing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    # As a transaction of the store raises it: the database's own error, which may quote what was stored, goes no further.
    error = StoreError("the store cannot be written: database is locked").may_pass(passing)

    with nullcontext() if passing else pytest.raises(StoreError), unless_away("the claim is renewed the next time"):
        raise error

    assert ("the claim is renewed the next time" in caplog.text) is passing


def test_a_write_that_finds_the_database_locked_is_left_undone(tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "a.db")
    holder.execute("BEGIN IMMEDIATE")
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}", connect_args={"timeout": 0})

    with unless_away("it is tried again"):
        in_one_transaction(engine, lambda connection: connection.execute(text("CREATE TABLE rows (n)")))

    engine.dispose()
    assert holder.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    holder.close()
