"""The store, as a resource."""

from functools import lru_cache
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.store.database import Store


class StoreResource(dg.ConfigurableResource):
    """Where the application and the pipelines meet."""

    database_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL; that of the environment (CONTINUUM_DATABASE_URL, CONTINUUM_HOME) when left out. "
        "Give one with a password as an EnvVar: the UI shows what is written here.",
    )

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Before the steps of a run: the run names this process as the one that executes it."""
        if context.run is not None and context.instance is not None:
            from continuum_pipelines.run_workers import name_worker

            name_worker(context.instance, context.run, self.build)

    def build(self) -> "Store":
        """The store, opened once in a process."""
        return opened_once(self.database_url) if self.database_url else default_store()


@lru_cache(maxsize=8)
def opened_once(url: str) -> "Store":
    """The store at an address, which this process opens once."""
    from continuum.store.database import open_store

    return open_store(url)
