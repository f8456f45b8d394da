"""What a captured call costs the caller in CPU: ours durable and in memory, and the peers'.

One process a subject stays up for the whole measurement; rounds go from one to the next, so what the machine does meanwhile falls
on all of them. The bare function's cost is taken off, and medians over the rounds are compared.
"""

import random
from collections import defaultdict
from contextlib import ExitStack
from typing import Any

from benchmarks.capture.sink import open_sink
from benchmarks.capture.subject import (
    DISK,
    LANGFUSE,
    MEMORY,
    MLFLOW,
    MLFLOW_STORE,
    NOTHING,
    OPENINFERENCE,
    OTEL,
    TRACELOOP,
    Subject,
    Worker,
    running,
    start,
)
from benchmarks.claims import Entry, Result, Setting, median, shown, table

CALLS, QUICK_CALLS = 384, 192
"""Calls of one order: less than any peer's batch, so that no exporter wakes up in the midst; a multiple of the 64 tasks."""
STORE_CALLS, STORE_ROUNDS = 64, 6
"""MLflow's own store takes some traces a second; few enough to fit its queue are asked for, and not waited for."""
MODES = ("sync", "async", "crowd")
Figures = dict[tuple[str, str, str], list[float]]
"""Subject, mode and clock to the microseconds a call of each round."""


def measure(setting: Setting) -> Result:
    """Measure all subjects that are there."""
    subjects = [NOTHING, DISK, MEMORY]
    if setting.peers:
        subjects += [LANGFUSE, MLFLOW] if setting.quick else [LANGFUSE, MLFLOW, MLFLOW_STORE, OPENINFERENCE, TRACELOOP, OTEL]
    figures, lost = rounds(setting, subjects, 5 if setting.quick else 21)
    costs = {key: charged(figures, *key) for key in figures if key[0] != NOTHING.name}
    shown_table = table(
        "CPU a call, microseconds, without the bare function (1.5 KB in, 0.5 KB out)",
        *("captured by", "caller, plain", "caller, async", "caller, 64 tasks", "process, 64 tasks", "times ours"),
    )
    for subject in subjects[1:]:
        row = [costs.get((subject.name, mode, "caller_us")) for mode in MODES]
        row.append(None if subject is MLFLOW_STORE else costs.get((subject.name, "crowd", "process_us")))
        times = costs[subject.name, "async", "caller_us"] / costs[DISK.name, "async", "caller_us"]
        shown_table.add_row(subject.shown, *map(shown, row), shown(times))
    notes = [f"{subject}: {count} calls were not kept while this was measured" for subject, count in lost.items() if count]
    return Result(entries(costs), shown_table, notes)


def rounds(setting: Setting, subjects: list[Subject], count: int) -> tuple[Figures, dict[str, int]]:
    """Go round the subjects; the first round warms up and is thrown away."""
    figures: Figures = defaultdict(list)
    lost: dict[str, int] = {}
    rng, calls = random.Random(setting.seed), QUICK_CALLS if setting.quick else CALLS
    with ExitStack() as stack:
        _, url = stack.enter_context(open_sink())
        workers = []
        for number, subject in enumerate(subjects):
            folder = setting.folder / f"caller-{subject.name}"
            folder.mkdir()
            arguments = [subject.wrapper, str(setting.texts), f"{number:06x}"]
            process = start(subject, "cost", arguments, subject.environment(folder, url), folder)
            workers.append(Worker(stack.enter_context(running(process)), subject, folder))
        for worker in workers:
            worker.wait_until_ready()
        for round_number in range(count + 1):
            setting.say(f"caller: round {round_number} of {count}")
            for worker in rng.sample(workers, len(workers)):
                few = worker.subject is MLFLOW_STORE
                if few and round_number > STORE_ROUNDS:
                    continue
                for mode in modes(setting):
                    answer: dict[str, Any] = worker.order(mode=mode, calls=STORE_CALLS if few else calls)
                    lost[worker.subject.shown] = answer.pop("lost")
                    if round_number:
                        for clock, value in answer.items():
                            figures[worker.subject.name, mode, clock].append(value)
    return figures, lost


def modes(setting: Setting) -> tuple[str, ...]:
    """The ways of calling; the claims are on the asynchronous one, which is how models are called."""
    return ("async",) if setting.quick else MODES


def charged(figures: Figures, subject: str, mode: str, clock: str) -> float:
    """A subject's median without the bare function's."""
    return (median(figures[subject, mode, clock]) or 0.0) - (median(figures[NOTHING.name, mode, clock]) or 0.0)


def entries(costs: dict[tuple[str, str, str], float]) -> list[Entry]:
    """The claims. MLflow counts with the cheaper of its two ways out."""

    def cost(*subjects: Subject) -> float | None:
        found = [costs[key] for subject in subjects if (key := (subject.name, "async", "caller_us")) in costs]
        return min(found) if found else None

    ours, memory, langfuse, mlflow = cost(DISK), cost(MEMORY), cost(LANGFUSE), cost(MLFLOW, MLFLOW_STORE)
    return [
        Entry.of_ratio("caller CPU us a call, durable spool against Langfuse @observe", ours, langfuse, 1 / 10),
        Entry.of_ratio("caller CPU us a call, durable spool against mlflow.trace", ours, mlflow, 1 / 20),
        Entry.of_ratio("caller CPU us a call, memory mode against Langfuse @observe", memory, langfuse, 1 / 20),
    ]
