"""The store, a model or both away, silent or too slow: who answers then, how late, and what is lost.

A champion has half of the traffic and a candidate the other half; behind both stands the provider. The gateway's timeouts are
a second or two, where they are minutes in production: what is measured is that nothing lasts longer than they say.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import uvloop
from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.deployment.asking import Answered, Asking, missing, still_missing
from benchmarks.deployment.models import How, provider, told
from benchmarks.deployment.patient import patient_gateway
from benchmarks.deployment.postgres import Postgres, postgres
from benchmarks.deployment.proxying import written
from benchmarks.deployment.servers import Server
from benchmarks.deployment.trials import TASK, surroundings
from continuum.deployment.gateway.upstream import Timeouts
from continuum.deployment.handle import Deployment
from continuum.deployment.settling import Hooks
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store, open_store

PER_SECOND = 40.0
STORE_DOWN_S, STORE_DOWN_QUICK_S = 60.0, 3.0
PHASE_S, PHASE_QUICK_S = 10.0, 0.6
WAITS = Timeouts(connect_s=1.0, first_byte_s=2.0, idle_s=2.0, total_s=3.0)
WAITS_QUICK = Timeouts(connect_s=0.5, first_byte_s=0.8, idle_s=0.8, total_s=1.2)
SLACK_S = 0.5
"""A busy machine's part in how long an answer takes."""
SHARE = 0.5
READ_S = 0.7
NOWHERE = "http://127.0.0.1:9/v1"


@dataclass
class Phase:
    """One outage, and what came of the requests in it."""

    name: str
    waits: float
    """Upstream timeouts that one request may run into, one after the other."""
    whole: bool = True
    """Whether everybody is to be answered: a stream that stalls after its first byte is nobody's to go on with."""
    answers: list[Answered] = field(default_factory=list)

    @property
    def failed(self) -> list[Answered]:
        """Requests that were not answered whole."""
        return [one for one in self.answers if not one.ok]

    @property
    def wrong(self) -> int:
        """Requests that should have been answered and were not."""
        return len(self.failed) if self.whole else sum(not one.streamed for one in self.failed)

    def beyond(self, timeouts: Timeouts) -> float:
        """How much longer than its timeouts the longest request took, in seconds; negative where it took less."""
        longest = max((one.seconds for one in self.answers), default=0.0)
        return longest - self.waits * max(timeouts.first_byte_s, timeouts.idle_s) - timeouts.connect_s


def measure(setting: Setting) -> Result:
    """One outage after the other."""
    home = setting.folder / "home"
    home.mkdir()
    timeouts = WAITS_QUICK if setting.quick else WAITS
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        environment = {"CONTINUUM_HOME": str(home), "CONTINUUM_DATABASE_URL": database.url}
        stack.enter_context(surroundings(environment))
        store = open_store(database.url)
        stack.callback(store.close)
        store.tasks.ensure(TASK)
        key = store.gateway_keys.create("benchmark").secret.get_secret_value()
        production, champion, candidate = (
            stack.enter_context(provider(setting.folder, name)) for name in ("production", "champion", "candidate")
        )
        rows = Rows(store, champion.base_url, candidate.base_url)
        with patient_gateway(setting.folder, production.base_url, environment, timeouts=timeouts, key=key) as server:
            outages = Outages(setting, server, rows, (champion, candidate), timeouts)
            phases = outages.of_models()

            def late() -> Phase:
                """A gateway that starts while the store is down."""
                with patient_gateway(
                    setting.folder, production.base_url, environment, timeouts=timeouts, name="late", key=key
                ) as other:
                    return outages.asked("a gateway that starts without the store", 0, server=other, seconds=2.0)

            phases += outages.of_the_store(database, late) + outages.of_both()
            # What it holds itself; the gateway that has ended meanwhile left its own on disk.
            written(server)
        lost = missing(store, [one for phase in phases for one in phase.answers])
        with patient_gateway(setting.folder, production.base_url, environment, name="next", key=key):
            lost = still_missing(store, lost)
        given_back = rows.taken_back()
    return Result(entries_of(phases, timeouts, len(lost), setting), shown(phases), notes_of(phases, timeouts, given_back))


