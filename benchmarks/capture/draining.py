"""From segment files to rows, end to end: parse, redact, hash, fingerprint, check, store; and eight processes that do so at once.

An application whose store is down leaves the segments; a process that does nothing else drains them. Beside it stands the least
that could be done with the same lines: to parse them and insert them whole into one table of SQLite.
"""

import shutil
import sqlite3
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.capture.databases import Database, databases
from benchmarks.capture.kills import drained_to_the_end
from benchmarks.capture.sink import closed_port
from benchmarks.capture.subject import DISK, running, start
from benchmarks.claims import Entry, Result, Setting, shown, table

GOALS = {"SQLite": 10_000, "Postgres": 3_000}
WRITERS = 8
BARE_BATCH = 512


@dataclass(frozen=True)
class Rate:
    """What one drain took."""

    interactions: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Interactions a second."""
        return self.interactions / self.seconds


def measure(setting: Setting) -> Result:
    """Drain into each database, and have eight processes write to each."""
    count, each = (6_000, 300) if setting.quick else (30_000, 2_000)
    lines = table(
        "Drain end to end, best of three, and eight writers at once",
        *(
            "database",
            "interactions/s",
            "CPU us each",
            "bare insert/s",
            "writers",
            "acknowledged",
            "lost",
            "twice",
            "told of a lock",
        ),
    )
    entries = []
    with ExitStack() as stack:
        for database in databases(setting, stack):
            rates, bare = [], []
            for number in range(1 if setting.quick else 3):
                setting.say(f"draining: {database.name}, {number + 1}")
                rate, insert = drained(setting, database, count, number)
                rates.append(rate)
                bare.append(insert)
            best = max(rates, key=lambda rate: rate.per_second)
            setting.say(f"draining: {WRITERS} writers to {database.name}")
            writers = written_at_once(setting, database, each)
            cost = best.cpu_seconds / best.interactions * 1e6
            lines.add_row(database.name, *map(shown, (best.per_second, cost, max(bare), WRITERS, *writers)))
            goal = GOALS[database.name]
            entries += [
                Entry.of_value(
                    f"drain to {database.name}, interactions a second end to end", best.per_second, ">=", goal, max(bare)
                ),
                Entry.of_value(
                    f"{WRITERS} writer processes to {database.name}: rows lost, doubled, or told that the store is locked",
                    sum(writers[1:]),
                    "==",
                    0,
                ),
            ]
    return Result(entries, lines, ["The peer beside a rate is the bare insert of the same lines into SQLite."])


def drained(setting: Setting, database: Database, count: int, number: int) -> tuple[Rate, float]:
    """The rate of one drain of `count` interactions, and that of the bare insert."""
    folder = setting.folder / f"drain-{database.name}-{number}"
    folder.mkdir()
    with closed_port() as port:
        nowhere = f"postgresql://nobody@127.0.0.1:{port}/none"
        capture(setting, folder, nowhere, f"{number:06x}", count, 1)
    spool = folder / "home" / "spool"
    insert = bare_insert(spool, folder / "bare.db")
    with running(
        start(DISK, "drainer", [database.url, str(spool)], DISK.environment(folder, "", database.url), folder)
    ) as process:
        output, _ = process.communicate("\n", timeout=600)
    answer = orjson.loads(output.splitlines()[-1])
    if answer["drained"]["stored"] != count:
        raise RuntimeError(f"{answer['drained']['stored']} of {count} interactions were drained")
    shutil.rmtree(folder)
    return Rate(count, answer["seconds"], answer["cpu_seconds"]), insert


def capture(setting: Setting, folder: Path, url: str, run: str, count: int, processes: int) -> tuple[set[str], int]:
    """Have processes capture as fast as they can and end by themselves: all acknowledged calls, and who was told of a lock."""
    acknowledged: set[str] = set()
    folders = [folder] if processes == 1 else [folder / f"writer-{number}" for number in range(processes)]
    with ExitStack() as stack:
        started: list[subprocess.Popen[str]] = []
        for number, own in enumerate(folders):
            own.mkdir(exist_ok=True)
            environment = DISK.environment(folder, "", url)
            arguments = [DISK.wrapper, str(setting.texts), f"{int(run, 16) + number:06x}", "1e9", str(count)]
            started.append(stack.enter_context(running(start(DISK, "steady", arguments, environment, own))))
        for process in started:
            # The pipes of the others hold what they say meanwhile, and make them wait when they are full.
            acknowledged |= set((process.communicate(timeout=600)[0]).split())
    locked = sum("locked" in (own / "stderr.txt").read_text(errors="replace") for own in folders)
    return acknowledged, locked


def written_at_once(setting: Setting, database: Database, each: int) -> tuple[int, int, int, int]:
    """Eight processes capture and drain side by side: acknowledged, lost, doubled, and how many were told of a lock."""
    folder = setting.folder / f"writers-{database.name}"
    folder.mkdir()
    before = database.stored_tokens(setting.texts)[0]
    acknowledged, locked = capture(setting, folder, database.url, "f00000", each, WRITERS)
    drained_to_the_end(folder, database.url)
    stored = database.stored_tokens(setting.texts)[0] - before
    shutil.rmtree(folder)
    return len(acknowledged), len(acknowledged - stored.keys()), sum(times - 1 for times in stored.values()), locked


def bare_insert(spool: Path, file: Path) -> float:
    """Rows a second of the least that could be done with the lines."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, line BLOB)")
    rows, begun = 0, time.perf_counter()
    for segment in sorted(spool.glob("*.jsonl")):
        lines = segment.read_bytes().splitlines()
        for first in range(0, len(lines), BARE_BATCH):
            batch = [(orjson.loads(line)["id"], line) for line in lines[first : first + BARE_BATCH]]
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO rows VALUES (?, ?)", batch)
            connection.execute("COMMIT")
            rows += len(batch)
    seconds = time.perf_counter() - begun
    connection.close()
    return rows / seconds
