"""Processes are killed (SIGKILL) while they capture and while they drain; then what was acknowledged is looked for.

A call is acknowledged when its process has told us of it, which it does after the captured function has returned. The killed
share one spool folder and one store, so that each start also meets what earlier kills left. Peers are killed while they capture,
after the same delays and at the same rate; what they acknowledged is looked for in the sink.
"""

import os
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Literal

from benchmarks.capture.databases import Database, databases
from benchmarks.capture.sink import Sink, closed_port, open_sink
from benchmarks.capture.subject import DISK, LANGFUSE, PEERS, Subject, running, start
from benchmarks.capture.subjects.calls import TOKEN
from benchmarks.capture.subjects.marks import IDLE, WRITING
from benchmarks.claims import Entry, Result, Setting, table

RATE = 400
"""Calls a second of a process that is killed while it captures: ours and the peers'."""
BACKLOG_RATE = 4000
"""While the store is down, to leave something to drain."""
PEER_BATCH_S = 5.0
"""The peers' exporters send that often; kills fall anywhere in it."""
GRACE_S = 1.0
"""What a killed process had sent may take this long to arrive."""
START_S = 60.0

Kind = Literal["capture", "backlog", "drain"]


@dataclass(frozen=True)
class Kill:
    """One kill: of what, and how long after it began to work."""

    kind: Kind
    delay_s: float
    aimed: bool = False
    """Wait for a transaction that writes, and hit it."""


@dataclass
class Outcome:
    """What the kills of one subject came to."""

    kills: Counter[str] = field(default_factory=Counter)
    in_transaction: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    damaged: int = 0
    """Stored, but not with the words that were said."""


def measure(setting: Setting) -> Result:
    """Kill ours, on each database, and the peers."""
    plan = schedule(random.Random(setting.seed), 6 if setting.quick else 30, 0.6 if setting.quick else PEER_BATCH_S)
    shown = table("SIGKILL at random moments", *COLUMNS)
    entries = []
    peers = peers_killed(setting, plan)
    fewest = min(peers.values(), key=lambda outcome: outcome.lost, default=None)
    with ExitStack() as stack:
        for database in databases(setting, stack):
            outcome = ours_killed(setting, plan, database)
            shown.add_row(f"Continuum, durable, {database.name}", *cells(outcome))
            kills = sum(outcome.kills.values())
            entries += [
                Entry.of_value(
                    f"acknowledged interactions lost over {kills} kills, {database.name}",
                    outcome.lost + outcome.damaged,
                    "==",
                    0,
                    fewest and fewest.lost,
                ),
                Entry.of_value(f"interactions stored twice over {kills} kills, {database.name}", outcome.doubled, "==", 0),
            ]
    for name, outcome in peers.items():
        shown.add_row(name, *cells(outcome))
    notes = ["The peer beside our losses is the one that lost fewest; it was killed less often, and only while it captured."]
    return Result(entries, shown, notes if fewest else [])


COLUMNS = (
    "subject",
    "kills: capturing",
    "store down",
    "draining",
    "in a transaction",
    "acknowledged",
    "lost",
    "twice",
    "damaged",
)


def cells(outcome: Outcome) -> list[str]:
    """An outcome as a row of the table."""
    kills = [str(outcome.kills[kind]) for kind in ("capture", "backlog", "drain")]
    return [*kills, *map(str, (outcome.in_transaction, outcome.acknowledged, outcome.lost, outcome.doubled, outcome.damaged))]


def schedule(rng: random.Random, count: int, longest_s: float) -> list[Kill]:
    """The kills: in threes, of a process that captures, of one whose store is down, and of one that drains what they left."""
    kinds: tuple[Kind, ...] = ("capture", "backlog", "drain")
    plan = []
    for number in range(count):
        kind, aimed = kinds[number % 3], number % 2 == 1
        longest = longest_s if kind == "capture" else 0.4
        plan.append(Kill(kind, rng.uniform(0.02, longest), aimed and kind != "backlog"))
    return plan


# --- ours ---


def ours_killed(setting: Setting, plan: Sequence[Kill], database: Database) -> Outcome:
    """Carry the plan out on one database, drain the rest, and count."""
    outcome, acknowledged = Outcome(), set()
    folder = setting.folder / f"kills-{database.name}"
    folder.mkdir()
    with closed_port() as port:
        for number, kill in enumerate(plan):
            setting.say(f"kills, {database.name}: {number + 1} of {len(plan)}, {kill.kind}")
            url = f"postgresql://nobody@127.0.0.1:{port}/none" if kill.kind == "backlog" else database.url
            if kill.kind == "drain":
                hit = drainer_killed(folder, database.url, kill)
            else:
                rate = BACKLOG_RATE if kill.kind == "backlog" else RATE
                tokens, hit = application_killed(setting, folder, DISK, DISK.environment(folder, "", url), kill, number, rate)
                acknowledged |= tokens
            outcome.kills[kill.kind] += 1
            outcome.in_transaction += hit
    drained_to_the_end(folder, database.url)
    outcome.acknowledged = len(acknowledged)
    stored, outcome.damaged = database.stored_tokens(setting.texts)
    outcome.lost = len(acknowledged - stored.keys())
    outcome.doubled = sum(times - 1 for times in stored.values())
    shutil.rmtree(folder)
    return outcome