class Rows:
    """The deployments: one champion, and a new candidate for each outage, as a breaker takes it back."""

    def __init__(self, store: Store, champion: str, candidate: str) -> None:
        self._store, self._candidate = store, candidate
        self._number = 1
        self._ids: list[str] = []
        self._add(f"{TASK}-v1", champion, DeploymentState.LIVE, 1.0)

    def fresh(self, url: str | None = None) -> None:
        """A candidate of its own for the next outage; the one before goes."""
        if self._ids and (last := self._store.deployments.get(self._ids[-1])) is not None and last.traffic:
            deployment = Deployment(last, store=self._store, hooks=Hooks(drain_s=0.0))
            asyncio.run(deployment.abort(reason="the next outage", actor="benchmark"))
        self._number += 1
        self._ids.append(self._add(f"{TASK}-v{self._number}", url or self._candidate, DeploymentState.CANARY, SHARE))

    def taken_back(self) -> int:
        """How many candidates a gateway's breaker took back."""
        return sum(
            any(event.actor == "gateway" and event.action == "rollback" for event in self._store.deployments.events(one))
            for one in self._ids
        )

    def _add(self, model: str, url: str, state: DeploymentState, traffic: float) -> str:
        champion = f"{TASK}-v1" if state is DeploymentState.CANARY else "production"
        record = DeploymentRecord(
            task=TASK,
            checkpoint_id=model,
            model=model,
            stable_model=champion,
            backend_url=url,
            state=state,
            traffic=traffic,
            ramp_schedule=(SHARE, 1.0),
        )
        event = DeploymentEvent(deployment_id=record.id, actor="benchmark", action="deploy", to_traffic=traffic)
        self._store.deployments.add(record, event)
        return record.id


class Outages:
    """Brings each about, asks meanwhile, and ends it."""

    def __init__(self, setting: Setting, server: Server, rows: Rows, models: tuple[Server, Server], timeouts: Timeouts) -> None:
        self._setting, self._server, self._rows = setting, server, rows
        self._champion, self._candidate = models
        self._timeouts = timeouts
        self._seconds = PHASE_QUICK_S if setting.quick else PHASE_S
        self._begun = 0

    def asked(self, name: str, waits: float, *, whole: bool = True, server: Server | None = None, seconds: float = 0) -> Phase:
        """Ask for the length of an outage."""
        self._begun += 1
        self._setting.say(f"outages: {name}")
        asking = Asking(server or self._server, PER_SECOND, self._setting.seed + self._begun, patience_s=30.0)

        async def for_long() -> None:
            stop = asyncio.Event()
            load = asyncio.create_task(asking.run(stop))
            await asyncio.sleep(seconds or self._seconds)
            stop.set()
            await load

        uvloop.run(for_long())
        return Phase(name, waits, whole, asking.answers)

    def of_models(self) -> list[Phase]:
        """The candidate away, silent, slow, stalling."""
        slow_s = 3 * self._timeouts.first_byte_s
        found = [self._with("all is well", None, 0)]
        found.append(self._with("candidate down", None, 1, url=NOWHERE))
        found.append(self._with("candidate accepts and never answers", "silent", 1))
        found.append(self._with("candidate slower than its timeout", "slow", 1, pause_s=slow_s))
        found.append(self._with("candidate's streams stall", "stalls", 1, whole=False))
        return found

    def of_both(self) -> list[Phase]:
        """The last one: the champion's breaker opens in it, and then production answers for a while."""
        told(self._champion, "silent")
        return [self._with("candidate and champion never answer", "silent", 2)]

    def of_the_store(self, database: Postgres, late: Callable[[], Phase]) -> list[Phase]:
        """The store away for long, a gateway that starts meanwhile, and then the candidate away as well."""
        seconds = STORE_DOWN_QUICK_S if self._setting.quick else STORE_DOWN_S
        self._ready()
        database.kill()
        begun = time.monotonic()
        found = [self.asked("store down", 0, seconds=seconds / 3), late()]
        told(self._candidate, "silent")
        left = max(self._seconds, seconds - (time.monotonic() - begun))
        found.append(self.asked("store and candidate down", 1, seconds=left))
        told(self._candidate, "well")
        database.start()
        found.append(self.asked("store back", 0))
        return found

    def _with(
        self, name: str, how: How | None, waits: float, *, whole: bool = True, url: str | None = None, pause_s: float = 0.0
    ) -> Phase:
        self._ready(url)
        told(self._candidate, how or "well", pause_s)
        try:
            return self.asked(name, waits, whole=whole)
        finally:
            told(self._candidate, "well")

    def _ready(self, url: str | None = None) -> None:
        self._rows.fresh(url)
        # Several polls of the routes.
        time.sleep(READ_S)


