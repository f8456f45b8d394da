"""A process that measures, whenever it is told to, what its calls cost in CPU: `python -m ... SUBJECT TEXTS RUN`.

It reads {"mode", "calls"} as one line of JSON and answers with one line. All that was captured is delivered before the next
order, so what one order left behind is not charged to the next.
"""

import asyncio
import json
import sys
import time

from benchmarks.capture.subjects.calls import Calls
from benchmarks.capture.subjects.wrappers import WRAPPERS

TASKS = 64


def main() -> None:
    """Serve orders until stdin ends."""
    name, texts, run = sys.argv[1:4]
    orders, answers = sys.stdin, sys.stdout
    sys.stdout = sys.stderr  # what a subject prints is not an answer
    wrapper, calls = WRAPPERS[name](), Calls(texts, run)
    plain, later = (wrapper.wrap(function) for function in calls.functions())

    def sync(count: int) -> float:
        begun = time.thread_time()
        for _ in range(count):
            plain(calls.next()[1])
        return time.thread_time() - begun

    async def awaited(count: int) -> float:
        begun = time.thread_time()
        for _ in range(count):
            await later(calls.next()[1])
        return time.thread_time() - begun

    async def crowd(count: int) -> float:
        async def one() -> None:
            for _ in range(count // TASKS):
                await later(calls.next()[1])
                await asyncio.sleep(0)

        begun = time.thread_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(TASKS):
                group.create_task(one())
        return time.thread_time() - begun

    # Started once, as in an application: the loop of a process outlives its calls.
    loop = asyncio.new_event_loop()
    print("ready", file=answers, flush=True)
    for line in orders:
        order = json.loads(line)
        mode, count = order["mode"], order["calls"]
        begun = time.process_time()
        caller = sync(count) if mode == "sync" else loop.run_until_complete((awaited if mode == "async" else crowd)(count))
        wrapper.flush()
        process = time.process_time() - begun
        measured = {"caller_us": caller / count * 1e6, "process_us": process / count * 1e6, "lost": wrapper.lost()}
        print(json.dumps(measured), file=answers, flush=True)


if __name__ == "__main__":
    main()
