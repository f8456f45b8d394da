"""The store: where the application and the pipelines meet, and the only place where they do.

`default_store()` opens the one that the environment names; `continuum.store.database.open_store(url)` opens any other.
"""

import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from continuum.config import load_settings
from continuum.errors import StoreError

if TYPE_CHECKING:
    from continuum.store.database import Store

MOST_OPEN = 8
SQLITE = "sqlite:///"

_open: dict[str, tuple["Store", tuple[int, int] | None]] = {}
"""By URL, with the device and the inode of the file of one on SQLite."""
_opening = threading.Lock()


def default_store() -> "Store":
    """The store of this process's settings; opened, and brought to the newest schema, once for each URL.

    Raises:
        StoreError: it cannot be opened, or its file was moved away.
    """
    return store_at(load_settings().database_url.get_secret_value())


def store_at(url: str) -> "Store":
    """The store at a URL, opened once.

    A database on SQLite goes on in the file that was opened, wherever that was moved to, and nobody would look for it there. So
    it is not used while its file is away. Another file in its place is not opened either: what SQLite keeps beside the first one
    (`-wal`) would be written into the second.

    Raises:
        StoreError: it cannot be opened, or its file was moved away.
    """
    found = _open.get(url) or _opened(url)
    if found[1] is not None and _inode_of(url) != found[1]:
        raise StoreError(
            f"the store's file {_file_of(url)} was moved, deleted or replaced while it was in use; bring it back, and leave what "
            "lies beside it as it is, or stop all that use the store before another file takes its place"
        )
    return found[0]


def _opened(url: str) -> tuple["Store", tuple[int, int] | None]:
    from continuum.store.database import open_store  # SQLAlchemy starts here

    with _opening:
        if url not in _open:
            while len(_open) >= MOST_OPEN:
                # Whoever holds it goes on with it.
                del _open[next(iter(_open))]
            store = open_store(url)
            _open[url] = store, _inode_of(url)
        return _open[url]


@lru_cache(maxsize=64)
def _file_of(url: str) -> Path | None:
    """The file of a store on SQLite; None of any other, and of one in memory."""
    path = url.removeprefix(SQLITE).partition("?")[0]
    return None if not url.startswith(SQLITE) or path in ("", ":memory:") or path.startswith("file:") else Path(path)


def _inode_of(url: str) -> tuple[int, int] | None:
    file = _file_of(url)
    try:
        found = None if file is None else os.stat(file)
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def _begin_anew_in_child() -> None:
    # Whoever was opening a store at that moment did not come along, and would hold the lock for ever.
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
