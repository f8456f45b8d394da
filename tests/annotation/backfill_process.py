"""A process that works on a backfill and dies by its own hand after so many judgements.

Run as `python -m tests.annotation.backfill_process DATABASE_URL BACKFILL STEPS`; 0 steps let it live.
"""

import asyncio
import os
import signal
import sys

from continuum.annotation.backfill_work import work
from continuum.store.database import open_store


def main(database_url: str, backfill: str, steps: str) -> None:
    left = int(steps)

    def step(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(work(open_store(database_url), backfill, holder=f"process {os.getpid()}", on_progress=step))


if __name__ == "__main__":
    main(*sys.argv[1:])