def application_killed(
    setting: Setting, folder: Path, subject: Subject, environment: dict[str, str], kill: Kill, number: int, rate: int
) -> tuple[set[str], bool]:
    """Start an application, kill it some time after its first acknowledged call, and return all that it acknowledged."""
    marks = fresh_marks(folder)
    arguments = [subject.wrapper, str(setting.texts), f"{number:06x}", str(rate), "1000000"]
    with running(start(subject, "steady", arguments, environment | {"BENCHMARK_MARKS": str(marks)}, folder)) as process:
        assert process.stdout is not None
        output: list[str] = []
        # Read on, so that the application never waits for us; what it wrote before it died is read too.
        reader = Thread(target=lambda: output.extend(process.stdout or ()), daemon=True)
        reader.start()
        patience = time.monotonic() + START_S
        while not output and process.poll() is None and time.monotonic() < patience:
            time.sleep(0.005)
        if not output:
            errors = (folder / "stderr.txt").read_text(errors="replace")[-1500:]
            raise RuntimeError(f"{subject.shown} acknowledged nothing; its last words were:\n{errors}")
        hit = kill_at(process, kill, marks)
        reader.join(10)
    return {line.strip() for line in output if re.fullmatch(TOKEN, line.strip())}, hit


def drainer_killed(folder: Path, url: str, kill: Kill) -> bool:
    """Start a drainer on what is there, and kill it in the midst."""
    marks = fresh_marks(folder)
    environment = DISK.environment(folder, "", url) | {"BENCHMARK_MARKS": str(marks)}
    with running(start(DISK, "drainer", [url, str(folder / "home" / "spool")], environment, folder)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the drainer did not start: " + (folder / "stderr.txt").read_text(errors="replace")[-1500:])
        print(file=process.stdin, flush=True)
        return kill_at(process, kill, marks)


def kill_at(process: subprocess.Popen[str], kill: Kill, marks: Path) -> bool:
    """Kill the process at its moment; whether that fell into a transaction that writes."""
    time.sleep(kill.delay_s)
    with marks.open("rb") as state:
        give_up = time.monotonic() + 1.0
        while kill.aimed and process.poll() is None and time.monotonic() < give_up:
            if os.pread(state.fileno(), 1, 0)[0] == WRITING:
                break
        process.kill()
        process.wait()
        return os.pread(state.fileno(), 1, 0)[0] == WRITING


def fresh_marks(folder: Path) -> Path:
    """The file in which the next process says whether it is in a transaction."""
    marks = folder / "marks"
    marks.write_bytes(bytes([IDLE]))
    return marks


def drained_to_the_end(folder: Path, url: str) -> None:
    """Have a fresh process drain what is left, and see that nothing is."""
    spool = folder / "home" / "spool"
    with running(start(DISK, "drainer", [url, str(spool)], DISK.environment(folder, "", url), folder)) as process:
        process.communicate("\n", timeout=300)
        if process.returncode:
            raise RuntimeError("the last drainer failed: " + (folder / "stderr.txt").read_text(errors="replace")[-1500:])
    if left := list(spool.glob("*.jsonl")):
        raise RuntimeError(f"{len(left)} segments were left undrained")


# --- the peers ---


def peers_killed(setting: Setting, plan: Sequence[Kill]) -> dict[str, Outcome]:
    """Kill the peers while they capture; side by side, since only their losses are counted."""
    if not setting.peers:
        return {}
    subjects = [LANGFUSE] if setting.quick else list(PEERS)
    captures = [kill for kill in plan if kill.kind == "capture"]
    captures = captures[: 1 if setting.quick else 6]
    outcomes = {subject.shown: Outcome() for subject in subjects}
    with open_sink() as (sink, url):
        for number, kill in enumerate(captures):
            setting.say(f"kills, peers: {number + 1} of {len(captures)}")
            threads = [
                Thread(
                    target=peer_killed,
                    args=(setting, subject, sink, url, kill, 4096 * (at + 1) + number, outcomes[subject.shown]),
                )
                for at, subject in enumerate(subjects)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return {name: outcome for name, outcome in outcomes.items() if outcome.kills}


def peer_killed(setting: Setting, subject: Subject, sink: Sink, url: str, kill: Kill, run: int, outcome: Outcome) -> None:
    """Kill one peer once, and count what it acknowledged and the sink never heard of."""
    folder = setting.folder / f"kills-{subject.name}-{run}"
    folder.mkdir()
    capture = Kill("capture", kill.delay_s)
    tokens, _ = application_killed(setting, folder, subject, subject.environment(folder, url), capture, run, RATE)
    time.sleep(GRACE_S)
    outcome.kills["capture"] += 1
    outcome.acknowledged += len(tokens)
    outcome.lost += len(tokens - sink.tokens)
