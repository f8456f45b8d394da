"""The store, as a resource."""

from functools import lru_cache

import dagster as dg
from pydantic import Field

from continuum.store import default_store
from continuum.store.database import Store, open_store


class StoreResource(dg.ConfigurableResource):
    """Where the application and the pipelines meet."""

    database_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL; that of the environment (CONTINUUM_DATABASE_URL, CONTINUUM_HOME) when left out. "
        "Give one with a password as an EnvVar: the UI shows what is written here.",
    )

    def build(self) -> Store:
        """The store, opened once in a process."""
        return opened_once(self.database_url) if self.database_url else default_store()


opened_once = lru_cache(maxsize=8)(open_store)
