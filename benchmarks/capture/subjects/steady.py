"""A process that captures at a steady rate and says of each call that it has returned.

    python -m benchmarks.capture.subjects.steady SUBJECT TEXTS RUN RATE COUNT

Each line of its output is the token of a call, written after the captured function gave its answer to the caller. It ends after
COUNT calls, if nobody ends it before. Where BENCHMARK_MARKS names a file, its first byte says whether a transaction is open.
"""

import asyncio
import os
import sys
import time

from benchmarks.capture.subjects.calls import Calls
from benchmarks.capture.subjects.marks import watch_transactions
from benchmarks.capture.subjects.wrappers import WRAPPERS


async def run(name: str, texts: str, run_id: str, rate: float, count: int, output: int) -> None:
    """Make the calls, one after the other."""
    calls = Calls(texts, run_id)
    answer = WRAPPERS[name]().wrap(calls.functions()[1])
    begun = time.monotonic()
    for number in range(count):
        token, messages = calls.next()
        await answer(messages)
        os.write(output, token.encode() + b"\n")
        ahead = begun + (number + 1) / rate - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)


def main() -> None:
    """Run with what the command line says."""
    name, texts, run_id, rate, count = sys.argv[1:6]
    output = os.dup(1)
    os.dup2(2, 1)  # what a subject prints is no token
    if name == "continuum":
        watch_transactions(os.environ.get("BENCHMARK_MARKS"))
    asyncio.run(run(name, texts, run_id, float(rate), int(count), output))


if __name__ == "__main__":
    main()
