import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import event, text

from continuum.errors import ConfigurationError
from continuum.store.database import Store, open_store
from continuum.store.gateway_keys import KeysState

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_key_is_shown_once_and_only_its_hash_is_kept(store: Store) -> None:
    new = store.gateway_keys.create("web-app", tasks=["support"], requests_per_minute=60)
    secret = new.secret.get_secret_value()

    with store.engine.connect() as connection:
        row = dict(connection.execute(text("SELECT * FROM gateway_keys")).mappings().one())
    assert secret.startswith(f"ck-{new.record.id}-")
    assert not [value for value in row.values() if isinstance(value, str) and secret[16:] in value]
    assert secret not in repr(new)
    assert new.record.hash not in repr(new)
    assert store.gateway_keys.in_use() == [new.record]


def test_no_two_keys_are_alike(store: Store) -> None:
    made = [store.gateway_keys.create(f"app-{number}").secret.get_secret_value() for number in range(20)]

    assert len(set(made)) == 20
    assert {len(secret) for secret in made} == {len("ck-") + 12 + 1 + 43}


def test_a_revoked_key_is_kept_as_a_record_of_itself_and_its_time_never_moves(store: Store) -> None:
    old, new = store.gateway_keys.create("web-app").record, store.gateway_keys.create("ops", may_override=True).record

    revoked = store.gateway_keys.revoke("web-app", now=lambda: NOON)
    again = store.gateway_keys.revoke(old.id)

    assert revoked.revoked_at == again.revoked_at == NOON
    assert store.gateway_keys.in_use() == [new]
    assert [key.id for key in store.gateway_keys.all()] == [old.id, new.id]


def test_what_the_keys_are_is_told_apart_by_two_counts(store: Store) -> None:
    seen = [store.gateway_keys.state()]
    store.gateway_keys.create("one")
    seen.append(store.gateway_keys.state())
    store.gateway_keys.revoke("one")
    seen.append(store.gateway_keys.state())

    assert seen == [KeysState(0, 0), KeysState(1, 0), KeysState(1, 1)]


def test_a_name_is_used_once_at_a_time(store: Store) -> None:
    store.gateway_keys.create("web-app")
    with pytest.raises(ConfigurationError, match="is named 'web-app' already"):
        store.gateway_keys.create("web-app")
    store.gateway_keys.revoke("web-app")

    second = store.gateway_keys.create("web-app").record

    assert store.gateway_keys.revoke("web-app").id == second.id


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "at least 1 character"),
        ({"name": "a\nb"}, "one printable line"),
        ({"name": " a"}, "one printable line"),
        ({"name": "a", "tasks": []}, "a key for no task opens nothing"),
        ({"name": "a", "tasks": ["../up"]}, "task name '../up' must be"),
        ({"name": "a", "requests_per_minute": 0}, "greater than or equal to 1"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_and_nothing_is_written(store: Store, fields: dict, words: str) -> None:
    with pytest.raises((ValidationError, ConfigurationError), match=words):
        store.gateway_keys.create(**fields)

    assert store.gateway_keys.all() == []


def test_revoking_what_is_not_there_says_where_to_look(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="no key has the name or id 'nobody'; `continuum keys list`"):
        store.gateway_keys.revoke("nobody")


def test_a_key_is_made_while_others_write(home: Path, empty_database: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_database, home / "continuum.db")
    store = open_store(f"sqlite:///{home / 'continuum.db'}")
    tried: list[str] = []

    def write(connection: object, cursor: object, statement: str, *_: object) -> None:
        if "FROM gateway_keys" in statement and not tried:
            tried.append(statement)
            # Whoever reads and then writes must have taken the right to write before; this one then comes too late.
            with closing(sqlite3.connect(home / "continuum.db", timeout=0)) as other, suppress(sqlite3.OperationalError), other:
                other.execute("INSERT INTO segments (name, offset, updated_at) VALUES ('s', 0, '2026-01-01')")

    event.listen(store.engine, "after_cursor_execute", write)
    store.gateway_keys.create("web-app")

    assert tried
    assert [key.name for key in store.gateway_keys.all()] == ["web-app"]
    store.close()
