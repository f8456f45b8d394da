"""Telling one process from another, and from a later one that got the same number."""

import os
import socket
from functools import lru_cache
from pathlib import Path

PROC = Path("/proc")
STATE, BEGAN = 0, 19
"""Places in `/proc/PID/stat` after the command's name, see proc(5)."""


def this_host() -> str:
    """Where process numbers mean the same: the host, and on Linux the space of process numbers on it."""
    try:
        # Containers may share a host's name and count their processes apart.
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{socket.gethostname()} {space}".strip()


def began(pid: int) -> str | None:
    """When a process of this host began, by its system's count; None when there is none, empty where the system keeps it back."""
    try:
        # The command's name may hold spaces and parentheses; after the last one come the numbers.
        fields = (PROC / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return "" if exists(pid) else None
    # One that has ended and whose parent has not asked for it yet is gone.
    return None if fields[STATE] in {"Z", "X"} else f"{boot()} {fields[BEGAN]}"


def ended(pid: int, since: str) -> bool | None:
    """Whether the process of this host that began at `since` has ended; None where it cannot be told from a later one."""
    found = began(pid)
    if found is None:
        return True
    return found != since if found and since else None


def exists(pid: int) -> bool:
    """Whether the system knows a process of this number; True where it cannot be asked."""
    if os.name != "posix":
        return True  # There, signal 0 is no question.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@lru_cache(maxsize=1)
def boot() -> str:
    """Names the time since the machine was started: process numbers and their count begin anew with it."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return ""
