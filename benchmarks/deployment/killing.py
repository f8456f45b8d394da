"""kill -9 of the controller, of a gateway's worker and of the store, at random moments of ramps that go on and on.

All are real: `continuum.deployment.driving.drive` in a process of its own with a watch that says yes (or, of every fifth
candidate at half of the traffic, takes it back), two workers of a gateway, a Postgres. What watches over a ramp is not what
leads it: one thread reads the rows all the time, and every answer is held against the share that the rows gave at its time.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import uvloop
from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.deployment.asking import Answered, Asking, missing, still_missing
from benchmarks.deployment.leading import BAD, SCHEDULE, Controller
from benchmarks.deployment.models import provider, tuned_models
from benchmarks.deployment.postgres import Postgres, postgres
from benchmarks.deployment.servers import Server, gateway
from benchmarks.deployment.trials import TASK, Witness, add_checkpoint, surroundings
from continuum.deployment.routing import position
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store, open_store

POINTS, POINTS_QUICK = 50, 3
PER_SECOND = 60.0
WORKERS = 2
INTERVAL, INTERVAL_QUICK = timedelta(seconds=1), timedelta(seconds=0.3)
AGREE_S = 1.0
"""How long after a change an answer may still be by the split before."""
PATIENCE_S = 60.0
VICTIMS = ("controller", "worker", "store")
LISTENS = "0A"


@dataclass(frozen=True)
class Point:
    """One kill, and what became of the ramp it came in."""

    victim: str
    after_s: float
    """Seconds into the ramp."""
    deployment: str
    state: DeploymentState
    """How it ended."""
    bad: bool
    events: tuple[DeploymentEvent, ...]
    down_s: float
    """How long the one that was killed was away."""
    at: float
    """When, in seconds since 1970."""

    def wrong(self, interval: timedelta) -> list[str]:
        """What the ramp should not have done."""
        found = []
        ends = DeploymentState.ROLLED_BACK if self.bad else DeploymentState.LIVE
        # The champion of one ramp has been superseded, or taken its place again, by the time another is looked at.
        if self.state is not ends:
            found.append(f"it ended {self.state}, and should be {ends}")
        steps = [event for event in self.events if event.to_traffic > event.from_traffic]
        taken = tuple(event.to_traffic for event in steps)
        if taken != (SCHEDULE[:3] if self.bad else SCHEDULE):
            found.append(f"its steps were {taken}")
        if any(later.at - earlier.at < interval for earlier, later in pairwise(steps)):
            found.append("a step came before its time")
        if [event.sequence for event in self.events] != list(range(len(self.events))):
            found.append("events are missing")
        return found


@dataclass
class Ramps:
    """What came of all of them."""

    points: list[Point] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    most_champions: int = 0
    looks: int = 0
    lost: int = 0

    @property
    def outages(self) -> list[tuple[float, float]]:
        """When the store was away: the gateway cannot know of a change then."""
        return [(point.at, point.at + point.down_s) for point in self.points if point.victim == "store"]

    def beyond(self) -> list[Answered]:
        """Answers of a candidate to somebody who was not in its share."""
        events = {point.deployment: point.events for point in self.points}
        return [
            one
            for one in self.answers
            if one.ok
            and one.variant == "canary"
            and position(str(one.deployment), one.unit) >= self._allowed(events.get(str(one.deployment), ()), one)
        ]

    def _allowed(self, events: Sequence[DeploymentEvent], one: Answered) -> float:
        since = one.sent - AGREE_S
        since = min([since, *(begun - AGREE_S for begun, ended in self.outages if begun <= one.came and ended >= since)])
        shares = [event.to_traffic for event in events if event.at.timestamp() <= one.came]
        before = [event.to_traffic for event in events if event.at.timestamp() <= since]
        return max([*before[-1:], *shares[len(before) :]], default=0.0)

    def failed(self, victim: str) -> list[Answered]:
        """Requests that were not answered whole, by what was killed last before they ended."""
        found = []
        for one in self.answers:
            if not one.ok:
                last = [point for point in self.points if point.at <= one.came]
                if last and last[-1].victim == victim:
                    found.append(one)
        return found


def measure(setting: Setting) -> Result:
    """One ramp after the other, a kill in each."""
    count, interval = (POINTS_QUICK, INTERVAL_QUICK) if setting.quick else (POINTS, INTERVAL)
    home = setting.folder / "home"
    home.mkdir()
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        environment = {"CONTINUUM_HOME": str(home), "CONTINUUM_DATABASE_URL": database.url}
        stack.enter_context(surroundings(environment))
        production = stack.enter_context(provider(setting.folder, "production"))
        tuned = stack.enter_context(tuned_models(setting.folder, environment))
        witness = Witness(database.url)
        witness.start()
        store = open_store(database.url)
        stack.callback(store.close)
        with gateway(setting.folder, production.base_url, workers=WORKERS, environment=environment) as server:
            asking = Asking(server, PER_SECOND, setting.seed)
            ramping = Ramping(setting, store, database, server, tuned, interval, environment)
            ramps = uvloop.run(_under_load(asking, ramping, count))
        witness.end()
        ramps.answers, ramps.most_champions, ramps.looks = asking.answers, witness.most_champions, witness.looks
        lost = missing(store, asking.answers)
        if lost:
            # What a worker that was killed had written waits for whoever starts next.
            with gateway(setting.folder, production.base_url, key=False, environment=environment):
                ramps.lost = len(still_missing(store, lost))
    return Result(entries_of(ramps, interval), shown(ramps), notes_of(ramps, interval))


async def _under_load(asking: Asking, ramping: "Ramping", count: int) -> Ramps:
    stop = asyncio.Event()
    load = asyncio.create_task(asking.run(stop))
    try:
        return await asyncio.to_thread(ramping.all, count)
    finally:
        stop.set()
        await load


class Ramping:
    """Ramps with a kill in each, one after the other."""

    def __init__(
        self,
        setting: Setting,
        store: Store,
        database: Postgres,
        server: Server,
        tuned: Server,
        interval: timedelta,
        environment: dict[str, str],
    ) -> None:
        self._setting, self._store, self._database = setting, store, database
        self._server, self._tuned = server, tuned
        self._interval, self._environment = interval, environment
        self._rng = random.Random(setting.seed)

    def all(self, count: int) -> Ramps:
        """A ramp for each kill."""
        ramps = Ramps()
        with ExitStack() as stack:
            self._controller = stack.enter_context(Controller(self._setting.folder, self._environment))
            for number in range(count):
                victim = VICTIMS[number % len(VICTIMS)]
                ramps.points.append(self._one(number + 1, victim))
                point = ramps.points[-1]
                self._setting.say(f"killing: {number + 1} of {count}, {victim} at {point.after_s:.1f} s: {point.state}")
        return ramps

    def _one(self, version: int, victim: str) -> Point:
        bad = version % BAD == 0
        record = self._deployed(version)
        after_s = self._rng.uniform(0.0, (len(SCHEDULE) - 1) * self._interval.total_seconds() + 0.5)
        time.sleep(after_s)
        at = time.time()
        down_s = self._kill(victim)
        state, events = self._ended(record.id)
        return Point(victim, after_s, record.id, state, bad, events, down_s, at)

    def _deployed(self, version: int) -> DeploymentRecord:
        """A row as a deployer leaves it: all that follows is the controller's."""
        checkpoint = add_checkpoint(self._store, self._setting.folder, version)
        champion = self._store.deployments.champion(TASK)
        record = DeploymentRecord(
            task=TASK,
            checkpoint_id=checkpoint.id,
            model=checkpoint.name,
            stable_model="production" if champion is None else champion.model,
            backend_url=self._tuned.base_url,
            state=DeploymentState.PENDING,
            ramp_schedule=SCHEDULE,
            ramp_interval_hours=self._interval / timedelta(hours=1),
        )
        self._store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="benchmark", action="deploy"))
        return record

    def _kill(self, victim: str) -> float:
        """Kill it, and have it come back as it does in production; how long it was away, in seconds."""
        begun = time.monotonic()
        away_s = self._rng.uniform(0.0, 0.5)
        if victim == "controller":
            self._controller.kill()
            time.sleep(away_s)
            self._controller.start()
        elif victim == "store":
            self._database.kill()
            time.sleep(away_s)
            self._database.start()
        else:
            os.kill(self._rng.choice(workers_of(self._server)), signal.SIGKILL)
        return time.monotonic() - begun

    def _ended(self, deployment: str) -> tuple[DeploymentState, tuple[DeploymentEvent, ...]]:
        until = time.monotonic() + PATIENCE_S
        state = DeploymentState.PENDING
        while time.monotonic() < until:
            time.sleep(0.05)
            with suppress(Exception):  # the store may have gone away under the question
                row = self._store.deployments.get(deployment)
                state = state if row is None else row.state
                if state in (DeploymentState.LIVE, DeploymentState.ROLLED_BACK, DeploymentState.ABORTED):
                    break
        return state, tuple(self._store.deployments.events(deployment))


