"""A process that measures, whenever it is told to, how long its calls take: `python -m ... SUBJECT TEXTS RUN`.

It reads {"calls", "rate", "last"} as one line of JSON and answers with the milliseconds of each call. After its last order it
leaves at once, as an application leaves: nothing is flushed by hand. `returned` is the clock (CLOCK_MONOTONIC, one for all
processes) after the last call, so that others can tell how long it took to end.
"""

import asyncio
import json
import sys
import time

from benchmarks.capture.subjects.calls import Calls
from benchmarks.capture.subjects.wrappers import WRAPPERS


async def serve() -> None:
    """Carry out orders until the last one."""
    name, texts, run = sys.argv[1:4]
    orders, answers = sys.stdin, sys.stdout
    sys.stdout = sys.stderr  # what a subject prints is not an answer
    calls = Calls(texts, run)
    answer = WRAPPERS[name]().wrap(calls.functions()[1])
    print("ready", file=answers, flush=True)
    for line in orders:
        order = json.loads(line)
        taken, raised = [], 0
        begun = returned = time.monotonic()
        for number in range(order["calls"]):
            _, messages = calls.next()
            started = time.perf_counter()
            try:
                await answer(messages)
            except Exception:  # noqa: BLE001  whatever capturing lets through to the application is counted
                raised += 1
            taken.append((time.perf_counter() - started) * 1000)
            returned = time.monotonic()
            ahead = begun + (number + 1) / order["rate"] - returned
            if ahead > 0 and number + 1 < order["calls"]:
                await asyncio.sleep(ahead)
        print(json.dumps({"ms": taken, "raised": raised, "returned": returned}), file=answers, flush=True)
        if order["last"]:
            return


if __name__ == "__main__":
    asyncio.run(serve())
