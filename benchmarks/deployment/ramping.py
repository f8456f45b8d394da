"""Weight changes, adapter swaps and rollbacks while people ask: what fails, what breaks off, what is lost, how soon all agree.

Two workers of a real gateway, Continuum's own server of tuned models in a process of its own, and a provider behind both. The
changes are those that people and controllers make, through the deployments' rows.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import uvloop
from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.deployment.asking import Answered, Asking, missing
from benchmarks.deployment.models import provider, tuned_models
from benchmarks.deployment.servers import Server, gateway
from benchmarks.deployment.trials import TASK, Agreement, Witness, add_checkpoint, agreement, surroundings
from continuum.deployment.backends.local import LocalBackend
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
from continuum.store.database import Store, open_store

PER_SECOND = 200.0
SECONDS, SECONDS_QUICK = 120.0, 6.0
WORKERS = 2
AGREE_S = 1.0
SCHEDULE = (0.05, 0.25, 0.5, 1.0)


@dataclass
class Held:
    """What came of the load."""

    answers: list[Answered]
    agreed: Agreement
    lost: int
    stored: int
    done: list[str] = field(default_factory=list)
    """The changes that were made, in their order."""

    @property
    def failed(self) -> list[Answered]:
        """Requests that did not stream and were not answered whole, and streams that did not begin."""
        return [one for one in self.answers if not one.ok and not (one.streamed and one.status == 200)]

    @property
    def dropped(self) -> list[Answered]:
        """Streams that began and did not come to their end."""
        return [one for one in self.answers if not one.ok and one.streamed and one.status == 200]

    @property
    def rate(self) -> float:
        """Requests a second, as they were sent."""
        sent = [one.sent for one in self.answers]
        taken = max(sent, default=0.0) - min(sent, default=0.0)
        return (len(sent) - 1) / taken if taken else 0.0


def measure(setting: Setting) -> Result:
    """Changes at even distances under a steady load."""
    seconds = SECONDS_QUICK if setting.quick else SECONDS
    home = setting.folder / "home"
    home.mkdir()
    url = f"sqlite:///{home / 'continuum.db'}"
    environment = {"CONTINUUM_HOME": str(home), "CONTINUUM_DATABASE_URL": url}
    store = open_store(url)
    with ExitStack() as stack:
        stack.enter_context(surroundings(environment))
        production = stack.enter_context(provider(setting.folder, "production"))
        tuned = stack.enter_context(tuned_models(setting.folder, environment))
        witness = Witness(url)
        witness.start()
        stack.callback(witness.end)
        with gateway(setting.folder, production.base_url, workers=WORKERS) as server:
            asking = Asking(server, PER_SECOND, setting.seed)
            changes = Changes(store, setting, tuned)
            done = uvloop.run(loaded(asking, changes, seconds, setting.say))
        # By now all that was served is stored, or waits for the next start.
        lost = missing(store, asking.answers)
        held = Held(asking.answers, agreement(witness.splits, asking.answers), len(lost), store.interactions.count(TASK), done)
    store.close()
    return Result(entries_of(held), shown(held), notes_of(held))


async def loaded(asking: Asking, changes: "Changes", seconds: float, say: Callable[[str], None]) -> list[str]:
    """Ask, make one change after the other, and go on asking until the time is over."""
    stop = asyncio.Event()
    load = asyncio.create_task(asking.run(stop))
    begun, done = time.monotonic(), []
    steps = changes.all()
    try:
        for number, (words, change) in enumerate(steps):
            due = begun + seconds * (number + 0.5) / len(steps)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            say(f"ramping: {words}; {len(asking.answers)} answers")
            await change()
            done.append(words)
        await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))
    finally:
        stop.set()
        await load
    return done


class Changes:
    """What is done to the deployments under load."""

    def __init__(self, store: Store, setting: Setting, tuned: Server) -> None:
        self._store, self._folder = store, setting.folder
        self._backend_url = tuned.base_url
        self._last: Deployment | None = None

    def all(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """A first champion, a second that takes its place and is taken back, a trial that is given up, and a swap by hand."""
        first = [("v1 at 5%", lambda: self._deploy(1)), *((f"v1 at {share:.0%}", self._promote) for share in SCHEDULE[1:])]
        second = [("v2 at 5%", lambda: self._deploy(2)), *((f"v2 at {share:.0%}", self._promote) for share in SCHEDULE[1:])]
        third = [("v3 at 5%", lambda: self._deploy(3)), ("v3 at 25%", self._promote), ("v3 aborted", self._abort)]
        return [*first, *second, ("v2 rolled back", self._roll_back), *third, ("v1 unloaded and loaded", self._swap)]

    async def _deploy(self, version: int) -> None:
        checkpoint = add_checkpoint(self._store, self._folder, version)
        deployer = ModelDeployer(store=self._store, backend_url=self._backend_url)
        self._last = await deployer.deploy(checkpoint, ramp_schedule=SCHEDULE, unguarded=True, actor="benchmark")

    async def _promote(self) -> None:
        await self._there().promote(reason="the benchmark's schedule", actor="benchmark")

    async def _roll_back(self) -> None:
        await self._there().rollback(reason="the benchmark's schedule", actor="benchmark")

    async def _abort(self) -> None:
        await self._there().abort(reason="the benchmark's schedule", actor="benchmark")

    async def _swap(self) -> None:
        """Take the champion's adapter off the server under load and put it back: the server opens it again for who asks."""
        from continuum.config import load_settings

        backend = LocalBackend(self._backend_url, load_settings())
        await backend.unload(f"{TASK}-v1")
        checkpoint = self._store.checkpoints.get(f"{TASK}-v1")
        if checkpoint is not None:
            await backend.warm(checkpoint)

    def _there(self) -> Deployment:
        if self._last is None:
            raise RuntimeError("nothing was deployed yet")
        return self._last


def entries_of(held: Held) -> list[Entry]:
    """The claims."""
    under = f"{WORKERS} workers, weight changes, adapter swaps and rollback under load"
    late = max(held.agreed.late_s, default=None)
    return [
        Entry.of_value(f"requests a second sent ({under})", held.rate, ">=", 0.95 * PER_SECOND),
        Entry.of_value(f"failed requests ({under})", float(len(held.failed)), "==", 0),
        Entry.of_value(f"dropped streams ({under})", float(len(held.dropped)), "==", 0),
        Entry.of_value(f"answers that the store does not hold ({under})", float(held.lost), "==", 0),
        Entry.of_value("seconds after a change until no request gets the old split, the worst change", late, "<=", AGREE_S),
    ]


def shown(held: Held) -> Table:
    """Who answered, and how soon."""
    made = table(f"{len(held.answers):,} requests, {held.rate:.0f} a second", "", "requests", "streams", "p50, ms", "max, ms")
    for model in sorted({one.model for one in held.answers}):
        own = [one for one in held.answers if one.model == model]
        times = [1e3 * one.seconds for one in own]
        streams = sum(one.streamed for one in own)
        made.add_row(model or "nobody", f"{len(own):,}", f"{streams:,}", f"{statistics.median(times):.0f}", f"{max(times):.0f}")
    return made


def notes_of(held: Held) -> list[str]:
    """What else is to be known."""
    late = ", ".join(f"{seconds:.2f}" for seconds in held.agreed.late_s)
    notes = [
        f"changes: {', '.join(held.done)}",
        f"seconds until all agreed, by change of the split: {late}",
        f"{held.stored:,} interactions stored; {len(held.agreed.unexplained)} answers by a model that stepped in",
    ]
    return notes + [f"failed: {one.status} {one.failure[:160]}" for one in (*held.failed, *held.dropped)[:5]]
