"""Every test of the store runs on SQLite and on a real Postgres."""

from collections.abc import Iterator

import pytest

from continuum.store.database import Store, open_store


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store on each of the two databases."""
    if request.param == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('home') / 'continuum.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    opened = open_store(url)
    yield opened
    opened.close()
