"""What became of the calls captured in this process."""

from dataclasses import dataclass

from continuum.signals.tallies import tallies
from continuum.spool.spool import default_spool


@dataclass(frozen=True)
class CaptureStats:
    """What became of the calls captured in this process: `captured` is the sum of the four below it."""

    captured: int
    stored: int
    """Written to the store."""
    pending: int
    """On the way to the store, on disk or in memory."""
    dropped: int
    """Refused because neither disk nor memory had room."""
    failed: int
    """Lost because no row could be made of them, or personal data could not be taken out of them."""
    unsampled: int
    """Left out by sampling; not among the captured."""
    untasked: int
    """Calls of the `openai` client that `instrument_openai` left out because no task was named; not among the captured."""
    feedback_stored: int
    feedback_dropped: int
    feedback_failed: int
    feedback_pending: int
    recovered: int
    """Records of processes that had died, stored by this one."""
    on_disk: bool
    """Whether captures go to disk, and so survive this process."""
    disk_bytes: int
    """What this process's captures take on disk until they are stored."""
    memory_bytes: int
    last_error: str | None
    """Why the store, or the disk, takes nothing at present; None while they do."""


def capture_stats() -> CaptureStats:
    """What became of everything captured in this process up to now."""
    here, spool = tallies(), default_spool().stats()
    calls, feedback = spool.calls, spool.feedback
    return CaptureStats(
        captured=calls.received + here.lost,
        stored=calls.stored,
        pending=calls.pending,
        dropped=calls.dropped,
        failed=calls.failed + here.lost,
        unsampled=here.unsampled,
        untasked=here.untasked,
        feedback_stored=feedback.stored,
        feedback_dropped=feedback.dropped,
        feedback_failed=feedback.failed,
        feedback_pending=feedback.pending,
        recovered=spool.recovered,
        on_disk=spool.on_disk,
        disk_bytes=spool.disk_bytes,
        memory_bytes=spool.memory_bytes,
        last_error=spool.last_error,
    )
