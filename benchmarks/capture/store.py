"""The store alone: how fast it takes what is drained, and how fast a task's last month is read out of a million rows.

Run as a module it measures what its arguments say and prints one line of JSON; `drain_rates` and `read_million` run it so, each
reading in a process of its own, because memory that one reading took would count for the next.
"""

import json
import os
import random
import resource
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from continuum.ids import new_id
from continuum.records import Interaction, Message

BATCH = 1000
TASKS = 10
TASK = "task-3"
"""The one that is read, and of which snapshots are written."""
DAYS = 90
END = datetime(2026, 6, 1, tzinfo=UTC)
NARROW = ["id", "started_at", "model", "cost_usd"]
KINDS = ("full", "narrow", "records")
ROUNDS = 3


def drain_rates(quick: bool, postgres_url: str | None) -> dict[str, Any]:
    """Rows a second that `Store.drain` writes, by wall and by CPU time, alone and with eight processes at once.

    Args:
        quick: a few thousand rows.
        postgres_url: an empty database, or None to leave Postgres out.
    """
    rows, each = (4_000, 500) if quick else (40_000, 5_000)
    found: dict[str, Any] = {"rows": rows, "batch": BATCH}
    with tempfile.TemporaryDirectory(prefix="continuum-bench-store-") as folder:
        urls = {"sqlite": f"sqlite:///{folder}/store.db", "postgres": postgres_url}
        for name, url in urls.items():
            if url is not None:
                alone = _run(folder, "drain", url, str(rows), "0")
                found[name] = {**alone, "writers": _writers(folder, url, each)}
    return found


def read_million(quick: bool) -> dict[str, Any]:
    """One task's last 30 of 90 days, out of a million interactions of ten tasks: from SQLite, and from snapshots.

    Args:
        quick: out of 20,000.
    """
    rows = 20_000 if quick else 1_000_000
    found: dict[str, Any] = {"rows": rows}
    with tempfile.TemporaryDirectory(prefix="continuum-bench-store-") as folder:
        url = f"sqlite:///{folder}/store.db"
        _run(folder, "fill", url, str(rows))
        for source in ("sqlite", "parquet"):
            if source == "parquet":
                found["snapshot"] = _run(folder, "snapshot", url)
            if quick:
                found[source] = _run(folder, "read", url, *KINDS)
                continue
            rounds = [{what: _run(folder, "read", url, what)[what] for what in KINDS} for _ in range(ROUNDS)]
            found[source] = {what: min((one[what] for one in rounds), key=lambda one: one["seconds"]) for what in KINDS}
        found["database_mb"] = round(Path(folder, "store.db").stat().st_size / 1e6, 1)
        found["parquet_mb"] = round(sum(file.stat().st_size for file in Path(folder).rglob("*.parquet")) / 1e6, 1)
    for what in KINDS:
        found[f"{what}_ratio"] = round(found["sqlite"][what]["seconds"] / found["parquet"][what]["seconds"], 2)
    return found


def _run(folder: str, *arguments: str) -> dict[str, Any]:
    """What a process of its own measured."""
    return json.loads(_started(folder, *arguments).communicate()[0])


