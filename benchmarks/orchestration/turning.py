"""A task turned in this process, by Dagster or without it; prints what that took."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable

Turn = Callable[[str], str]
"""From a task to what became of its route."""


def direct() -> Turn:
    """The stages, one after the other, as `continuum turn` calls them."""
    from continuum.flywheel import turn

    return lambda task: asyncio.run(turn(task)).outcome


def dagster() -> Turn:
    """The seven assets, one after the other, as `python -m continuum_pipelines.turn` materializes them."""
    from continuum_pipelines.turn import run_turn

    def turn(task: str) -> str:
        outcome = run_turn(task)
        return "waiting" if outcome.waiting else outcome.action

    return turn


def processor_s() -> float:
    """Of this process and of the children that have ended: the worker of a training is one."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Turn twice: the second time there is nothing new, so that what is left is what a turn costs by itself."""
    how, task = sys.argv[1:]
    turn = {"direct": direct, "dagster": dagster}[how]()
    told = {"loaded_s": processor_s()}
    for name in ("turn", "again"):
        wall, processor = time.perf_counter(), processor_s()
        outcome = turn(task)
        told |= {name: outcome, f"{name}_wall_s": time.perf_counter() - wall, f"{name}_s": processor_s() - processor}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