def workers_of(server: Server) -> list[int]:
    """The processes of a gateway's workers, once all of them listen.

    Raises:
        RuntimeError: that does not happen.
    """
    until = time.monotonic() + PATIENCE_S
    port = int(server.base_url.rpartition(":")[2].removesuffix("/v1"))
    while time.monotonic() < until:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        if len(children) >= WORKERS and listeners(port) >= WORKERS:
            return [int(pid) for pid in children]
        time.sleep(0.05)
    raise RuntimeError(f"the gateway has not {WORKERS} workers again")


def listeners(port: int) -> int:
    """How many sockets of this machine listen at a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == LISTENS for row in rows)


def entries_of(ramps: Ramps, interval: timedelta) -> list[Entry]:
    """The claims."""
    killed = f"kill -9 at {len(ramps.points)} points of ramps"
    wrong = [words for point in ramps.points for words in point.wrong(interval)]
    other = len(ramps.failed("controller")) + len(ramps.failed("store"))
    return [
        Entry.of_value(f"{killed}: live rows of the task at once, at most", float(ramps.most_champions), "<=", 1),
        Entry.of_value(f"{killed}: ramps that took a wrong step or did not end where they should", float(len(wrong)), "==", 0),
        Entry.of_value(f"{killed}: answers by a candidate beyond the share in its row", float(len(ramps.beyond())), "==", 0),
        Entry.of_value(f"{killed}: answers that the store does not hold at the end", float(ramps.lost), "==", 0),
        Entry.of_value(f"{killed}: requests that failed at a kill of the controller or the store", float(other), "==", 0),
    ]


def shown(ramps: Ramps) -> Table:
    """By what was killed."""
    made = table(
        f"kill -9 at {len(ramps.points)} points", "killed", "times", "went live", "taken back", "longest away, s", "failed"
    )
    for victim in VICTIMS:
        own = [point for point in ramps.points if point.victim == victim]
        states = Counter(point.state for point in own)
        away = max((point.down_s for point in own), default=0.0)
        counts = (len(own), states[DeploymentState.LIVE], states[DeploymentState.ROLLED_BACK])
        made.add_row(victim, *map(str, counts), f"{away:.1f}", str(len(ramps.failed(victim))))
    return made


def notes_of(ramps: Ramps, interval: timedelta) -> list[str]:
    """What else is to be known."""
    canary = [one for one in ramps.answers if one.ok and one.variant == "canary"]
    wrong = [f"{point.victim} at {point.after_s:.2f} s: {words}" for point in ramps.points for words in point.wrong(interval)]
    failures = Counter(one.failure[:80] or f"HTTP {one.status}" for one in ramps.answers if not one.ok)
    return [
        f"{len(ramps.answers):,} requests, {len(canary):,} answered by candidates; the rows were read {ramps.looks:,} times",
        "a worker that is killed takes the requests that it is answering with it",
        *wrong[:5],
        *(f"failed: {count} x {words}" for words, count in failures.most_common(5)),
    ]