def entries_of(phases: list[Phase], timeouts: Timeouts, lost: int, setting: Setting) -> list[Entry]:
    """The claims."""
    down_s = STORE_DOWN_QUICK_S if setting.quick else STORE_DOWN_S
    of_store = [phase for phase in phases if "store" in phase.name]
    of_models = [phase for phase in phases if "store" not in phase.name]
    beyond = max(phase.beyond(timeouts) for phase in phases)
    by_stable = [one for phase in phases if "starts" in phase.name for one in phase.answers]
    return [
        Entry.of_value(
            f"store down for {down_s:g} s: requests not answered", float(sum(phase.wrong for phase in of_store)), "==", 0
        ),
        Entry.of_value(
            "store down: answers by others than the champion from a gateway that starts meanwhile",
            float(sum(one.model != "champion" for one in by_stable)),
            "==",
            0,
        ),
        Entry.of_value("store back: answers that it does not hold", float(lost), "==", 0),
        Entry.of_value(
            "backend down, silent or slow: requests not answered", float(sum(phase.wrong for phase in of_models)), "==", 0
        ),
        Entry.of_value("seconds that the longest request took beyond its timeouts", beyond, "<=", SLACK_S),
    ]


def shown(phases: list[Phase]) -> Table:
    """Who answered in each."""
    who = ("candidate", "champion", "production")
    made = table(f"{PER_SECOND:g} requests a second, half of them streams", "", *who, "nobody", "cut off", "p50, ms", "max, ms")
    for phase in phases:
        counts = Counter(one.model for one in phase.answers if one.ok)
        cut = sum(one.status == 200 for one in phase.failed)
        times = sorted(1e3 * one.seconds for one in phase.answers)
        figures = [*(str(counts[name]) for name in who), str(len(phase.failed) - cut), str(cut)]
        made.add_row(phase.name, *figures, f"{times[len(times) // 2]:.0f}", f"{times[-1]:.0f}")
    return made


def notes_of(phases: list[Phase], timeouts: Timeouts, given_back: int) -> list[str]:
    """What else is to be known."""
    failures = Counter(
        f"{phase.name}: {one.status} {one.failure[:100]}" for phase in phases for one in phase.failed if phase.whole
    )
    return [
        f"timeouts: {timeouts.connect_s:g} s to connect, {timeouts.first_byte_s:g} s to the first byte, "
        f"{timeouts.idle_s:g} s between two, {timeouts.total_s:g} s for all of an answer that is no stream",
        f"the gateway's breaker took {given_back} candidates back",
        "a stream that stalls after its first byte is cut off: half an answer of one model is not ended by another",
        *(f"failed: {count} x {words}" for words, count in failures.most_common(5)),
    ]
