"""What became of what was captured, in numbers."""

from dataclasses import dataclass


@dataclass
class Tally:
    """What became of one kind of record."""

    received: int = 0
    stored: int = 0
    """Written to the store, or found to be there already."""
    dropped: int = 0
    """Refused because neither disk nor memory had room."""
    failed: int = 0
    """No record could be made of it, or the store refused what it holds."""
    left: int = 0
    """Left on disk when the spool was closed; the next start stores it."""

    @property
    def pending(self) -> int:
        """Waiting, on disk or in memory."""
        return self.received - self.stored - self.dropped - self.failed - self.left


@dataclass(frozen=True)
class SpoolStats:
    """How the spool does."""

    calls: Tally
    feedback: Tally
    recovered: int
    """Interactions and feedback that dead processes had left, stored by this one."""
    on_disk: bool
    """Whether new captures go to disk."""
    disk_bytes: int
    """What this process's segments take."""
    memory_bytes: int
    last_error: str | None
    """Why the store, or the disk, takes nothing at present; None while they do."""
