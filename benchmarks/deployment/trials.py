"""Deployments to ramp, a witness of their rows, and whether answers were given by the split that held."""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.deployment.asking import Answered
from continuum.deployment.routing import Route, RouteTable
from continuum.provenance.artifacts import write_manifest
from continuum.records import Checkpoint
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.store.database import open_store
from continuum.store.deployments import SERVING

if TYPE_CHECKING:
    from continuum.store.database import Store

TASK = "support"


@contextmanager
def surroundings(variables: Mapping[str, str]) -> Iterator[None]:
    """What leads deployments in this process reads these settings, and none of the user's."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def add_checkpoint(store: "Store", folder: Path, version: int) -> Checkpoint:
    """A checkpoint with a real file and its manifest."""
    own = folder / f"{TASK}-v{version}"
    own.mkdir()
    content = b"weights %d" % version
    header = b'{"weight":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(content), len(content))
    (own / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + content)
    checkpoint = Checkpoint(
        task=TASK, version=version, base_model="tiny", uri=str(own), dataset_id="d", manifest=write_manifest(own)
    )
    store.checkpoints.add(checkpoint)
    return checkpoint


@dataclass(frozen=True)
class Split:
    """How the task's traffic was split from a moment on."""

    since: float
    """Seconds since 1970: when the change was decided, which is just before it was written."""
    route: Route
    rows: tuple[DeploymentRecord, ...]


class Witness(threading.Thread):
    """Reads the rows all the time and keeps every split there was; what it cannot read, the store being down, it passes over."""

    def __init__(self, url: str, every_s: float = 0.02) -> None:
        super().__init__(daemon=True)
        self.splits: list[Split] = []
        self.looks = 0
        self._url, self._every_s = url, every_s
        self._over = threading.Event()

    def run(self) -> None:
        """Look until told that it is over."""
        store = open_store(self._url)
        serving: list[tuple[str, int]] = []
        versions: dict[str, int] = {}
        while not self._over.wait(self._every_s):
            with suppress(Exception):
                self.looks += 1
                # The cheap question first. Every change of what serves is one of these versions, or of which there are.
                if (now := store.deployments.versions()) == serving:
                    continue
                rows = store.deployments.of(TASK)
                serving = now
                changed = [row.updated_at.timestamp() for row in rows if versions.get(row.id) != row.version]
                versions = {row.id: row.version for row in rows}
                self._saw(max(changed, default=time.time()), rows)
        store.close()

    def _saw(self, at: float, rows: Sequence[DeploymentRecord]) -> None:
        serving = [row for row in rows if row.state in SERVING]
        self.splits.append(Split(at, RouteTable.of(serving).route(TASK), tuple(rows)))

    def end(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join(30)

    @property
    def most_champions(self) -> int:
        """The most live rows that were ever seen at once."""
        return max((sum(row.state is DeploymentState.LIVE for row in split.rows) for split in self.splits), default=0)


@dataclass(frozen=True)
class Agreement:
    """How answers and splits agree."""

    late_s: tuple[float, ...]
    """Of each change that moved somebody's requests: how long after it the last one was sent that the old split answered."""
    unexplained: tuple[Answered, ...]
    """Answered by a model that no split names for them: somebody stepped in."""


def agreement(splits: Sequence[Split], answers: Sequence[Answered]) -> Agreement:
    """Hold every answer against the splits."""
    changes = [later for number, later in enumerate(splits) if not number or _moves(splits[number - 1].route, later.route)]
    late: dict[int, float] = {}
    unexplained = []
    for one in answers:
        if not one.ok:
            continue
        # A request that is under way while the split changes may be answered by either.
        last = max((n for n, split in enumerate(changes) if split.since <= one.came), default=-1)
        now = max((n for n, split in enumerate(changes) if split.since <= one.sent), default=-1)
        by = next((n for n in range(last, -2, -1) if _expected(changes, n, one.unit) == (one.deployment, one.model)), None)
        if by is None:
            unexplained.append(one)
        elif by < now:
            late[by + 1] = max(late.get(by + 1, 0.0), one.sent - changes[by + 1].since)
    return Agreement(tuple(late.get(n, 0.0) for n in range(len(changes))), tuple(unexplained))


def _expected(changes: Sequence[Split], number: int, unit: str) -> tuple[str | None, str]:
    """The deployment that a split names to the one who asks, and the model that answers first."""
    choice = (Route() if number < 0 else changes[number].route).choose(unit)
    return choice.deployment_id, choice.arms[0].model


def _moves(before: Route, after: Route) -> bool:
    return (before.deployment_id, before.traffic, before.candidate, before.stable) != (
        after.deployment_id,
        after.traffic,
        after.candidate,
        after.stable,
    )
