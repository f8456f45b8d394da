"""Runs the benchmarks of a package: tables on stdout, progress on stderr, and the entries as JSON on the last line."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks.claims import Entry, Result, Setting, as_json, show


@dataclass(frozen=True)
class Suite:
    """Benchmarks that are run together."""

    package: str
    """Where they are: a module each with a function `measure`."""
    about: str
    names: tuple[str, ...]
    """In the order they run."""
    too_long: tuple[str, ...] = ()
    """Left out of a quick run unless asked for by name."""
    prepared: Callable[[Setting], Setting] = lambda setting: setting
    """Adds to a setting what all of them need; called once, with the folder of the whole run."""

    def chosen(self, only: str | None, quick: bool) -> list[str]:
        """What is to be run."""
        return [only] if only else [name for name in self.names if not (quick and name in self.too_long)]

    def benchmark(self, name: str) -> Callable[[Setting], Result]:
        """The function of a benchmark; its libraries start here."""
        return import_module(f"{self.package}.{name}").measure


def run(suite: Suite, arguments: Sequence[str] | None = None) -> int:
    """Run a suite, or the one benchmark that is named; 1 where a goal was missed or a benchmark broke."""
    options = parser(suite).parse_args(arguments)
    console = Console(width=max(120, shutil.get_terminal_size().columns))
    errors = Console(stderr=True)
    entries: list[Entry] = []
    folder = Path(tempfile.mkdtemp(prefix="continuum-bench-"))
    try:
        whole = suite.prepared(Setting(options.quick, folder, options.data, options.seed, reporter(errors)))
        for name in suite.chosen(options.only, options.quick):
            own = folder / name
            own.mkdir()
            begun = time.monotonic()
            try:
                result = suite.benchmark(name)(whole.of(own))
            except Exception as error:  # noqa: BLE001  the others can still be measured, and this one is not passed over
                errors.print_exception(max_frames=3)
                entries.append(Entry(f"{name}: {type(error).__name__}, see the log", None, None, None, "measured", False))
                continue
            errors.print(f"{name}: {time.monotonic() - begun:.0f} s", style="dim")
            show(result, console)
            entries += result.entries
            shutil.rmtree(own, ignore_errors=True)
    except KeyboardInterrupt:
        errors.print("Interrupted: what was measured up to here follows.", style="yellow")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    print(as_json(entries), flush=True)
    return int(any(entry.holds is False for entry in entries))


def main(suite: Suite) -> None:
    """Run a suite as a program of its own."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Who is told to end cleans up as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(suite))


def reporter(errors: Console) -> Callable[[str], None]:
    """Progress: on a terminal in place, elsewhere line by line but not more often than every few seconds."""
    last = 0.0

    def say(text: str) -> None:
        nonlocal last
        if errors.is_terminal:
            errors.print(f"\r{text:<100}", end="", style="dim", highlight=False, soft_wrap=True)
        elif time.monotonic() - last >= 3:
            last = time.monotonic()
            errors.print(text, style="dim", highlight=False)

    return say


def parser(suite: Suite) -> argparse.ArgumentParser:
    """What may be said on the command line."""
    made = argparse.ArgumentParser(prog=f"python -m {suite.package}", description=suite.about)
    made.add_argument("--quick", action="store_true", help="smaller, in under a minute")
    made.add_argument("--data", type=Path, metavar="DIR", help="a folder of JSONL files of real conversations; made up without")
    made.add_argument("--only", choices=suite.names, metavar="NAME", help=f"run one of {', '.join(suite.names)}")
    made.add_argument("--seed", type=int, default=0, help="of all that is random")
    return made
