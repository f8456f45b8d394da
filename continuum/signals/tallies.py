"""What capture counts in the application's own threads; what was handed over is counted by the spool."""

import logging
import os
import threading
from dataclasses import dataclass, replace


@dataclass
class Tallies:
    """Calls that never reached the spool."""

    unsampled: int = 0
    """Left out by sampling."""
    lost: int = 0
    """Not made into a draft, or not freed of personal data where that must not touch the disk."""
    untasked: int = 0
    """Calls of the `openai` client that no task was named for."""


logger = logging.getLogger(__name__)
_lock = threading.RLock()
_tallies = Tallies()


def unsampled() -> None:
    """A call was left out by sampling."""
    with _lock:
        _tallies.unsampled += 1


def lost(error: Exception) -> None:
    """A call could not be kept; the first one of the process is told."""
    with _lock:
        _tallies.lost += 1
        first = _tallies.lost == 1
    if first:
        # The error's own words may hold what was captured.
        logger.warning("continuum: captures are lost, because of a %s; see capture_stats()", type(error).__name__)


def untasked() -> int:
    """A call of the client belongs to no task; returns the how manieth it is."""
    with _lock:
        _tallies.untasked += 1
        return _tallies.untasked


def tallies() -> Tallies:
    """What was counted in this process up to now."""
    with _lock:
        return replace(_tallies)


def _renew_in_child() -> None:
    global _lock, _tallies
    _lock, _tallies = threading.RLock(), Tallies()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_in_child)
