"""Databases and files beside the store: what is taken out of them is in no free page either, and what cannot be is told."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from continuum.config import load_settings
from continuum.erasing import elsewhere
from continuum.erasing.elsewhere import take_out_of_database, take_out_of_files
from continuum.erasing.words import Runs, Taking

SAID = "my neighbour Theodora keeps seven grey geese"


@pytest.fixture
def taking() -> Taking:
    """Takes one sentence and one id out."""
    runs = Runs("key")
    runs.add([SAID])
    return Taking({"call-117": "erased-x"}, runs)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An empty database of somebody else's."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, event, about TEXT UNIQUE)")
    return path


def put(path: Path, *rows: tuple) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO events (event, about) VALUES (?, ?)", rows)


def rows(path: Path) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        return connection.execute("SELECT event, typeof(event), about FROM events ORDER BY id").fetchall()


def test_what_others_deleted_before_stands_in_no_free_page(database: Path, taking: Taking) -> None:
    put(database, (SAID, "a"), ("others", "b"))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM events WHERE about = 'a'")
    assert b"Theodora" in database.read_bytes()

    assert take_out_of_database(database, taking) == 0

    assert b"Theodora" not in database.read_bytes()
    assert rows(database) == [(b"others", b"text", b"b")]


def test_texts_that_are_kept_as_bytes_are_read_and_other_bytes_stay(database: Path, taking: Taking) -> None:
    put(database, (SAID.encode(), "a"), (b"\x80\x00pickled", "b"), ("gr\u00fc\u00dfe call-117", "c"))

    assert take_out_of_database(database, taking) == 2

    left = [
        (b"[erased]", b"blob", b"a"),
        (b"\x80\x00pickled", b"blob", b"b"),
        ("gr\u00fc\u00dfe erased-x".encode(), b"text", b"c"),
    ]
    assert rows(database) == left


def test_text_that_is_not_utf_8_hides_nothing_and_stays_as_it_is(database: Path, taking: Taking) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO events (event, about) VALUES (CAST(x'ff20' || ? AS TEXT), 'a')", (b"call-117",))

    assert take_out_of_database(database, taking) == 1

    assert rows(database) == [(b"\xff erased-x", b"text", b"a")]


def test_rows_that_must_differ_and_differ_in_nothing_else_become_one(database: Path, taking: Taking) -> None:
    put(database, ("1", f"{SAID} one"), ("2", f"{SAID} two"), ("3", "c"))

    assert take_out_of_database(database, taking) == 2

    assert rows(database) == [(b"1", b"text", b"[erased]"), (b"3", b"text", b"c")]


def test_a_file_that_is_too_large_to_be_read_is_named(home: Path, taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "LARGEST_TEXT", 10)
    log = home / "logs" / "worker.log"
    log.parent.mkdir(parents=True)
    log.write_text(SAID)

    _, troubles = take_out_of_files(load_settings(), taking)

    assert [str(log) in one and "delete it" in one for one in troubles] == [True]
