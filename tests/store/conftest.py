"""Every test of the store runs on SQLite and on a real Postgres."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from continuum.store.database import Store, open_store
from continuum.store.tables import metadata


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store on each of the two databases."""
    if request.param == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('home') / 'continuum.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    opened = open_store(url)
    if request.param == "postgres":
        with opened.engine.begin() as connection:
            tables = ", ".join(table.name for table in metadata.sorted_tables)
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
    yield opened
    opened.close()