def _started(folder: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CONTINUUM_HOME": folder, "CONTINUUM_SNAPSHOTS": "", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "benchmarks.capture.store", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _writers(folder: str, url: str, each: int) -> dict[str, Any]:
    """Eight processes that drain into one database at once."""
    from continuum.store.database import open_store

    store = open_store(url)
    before = sum(map(store.interactions.count, store.tasks.names()))
    begun = time.perf_counter()
    running = [_started(folder, "drain", url, str(each), str(seed)) for seed in range(1, 9)]
    told = [json.loads(one.communicate()[0] or '{"errors": 1}') for one in running]
    seconds = time.perf_counter() - begun
    stored = sum(map(store.interactions.count, store.tasks.names())) - before
    store.close()
    errors = sum(one["errors"] for one in told)
    return {"rows": 8 * each, "lost": 8 * each - stored, "errors": errors, "seconds_with_start": round(seconds, 2)}


def interactions(count: int, seed: int) -> Iterator[Interaction]:
    """Unique conversations of about 2 KB, spread over the days and the tasks as they would come in."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 10))) for _ in range(20_000)]
    begin = END - timedelta(days=DAYS)
    for number in range(count):
        asked, answered = (" ".join(rng.choices(words, k=150)) for _ in range(2))
        yield Interaction(
            id=new_id(),
            task=f"task-{number % TASKS}",
            started_at=begin + timedelta(days=DAYS) * (number / count),
            messages=(Message(role="user", content=asked),),
            response=Message(role="assistant", content=answered),
            model="gpt-4",
            conversation_id=f"conversation-{seed}-{number // 3}",
            user_id=f"u_{number % 1000}",
            latency_ms=rng.uniform(100, 3000),
            input_tokens=200,
            output_tokens=rng.randint(50, 400),
            cost_usd=rng.uniform(0.0001, 0.01),
            fingerprint=f"{rng.getrandbits(64):016x}",
        )


def _drain(url: str, count: int, seed: int) -> dict[str, Any]:
    from continuum.errors import StoreError
    from continuum.store.database import open_store

    records = list(interactions(count, seed))
    store = open_store(url)
    segment, errors = new_id(), 0
    begun, cpu = time.perf_counter(), time.process_time()
    for seen in range(0, count, BATCH):
        batch = records[seen : seen + BATCH]
        try:
            drained = store.drain(batch, [], segment=segment, seen=seen, offset=seen + BATCH)
            errors += drained is None or drained.interactions != len(batch)
        except StoreError as error:
            sys.stderr.write(f"{error}\n")
            errors += 1
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    store.close()
    return {"per_second": round(count / seconds), "per_cpu_second": round(count / cpu), "errors": errors}


def _fill(url: str, count: int) -> dict[str, Any]:
    from continuum.store.database import open_store

    store = open_store(url)
    store.interactions.add(interactions(count, 0))
    for number in range(TASKS):
        store.tasks.ensure(f"task-{number}")
    store.close()
    return {"rows": count}


def _snapshot(url: str) -> dict[str, Any]:
    from continuum.store.database import open_store
    from continuum.store.snapshots import write_snapshots

    store = open_store(url)
    begun = time.perf_counter()
    written = write_snapshots(store, TASK, settle=timedelta(0))
    seconds = time.perf_counter() - begun
    store.close()
    return {"rows": written.rows, "parts": written.written, "per_second": round(written.rows / seconds), "peak_mb": _peak_mb()}


def _read(url: str, *kinds: str) -> dict[str, Any]:
    from continuum.store import frames
    from continuum.store.database import open_store

    assert frames  # polars is loaded by whoever reads frames, and is not what is measured
    store = open_store(url)
    since = END - timedelta(days=30)
    store.interactions.frame(TASK, ["id"], since=END - timedelta(days=1))
    found = {}
    for kind in kinds:
        at_rest, begun, cpu = _peak_mb(), time.perf_counter(), time.process_time()
        if kind == "records":
            rows = sum(1 for _ in store.interactions.scan(TASK, since=since))
        else:
            rows = store.interactions.frame(TASK, NARROW if kind == "narrow" else None, since=since).height
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        found[kind] = {
            "rows": rows,
            "seconds": round(seconds, 4),
            "cpu": round(cpu, 4),
            "took_mb": round(_peak_mb() - at_rest, 1),
        }
    store.close()
    return found


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main(arguments: list[str]) -> None:
    """Measure one thing, or everything with `quick` or `full`."""
    what, *rest = arguments
    if what in {"quick", "full"}:
        found: Any = {"drain": drain_rates(what == "quick", rest[0] if rest else None), "read": read_million(what == "quick")}
    elif what == "drain":
        found = _drain(rest[0], int(rest[1]), int(rest[2]))
    elif what == "fill":
        found = _fill(rest[0], int(rest[1]))
    else:
        found = {"snapshot": _snapshot, "read": _read}[what](*rest)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
