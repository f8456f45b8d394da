"""What waits in the spool when something is forgotten: the dead's is drained, and the living are given a moment to drain theirs.

Nothing of it is lost or rewritten: what is forgotten is refused when it is drained, whoever drains it and whenever, and the file
of a segment goes with its last line. A process that captures is never disturbed.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from continuum.spool.draining import collect
from continuum.spool.segments import SUFFIX

if TYPE_CHECKING:
    from continuum.store.database import Store

PATIENCE_S = 5.0
"""How long the living are waited for; they drain within a second, unless they cannot reach the store."""
LOOK_EVERY_S = 0.05


def drained(store: "Store", folder: Path, *, patience_s: float = PATIENCE_S) -> dict[str, int]:
    """Drain what the dead left, and wait for the living.

    Args:
        store: where it goes, or is refused.
        folder: of the spool.
        patience_s: seconds that the living are waited for.

    Returns:
        Records that dead processes had left, and segments of living ones that are not drained yet.
    """
    found = collect(store, folder)
    deadline = time.monotonic() + patience_s
    sizes = {path: path.stat().st_size for path in folder.glob(f"*{SUFFIX}")} if folder.is_dir() else {}
    while sizes:
        sizes = {path: size for path, size in sizes.items() if _waits(store, path, size)}
        if time.monotonic() >= deadline:
            break
        if sizes:
            time.sleep(LOOK_EVERY_S)
    return {"records of dead processes": found.stored + found.failed, "segments of living processes that wait": len(sizes)}


def _waits(store: "Store", path: Path, size: int) -> bool:
    return size > 0 and path.exists() and store.segments.offset(path.name.removesuffix(SUFFIX)) < size
