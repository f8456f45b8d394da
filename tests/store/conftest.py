"""Every test of the store runs on SQLite and on a real Postgres."""

import pytest

from continuum.store.database import Store


@pytest.fixture
def store(either_store: Store) -> Store:
    """An empty store on each of the two databases."""
    return either_store
