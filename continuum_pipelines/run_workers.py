"""Which process executes a run, written down by that process, so that another can see whether it is still there.

A run names its worker in a tag as soon as its resources are made. Whoever shares the host looks at the process; whoever does not
goes by when the store last heard of it. Nobody is taken for dead who may live.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, Self

import dagster as dg

from continuum.store.outages import unless_away
from continuum.store.processes import began, ended, this_host
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

WORKER_TAG = ".dagster/continuum_run_worker"
"""Dagster's pages leave out tags that begin so."""
UNHEARD = timedelta(minutes=3)
"""A worker of another host that the store has not heard of for so long is gone; one that lives is heard of every 20 seconds."""

State = Literal["lives", "is gone", "may live"]


@dataclass(frozen=True)
class RunWorker:
    """The process that executes a run."""

    run: str
    """The run: a retry is given its parent's tags, and is not its parent."""
    host: str
    pid: int
    began: str
    """When the process began, as its system counts; empty where it does not say."""
    worker: str
    """Its id among the workers of the store."""
    store: str
    """Which store that is."""

    @classmethod
    def here(cls, run: str, store: "Store") -> Self:
        """This process.

        Raises:
            StoreError: the store cannot take it down among its workers.
        """
        pid = os.getpid()
        return cls(run, this_host(), pid, began(pid) or "", store.workers.here(), address_of(store))

    @classmethod
    def of(cls, run: dg.DagsterRun) -> Self | None:
        """The one that a run names; None where it names none of its own."""
        try:
            said = cls(**json.loads(run.tags[WORKER_TAG]))
        except (KeyError, ValueError, TypeError):
            return None
        return said if said.run == run.run_id else None

    def as_tag(self) -> dict[str, str]:
        """For the run."""
        return {WORKER_TAG: json.dumps(asdict(self))}

    @property
    def is_here(self) -> bool:
        """Whether it belongs to the host that this process runs on."""
        return self.host == this_host()

    def state(self, store: "Callable[[], Store]", *, now: Callable[[], datetime] = utc_now) -> State:
        """Whether the process is still there.

        Args:
            store: opens the store that this process knows; called only for a worker of another host.
            now: the clock.

        Raises:
            StoreError: the store cannot be opened or read.
        """
        if self.is_here:
            told = ended(self.pid, self.began)
            return "may live" if told is None else "is gone" if told else "lives"
        opened = store()
        if address_of(opened) != self.store:
            return "may live"
        heard = opened.workers.heard_of(self.worker)
        # A worker that is not there any more was buried; one that lives writes itself down again.
        return "lives" if heard is not None and now() - heard <= UNHEARD else "is gone"


def address_of(store: "Store") -> str:
    """Names a store without telling where it is."""
    return sha256(store.engine.url.render_as_string(hide_password=True).encode()).hexdigest()[:16]


def name_worker(instance: dg.DagsterInstance, run: dg.DagsterRun, store: "Callable[[], Store]") -> None:
    """Have a run name this process as its worker; left undone while the store is away, for the run itself will say so."""
    with unless_away(f"run {run.run_id} names no worker, and would be missed only when its time is over"):
        instance.add_run_tags(run.run_id, RunWorker.here(run.run_id, store()).as_tag())
