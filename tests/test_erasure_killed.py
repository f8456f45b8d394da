"""An erasure that is killed at any step goes on with the same command, and ends as one that was never killed."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from continuum.erasing.finding import Request
from continuum.erasure import STEPS, forget
from continuum.store.database import Store
from tests.erased_world import CANARY, JANE, LATER, World, remains

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLED = """
import asyncio, os, signal, sys
from datetime import datetime
from pathlib import Path
from continuum.deployment.settling import Hooks
from continuum.erasing.finding import Request
from continuum.erasure import forget
from continuum.tracking.tracker import FolderTracker

user, at, runs, now = sys.argv[1:]
tracker = FolderTracker(Path(runs))

def until(done, total, step):
    if step == at:
        os.kill(os.getpid(), signal.SIGKILL)

hooks = Hooks(tracker=lambda: tracker, drain_s=0)
moment = datetime.fromisoformat(now)
asyncio.run(forget(Request(user=user), tracker=tracker, hooks=hooks, on_progress=until, now=lambda: moment))
"""


def test_killed_before_each_step_in_turn_it_ends_as_if_it_never_was(store: Store, tmp_path: Path, home: Path) -> None:
    world = World(store, tmp_path)

    for step in STEPS[1:]:
        command = [sys.executable, "-c", KILLED, JANE, step, str(tmp_path / "runs"), LATER.isoformat()]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL, step
        # Of a process that was killed the claim ends by itself after two minutes.
        store.tasks.release("support", store.tasks.get("support").claimed_by or "")

    receipt = asyncio.run(forget(Request(user=JANE), store=store, tracker=world.tracker, now=lambda: LATER))

    assert remains(store, [home, tmp_path / "runs"], (CANARY, JANE, "jane-")) == []
    assert receipt.troubles == ()
    assert receipt.found["interactions"] == 6
    assert receipt.quarantined == ("support-v2", "support-v3")
    assert [one.state for one in store.erasures.every()] == ["erased"]
