"""The store: where the application and the pipelines meet, and the only place where they do.

`default_store()` opens the one that the environment names; `continuum.store.database.open_store(url)` opens any other.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from continuum.config import load_settings

if TYPE_CHECKING:
    from continuum.store.database import Store


def default_store() -> "Store":
    """The store of this process's settings; opened, and brought to the newest schema, once for each URL.

    Raises:
        StoreError: it cannot be opened.
    """
    return _opened(load_settings().database_url.get_secret_value())


@lru_cache(maxsize=8)
def _opened(url: str) -> "Store":
    from continuum.store.database import open_store  # SQLAlchemy starts here

    return open_store(url)
