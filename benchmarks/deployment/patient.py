"""A gateway as its command starts it, but with other limits of time: a benchmark cannot wait for minutes."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.deployment.servers import Server, free_port, running
from continuum.deployment.gateway.door import Limits
from continuum.deployment.gateway.upstream import Timeouts

if TYPE_CHECKING:
    from continuum.store.database import Store

PROGRAM = "from benchmarks.deployment.patient import main; main()"


@contextmanager
def patient_gateway(
    folder: Path,
    upstream: str,
    environment: dict[str, str],
    *,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    name: str = "gateway",
    key: str | None = None,
) -> Iterator[Server]:
    """A gateway of one worker on the home and the store of this environment."""
    port = free_port()
    given = {"port": port, "timeouts": asdict(timeouts or Timeouts()), "limits": asdict(limits or Limits())}
    root = f"http://127.0.0.1:{port}"
    variables = {"CONTINUUM_UPSTREAM_BASE_URL": upstream, "CONTINUUM_REDACT": "off"} | environment
    command = [sys.executable, "-c", PROGRAM, json.dumps(given)]
    with running(name, command, f"{root}/v1", probe=f"{root}/healthz", folder=folder, environment=variables, key=key) as server:
        yield server


def main() -> None:
    """The program of its process."""
    from continuum.deployment.serving import run_server

    given = json.loads(sys.argv[1])
    run_server(_serve(given["port"], Timeouts(**given["timeouts"]), Limits(**given["limits"])))


async def _serve(port: int, timeouts: Timeouts, limits: Limits) -> None:
    from continuum.deployment.gateway.following import WhenThere
    from continuum.deployment.gateway.gateway import Gateway
    from continuum.deployment.serving import stop_signal

    stop, store = stop_signal(), cast("Store", WhenThere())
    async with Gateway(store, default_task="support", port=port, timeouts=timeouts, limits=limits):
        await stop.wait()
