"""The sink is down for the whole run: what the application notices of it, and what becomes of what was captured.

Ours writes to a Postgres URL on a port where nobody listens, and to a SQLite file that another process keeps locked; the peers
send to a port where nobody listens. Processes whose sink is up take turns with those, burst by burst, so what the machine does
meanwhile falls on both. The claim is on the median over the rounds of the ratio of their 99th percentiles.
"""

import random
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.capture.databases import Database
from benchmarks.capture.kills import drained_to_the_end
from benchmarks.capture.sink import closed_port, open_sink
from benchmarks.capture.subject import DISK, LANGFUSE, NOTHING, PEERS, Subject, Worker, running, start
from benchmarks.claims import Entry, Result, Setting, median, shown, table

RATE = 500
BURST = 200
"""Calls of one burst: its 99th percentile is the third slowest."""
EXIT_GOAL_S = 0.5
P99_GOAL = 1.5


@dataclass
class Run:
    """A process, and what was seen of it."""

    subject: Subject
    state: str
    folder: Path
    environment: dict[str, str]
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    slowest: float = 0.0
    calls: int = 0
    raised: int = 0
    exits_s: list[float] = field(default_factory=list)

    @property
    def exit_s(self) -> float:
        """Seconds from the last call to the end of the process; the median over its lives."""
        return statistics.median(self.exits_s)

    @property
    def shown(self) -> str:
        """As the table names it."""
        return f"{self.subject.shown}, {self.state}"


def measure(setting: Setting) -> Result:
    """Run everybody with their sink up and down."""
    with ExitStack() as stack:
        _, up = stack.enter_context(open_sink())
        down = f"http://127.0.0.1:{stack.enter_context(closed_port())}"
        locked = setting.folder / "locked.db"
        ours = our_runs(setting, down.rsplit(":", 1)[1], locked)
        sinks = {"sink up": up, "sink down": down}
        peers = [a_run(setting, subject, state, url) for subject in peers_of(setting) for state, url in sinks.items()]
        stack.enter_context(kept_locked(locked))
        bare = a_run(setting, NOTHING, "no sink", up)
        for life in range(1 if setting.quick else 3):
            take_turns(setting, [bare, *ours, *peers], life)
    kept = kept_through_the_outage(setting, ours[1:], locked)
    lines = table(
        f"Sink down for the whole run ({RATE} calls a second)",
        *("captured by", "calls", "raised", "p50 ms", "p99 ms", "slowest ms", "p99 / up", "exit s", "kept"),
    )
    for up_run, runs in [(bare, [bare]), (ours[0], ours), *((pair[0], pair) for pair in pairs(peers))]:
        for run in runs:
            figures = (run.calls, run.raised, median(run.p50), median(run.p99), run.slowest, p99_ratio(run, up_run), run.exit_s)
            lines.add_row(run.shown, *map(shown, figures), shown(kept.get(run.state)) if run.subject is DISK else "-")
    return Result(entries(ours, peers, kept), lines)


def entries(ours: list[Run], peers: list[Run], kept: dict[str, int]) -> list[Entry]:
    """The claims; the peer beside them is the best one."""
    worst_p99 = max(p99_ratio(run, ours[0]) for run in ours[1:])
    peer_p99 = min((p99_ratio(down, up) for up, down in pairs(peers)), default=None)
    peer_exit = min((run.exit_s for run in peers[1::2]), default=None)
    missing = sum(run.calls - kept.get(run.state, 0) for run in ours[1:])
    return [
        Entry.of_value("sink down: exceptions that reached the application", sum(run.raised for run in ours), "==", 0),
        Entry.of_value("sink down: p99 of the call over p99 with the sink up", worst_p99, "<=", P99_GOAL, peer_p99),
        Entry.of_value(
            "sink down: seconds from the last call to the end of the process",
            max(run.exit_s for run in ours[1:]),
            "<=",
            EXIT_GOAL_S,
            peer_exit,
        ),
        Entry.of_value("sink down: captured calls that the next start does not bring to the store", missing, "==", 0),
    ]


