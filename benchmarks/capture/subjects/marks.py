"""Lets another process see whether this one is in the midst of a transaction that writes."""

import mmap
from pathlib import Path
from typing import Any

IDLE, WRITING = 0, 1


def watch_transactions(file: str | None) -> None:
    """Keep the file's first byte at WRITING from the first row written to the commit; None does nothing."""
    if not file:
        return
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    with Path(file).open("r+b") as opened:
        # Shared memory outlives the process that wrote it, even one that was killed.
        state = mmap.mmap(opened.fileno(), 1)

    def written(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip()[:6].upper() in {"INSERT", "UPDATE"}:
            state[0] = WRITING

    def ended(_: Any) -> None:
        state[0] = IDLE

    event.listen(Engine, "before_cursor_execute", written)
    # Heard before the database commits: a kill in the midst of that counts as outside, which makes our count of hits too low.
    event.listen(Engine, "commit", ended)
    event.listen(Engine, "rollback", ended)
