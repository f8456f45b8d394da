"""A process that only drains what dead ones left: `python -m ... DATABASE_URL SPOOL_FOLDER`.

It says "ready" when the store is open, drains when it reads a line, and says as JSON what it stored and how long that took.
"""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.capture.subjects.marks import watch_transactions


def main() -> None:
    """Run with what the command line says."""
    watch_transactions(os.environ.get("BENCHMARK_MARKS"))
    from continuum.spool.draining import collect
    from continuum.store.database import open_store

    url, folder = sys.argv[1:3]
    store = open_store(url)
    warm_up()
    print("ready", flush=True)
    sys.stdin.readline()
    begun, cpu = time.perf_counter(), time.process_time()
    drained = collect(store, Path(folder))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print(json.dumps({"drained": asdict(drained), "seconds": seconds, "cpu_seconds": cpu}), flush=True)
    store.close()


def warm_up() -> None:
    """Load what the first row would load: a drainer runs for days, and its start is no part of its rate."""
    from continuum.spool.finishing import finish

    finish({"id": "warm", "task": "warm", "messages": [{"role": "user", "content": "a@b.example"}], "redact": "builtin"})


if __name__ == "__main__":
    main()
