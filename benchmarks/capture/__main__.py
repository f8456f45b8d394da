"""Runs the benchmarks of capture: tables on stdout, progress on stderr, and the entries as JSON on the last line."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks.capture.claims import Entry, Result, Setting, as_json, show
from benchmarks.capture.subject import peers_are_there
from benchmarks.capture.texts import texts

NAMES = ("caller", "kills", "outage", "draining", "reading", "redacting", "rating")
"""The benchmarks, a module each with a function `measure`, in the order they run."""
TOO_LONG = ("reading",)
"""Left out of a quick run unless it is asked for: its store takes longer to fill than the rest to run."""


def main(arguments: list[str] | None = None) -> int:
    """Run them all, or the one that is named; 1 where a goal was missed or a benchmark broke."""
    options = parser().parse_args(arguments)
    console = Console(width=max(120, shutil.get_terminal_size().columns))
    errors = Console(stderr=True)
    if not peers_are_there():
        errors.print("The peers are not installed: their columns stay empty (`make bench-peers` installs them).", style="yellow")
    entries: list[Entry] = []
    folder = Path(tempfile.mkdtemp(prefix="continuum-bench-"))
    try:
        file = folder / "texts.json"
        file.write_text(json.dumps(texts(options.data, options.seed)), "utf-8")
        for name in names(options):
            own = folder / name
            own.mkdir()
            setting = Setting(
                quick=options.quick,
                folder=own,
                texts=file,
                data=options.data,
                seed=options.seed,
                say=reporter(errors),
                peers=peers_are_there(),
            )
            begun = time.monotonic()
            try:
                result = benchmark(name)(setting)
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


def names(options: argparse.Namespace) -> list[str]:
    """What is to be run."""
    return [options.only] if options.only else [name for name in NAMES if not (options.quick and name in TOO_LONG)]


def benchmark(name: str) -> Callable[[Setting], Result]:
    """The function of a benchmark; its libraries start here."""
    return import_module(f"benchmarks.capture.{name}").measure


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


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.capture", description="Capture and its store against their goals.")
    made.add_argument("--quick", action="store_true", help="fewer rounds, rows, kills and peers: under a minute in all")
    made.add_argument("--data", type=Path, metavar="DIR", help="take what the calls say from the JSONL files of this folder")
    made.add_argument("--only", choices=NAMES, metavar="NAME", help=f"run one of {', '.join(NAMES)}")
    made.add_argument("--seed", type=int, default=0, help="of the texts, the order of rounds and the moments of the kills")
    return made


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Who is told to end cleans up as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
