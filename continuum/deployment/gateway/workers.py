"""Several workers of one gateway: processes that share a port, under a parent that starts again what dies.

The system spreads connections over the workers. Each has its own segment of the spool, so that what one captured outlives it,
and each reads the routes by itself. A worker ends when its parent does; a parent that is told to stop has all of them finish
what they are answering.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

from continuum.config import load_settings
from continuum.deployment.gateway.alone import Announcement, announcement
from continuum.deployment.gateway.following import WhenThere
from continuum.deployment.gateway.gateway import STOP_S, Gateway
from continuum.deployment.serving import base_url_of, end_within, run_server, settle, stop_signal
from continuum.errors import ConfigurationError, ContinuumError

if TYPE_CHECKING:
    from continuum.store.database import Store

READY = b"ready"
FAILED = b"failed "
READY_S = 60.0
"""How long a worker may take to begin."""
FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 5.0
"""Between the end of a worker and the start of the next in its place; it doubles while they die young."""
YOUNG_S = 10.0
END_S = STOP_S
"""How long a worker may take to end."""
PROGRAM = "from continuum.deployment.gateway.workers import work; work()"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What all workers of a gateway have in common."""

    host: str
    port: int
    workers: int
    default_task: str | None = None
    keys: bool | None = None
    override: bool = False


async def serve_workers(plan: Plan, on_ready: Callable[[Announcement], None]) -> None:
    """Run the workers of a gateway until SIGTERM or Ctrl-C.

    Args:
        plan: what they have in common.
        on_ready: told where they serve, once all of them do.

    Raises:
        ConfigurationError: the address cannot be listened on, or a worker could not begin and says why.
    """
    stop = stop_signal()
    settings = load_settings()
    with reserved(plan.host, plan.port) as port:
        plan = Plan(**{**asdict(plan), "port": port})
        shutil.rmtree(settings.home / "gateway" / f"counts-{port}", ignore_errors=True)
        (settings.home / "gateway" / f"limits-{port}").unlink(missing_ok=True)
        places = [Place(plan, number) for number in range(plan.workers)]
        try:
            begun = await asyncio.gather(*(place.begin() for place in places), return_exceptions=True)
            for failure in begun:
                if failure is not None:
                    raise failure
            base_url = base_url_of(plan.host, port)
            on_ready(announcement(base_url, settings.upstream_base_url, plan.default_task, places[0].tasks, plan.workers))
            keeping = [asyncio.create_task(place.keep()) for place in places]
            await stop.wait()
            for task in keeping:
                task.cancel()
        finally:
            await asyncio.gather(*(place.end() for place in places))


@contextlib.contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Hold a port for the workers to share; yields its number.

    Raises:
        ConfigurationError: somebody else listens there, or the system does not let ports be shared.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigurationError("this system does not let processes share a port; start the gateway with one worker")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            # A shared port could be shared with another gateway as well, unnoticed: so it must be free of any at first.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            port = alone.getsockname()[1]
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
        yield port
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from error
    finally:
        held.close()


class Place:
    """The place of one worker, and whoever has it."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.tasks: list[str] = []
        """The tasks that the store knew when the worker began."""
        self._plan = plan
        self._number = number
        self._process: asyncio.subprocess.Process | None = None

    async def begin(self, *, goes_on: bool = False) -> None:
        """Start a worker, and wait until it serves.

        Raises:
            ConfigurationError: it could not begin; in its own words.
        """
        given = json.dumps({**asdict(self._plan), "number": self._number, "goes_on": goes_on})
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, given), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        said = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                said = await process.stdout.readline() if process.stdout is not None else b""
        if said.startswith(READY):
            self.tasks = json.loads(said[len(READY) :])
            return
        words = said[len(FAILED) :].decode().strip() if said.startswith(FAILED) else f"it ended or was silent for {READY_S:g} s"
        raise ConfigurationError(f"worker {self._number} of the gateway could not begin: {words}")

    async def keep(self) -> None:
        """Have somebody in the place for ever."""
        pause_s = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            if self._process is not None:
                status = await self._process.wait()
                logger.warning("worker %d of the gateway ended with %d; another takes its place", self._number, status)
            pause_s = FIRST_PAUSE_S if time.monotonic() - began > YOUNG_S else min(2 * pause_s, LAST_PAUSE_S)
            await asyncio.sleep(pause_s)
            try:
                await self.begin(goes_on=True)
            except (ConfigurationError, OSError) as error:
                logger.error("%s", error)
                self._kill()

    async def end(self) -> None:
        """Have the worker finish what it is answering, and end."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            logger.error("worker %d of the gateway did not end within %g s and is killed", self._number, END_S)
            self._kill()
            await process.wait()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


def work() -> None:
    """What a worker does: the program of its process, which its parent starts."""
    given = json.loads(sys.argv[1])
    number, goes_on = given.pop("number"), given.pop("goes_on")
    sys.exit(run_server(_work(Plan(**given), number, goes_on=goes_on)))


async def _work(plan: Plan, number: int, *, goes_on: bool) -> int:
    stop = stop_signal()
    store = cast("Store", WhenThere())
    gateway = Gateway(
        store,
        default_task=plan.default_task,
        host=plan.host,
        port=plan.port,
        keys=plan.keys,
        override=plan.override,
        worker=(number, plan.workers),
        goes_on=goes_on,
        apart=True,
    )
    try:
        await gateway.__aenter__()
    except ContinuumError as error:
        _say(FAILED + str(error).replace("\n", " ").encode())
        return 1
    settle()
    _say(READY + json.dumps(gateway.tasks).encode())
    orphaned = asyncio.create_task(_until_orphaned(stop))
    await stop.wait()
    orphaned.cancel()
    end_within(STOP_S)
    await gateway.__aexit__()
    return 0


def _say(line: bytes) -> None:
    os.write(sys.stdout.fileno(), line + b"\n")


async def _until_orphaned(stop: asyncio.Event) -> None:
    """Stop when the parent is gone: its end of the pipe closes, however it died."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass
    stop.set()