def our_runs(setting: Setting, port: str, locked: Path) -> list[Run]:
    """Ours: the store up, Postgres out of reach, SQLite locked."""
    urls = {
        "store up": None,
        "Postgres down": f"postgresql://nobody@127.0.0.1:{port}/none",
        "SQLite locked": f"sqlite:///{locked}",
    }
    return [a_run(setting, DISK, state, "", url) for state, url in urls.items()]


def peers_of(setting: Setting) -> list[Subject]:
    """The peers to compare with."""
    return ([LANGFUSE] if setting.quick else list(PEERS)) if setting.peers else []


def a_run(setting: Setting, subject: Subject, state: str, sink: str, url: str | None = None) -> Run:
    """A process to be, with a folder of its own."""
    folder = setting.folder / f"{subject.name}-{state.replace(' ', '-')}"
    folder.mkdir()
    return Run(subject, state, folder, subject.environment(folder, sink, url))


@contextmanager
def kept_locked(file: Path) -> Iterator[None]:
    """A store whose SQLite file is locked by somebody who does not let go."""
    from continuum.store.database import open_store

    open_store(f"sqlite:///{file}").close()
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def take_turns(setting: Setting, runs: list[Run], life: int) -> None:
    """Have all processes make their bursts in turns, then let them end, one after the other."""
    rng, rounds = random.Random(setting.seed + life), 3 if setting.quick else 6
    with ExitStack() as stack:
        processes = []
        for number, run in enumerate(runs):
            arguments = [run.subject.wrapper, str(setting.texts), f"{life * len(runs) + number:06x}"]
            process = stack.enter_context(running(start(run.subject, "paced", arguments, run.environment, run.folder)))
            processes.append((process, Worker(process, run.subject, run.folder), run))
        for _, worker, _ in processes:
            worker.wait_until_ready()
            worker.order(calls=20, rate=RATE, last=False)
        for _, _, run in processes:
            run.calls += 20
        for number in range(rounds):
            setting.say(f"outage: start {life + 1}, round {number + 1} of {rounds}")
            for _, worker, run in rng.sample(processes, len(processes)):
                answer = worker.order(calls=BURST, rate=RATE, last=False)
                run.calls += BURST
                run.raised += answer["raised"]
                taken = sorted(answer["ms"])
                run.p50.append(statistics.median(taken))
                run.p99.append(taken[int(0.99 * (len(taken) - 1))])
                run.slowest = max(run.slowest, taken[-1])
        # The peers' exits take seconds in which they only wait: they wait side by side.
        with ThreadPoolExecutor() as side_by_side:
            for process, worker, run in processes:
                # A last burst: what was captured just before the end is what an exit has to deal with.
                returned = worker.order(calls=BURST, rate=RATE, last=True)["returned"]
                run.calls += BURST
                ended = side_by_side.submit(seconds_until_end, process, returned)
                ended.add_done_callback(lambda future, run=run: run.exits_s.append(future.result()))
                if not run.subject.peer:
                    ended.result()


def seconds_until_end(process: subprocess.Popen[str], returned: float) -> float:
    """How long after its last call a process has ended."""
    process.wait(120)
    return time.monotonic() - returned


def pairs(runs: list[Run]) -> list[tuple[Run, Run]]:
    """Of each peer, the one whose sink is up, and the one whose sink is down."""
    return list(zip(runs[::2], runs[1::2], strict=True))


def p99_ratio(down: Run, up: Run) -> float:
    """The median over the rounds of one 99th percentile over the other."""
    return statistics.median(one / other for one, other in zip(down.p99, up.p99, strict=True))


def kept_through_the_outage(setting: Setting, runs: list[Run], locked: Path) -> dict[str, int]:
    """Start once more, with a store that is there, and count the calls of each run that it brings in."""
    found = {}
    for run in runs:
        file = locked if run.state == "SQLite locked" else run.folder / "back.db"
        database = Database(run.state, f"sqlite:///{file}")
        drained_to_the_end(run.folder, database.url)
        found[run.state] = len(database.stored_tokens(setting.texts)[0])
    return found
