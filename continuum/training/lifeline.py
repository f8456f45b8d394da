"""A worker never outlives whoever started it.

The one who starts it keeps the worker's standard input open and says so in its environment. When that input ends, because it was
closed to stop the worker or because the other is gone, killed included, the worker ends too: as by SIGTERM, so that it can save
its state; and without another word if that takes too long.
"""

import os
import signal
import threading
import time
from collections.abc import Mapping

LIFELINE = "CONTINUUM_LIFELINE"
GRACE_S = 30.0
"""Seconds between being asked to end and being ended."""


def lifeline() -> Mapping[str, str]:
    """What the environment of a worker must hold so that it watches its standard input."""
    return {LIFELINE: "stdin"}


def hold_lifeline() -> None:
    """Watch the standard input from another thread, where the environment asks for it; the first thing that a worker does.

    A worker that was started by hand has no lifeline: it may run with no input at all.
    """
    if os.environ.get(LIFELINE) == "stdin":
        threading.Thread(target=_watch, name="continuum-lifeline", daemon=True).start()


def _watch() -> None:
    try:
        while os.read(0, 1024):
            pass
    except OSError:
        # It was never open: nobody can be missed.
        return
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)
