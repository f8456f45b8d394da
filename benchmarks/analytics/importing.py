"""What `import continuum` costs the application that captures: CPU of a process that imports it, in bare interpreters.

Each round starts a bare interpreter, one that imports continuum, and the others one after another, so that all of them meet the
same machine. The CPU is what the kernel counted for the process, start and end included; bytecode is there before the first.
"""

import importlib.util
import os
import statistics
import sys
from pathlib import Path

from benchmarks.claims import Entry, Result, Setting, table

ROUNDS, ROUNDS_QUICK = 20, 5
MOST = 12.0
BARE, OURS = "bare interpreter", "import continuum"
PROGRAMS = {
    BARE: "pass",
    "import pydantic": "import pydantic",
    OURS: "import continuum",
    "all public names": "from continuum import *",
    "import openai": "import openai",
}


def measure(setting: Setting) -> Result:
    """The median over the rounds of each round's ratio."""
    programs = {name: code for name, code in PROGRAMS.items() if name != "import openai" or importlib.util.find_spec("openai")}
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for code in programs.values():
        cpu_ms(code, setting.folder)
    for number in range(ROUNDS_QUICK if setting.quick else ROUNDS):
        setting.say(f"importing: round {number + 1}")
        for name, code in programs.items():
            taken[name].append(cpu_ms(code, setting.folder))
    shown = table(f"CPU of a process, median of {len(taken[BARE])} rounds", "program", "ms", "times bare")
    for name, times in taken.items():
        shown.add_row(name, f"{statistics.median(times):.0f}", f"{ratio(times, taken[BARE]):.1f}")
    entry = Entry.of_value("CPU of `import continuum`, in bare interpreters", ratio(taken[OURS], taken[BARE]), "<=", MOST)
    return Result([entry], shown)


def ratio(times: list[float], bare: list[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(ours / base for ours, base in zip(times, bare, strict=True))


def cpu_ms(code: str, folder: Path) -> float:
    """CPU of an interpreter that runs a line, in milliseconds; its bytecode is kept in the folder.

    Raises:
        RuntimeError: the line failed.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder)}
    # Where bytecode is not kept, every import would compile what was edited last.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = os.posix_spawn(sys.executable, [sys.executable, "-c", code], environment)
    _, status, used = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"python -c {code!r} ended with {os.waitstatus_to_exitcode(status)}; is the project installed?")
    return (used.ru_utime + used.ru_stime) * 1000
