"""The controller of the benchmarks: a process of its own that leads all there is, and that can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.deployment.servers import end
from continuum.serving_records import DeploymentRecord

if TYPE_CHECKING:
    from continuum.deployment.watch.watch import Look
    from continuum.policy import TaskPolicy
    from continuum.store.database import Store

SCHEDULE = (0.05, 0.25, 0.5, 1.0)
EVERY = timedelta(seconds=0.05)
BAD = 5
"""Every so many, a candidate is one that the watch takes back."""
PROGRAM = "from benchmarks.deployment.leading import lead_on; lead_on()"


class Controller:
    """The process that leads, and whoever comes after it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0

    def __enter__(self) -> "Controller":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start one; it is not waited for, as nobody waits for one in production."""
        self._number += 1
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        variables = kept | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"} | self._environment
        with (self._folder / f"controller-{self._number}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], env=variables, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            end(self._process, how=signal.SIGKILL)


def lead_on() -> None:
    """The program of the controller's process: what `continuum watch` does, with a watch of its own, until it is killed."""
    from continuum.deployment.driving import drive
    from continuum.deployment.gateway.following import WhenThere

    store = cast("Store", WhenThere())
    asyncio.run(drive(store, every=EVERY, on_round=lambda found: None, look=yes_until_half, channels=()))


async def yes_until_half(store: "Store", record: DeploymentRecord, policy: "TaskPolicy", *, now: datetime) -> "Look":
    """Every step may be taken, but for every fifth version: that one is taken back at half of the traffic."""
    from continuum.deployment.watch.watch import Look

    version = int(record.model.rpartition("-v")[2])
    bad = version % BAD == 0 and record.traffic >= SCHEDULE[2]
    return Look("rollback" if bad else "promote", "as the benchmark tells it", {})
