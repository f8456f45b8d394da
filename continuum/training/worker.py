"""The training worker: `python -m continuum.training.worker FOLDER`, alone or under `accelerate launch`.

It trains what the folder's job says and leaves the report there; run again after any kind of end, it goes on.

| exit code | what it means |
|---|---|
| 0 | the report is in the folder |
| 2 | an error with a name of its own: what was found and what to do is in error.json |
| 1 | any other error; error.json says which |
| 143, 130 | it was asked to stop by SIGTERM or Ctrl-C, and its state is saved; asked twice, it stops at once |

Its standard output is a JSON object a line (`continuum/training/reporting.py`); what libraries print goes to standard error.
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from continuum.errors import ContinuumError, MissingExtra, TrainingInterrupted
from continuum.training.job import ERROR, JOB
from continuum.training.launch import record_error
from continuum.training.lifeline import hold_lifeline
from continuum.training.reporting import open_events

OK, FAILED, REFUSED = 0, 1, 2


class Stop:
    """Whether a signal asked to stop; a second one is not asked about."""

    def __init__(self) -> None:
        self.signal: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked)

    def __call__(self) -> bool:
        """Whether it was asked."""
        return self.signal is not None

    def _asked(self, number: int, _frame: Any) -> None:
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.signal = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Work on the folder that the command line names; returns the exit code."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    if len(told) != 1:
        print("usage: python -m continuum.training.worker FOLDER", file=sys.stderr)
        return REFUSED
    folder = Path(told[0])
    folder = folder.parent if folder.name == JOB else folder
    hold_lifeline()
    stop = Stop()
    try:
        with open_events() as events:
            events.progress(0, 1, "starting")
            try:
                from continuum.training.loop import run_job  # torch, transformers, peft and trl start here
            except ImportError as error:
                raise MissingExtra.of(error, "Training") from error
            run_job(folder, events, stop)
    except TrainingInterrupted as error:
        _leave(folder, error)
        return 128 + (stop.signal or signal.SIGTERM)
    except ContinuumError as error:
        _leave(folder, error)
        return REFUSED
    except Exception as error:  # noqa: BLE001 - the process ends here, and whoever started it must learn why
        traceback.print_exc()
        _leave(folder, error)
        return FAILED
    return OK


def _leave(folder: Path, error: BaseException) -> None:
    """Leave word of what ended the attempt; the first process of several does."""
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    if os.environ.get("RANK", "0") != "0":
        return
    try:
        record_error(folder, error)
    except OSError as unwritten:
        print(f"{folder / ERROR} cannot be written: {unwritten}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
