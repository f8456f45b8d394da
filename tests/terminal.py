"""A real terminal for a command: a pseudo-terminal that answers its questions."""

import contextlib
import os
import pty
import subprocess
from collections.abc import Sequence


def at_a_terminal(command: Sequence[str], answers: str, **environment: str) -> tuple[int, str]:
    """Run a command at a terminal of its own, type the answers, and give back its exit code and all that was shown."""
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"} | environment, close_fds=True
    )
    os.close(theirs)
    os.write(mine, answers.encode())
    shown = b""
    # Linux ends the reading of a terminal that its last process has left with an error.
    with contextlib.suppress(OSError):
        while part := os.read(mine, 4096):
            shown += part
    os.close(mine)
    return process.wait(60), shown.decode(errors="replace")
