"""Processes killed for real, at random points of capture and of drain: what a call returned from is stored, once."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from continuum.spool.draining import collect
from continuum.store.database import Store, open_store

APPLICATION = """
import sys
from continuum import capture

@capture(task="support")
def answer(question: str) -> str:
    return "answer to " + question

name = sys.argv[1]
for n in range(1_000_000):
    answer(f"{name} asks {n}")
    sys.stdout.write(f"{name} asks {n}\\n")
    sys.stdout.flush()
"""
DRAINER = """
import sys
from pathlib import Path
from continuum.config import load_settings
from continuum.spool.draining import collect
from continuum.store import default_store

print("ready", flush=True)
collect(default_store(), load_settings().spool_dir)
"""


def acknowledged_by(name: str, *, seconds: float) -> list[str]:
    """Run the application, kill it some time after its first call, and say which calls had returned."""
    process = subprocess.Popen([sys.executable, "-c", APPLICATION, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        said = [process.stdout.readline()]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            said.append(process.stdout.readline())
        process.kill()
        said += process.stdout.readlines()
    process.wait(30)
    return [line.rstrip("\n") for line in said if line.endswith("\n")]


def drain_and_kill(seconds: float) -> None:
    """A process that drains what is left, killed on the way."""
    process = subprocess.Popen([sys.executable, "-c", DRAINER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    process.wait(30)


def check_nothing_lost_nothing_doubled(store: Store, home: Path, rng: random.Random, *, kills: int) -> None:
    acknowledged: list[str] = []
    for kill in range(kills):
        acknowledged += acknowledged_by(f"process {kill}", seconds=rng.uniform(0.0, 0.6))
        drain_and_kill(rng.uniform(0.0, 0.4))
    collect(store, home / "spool")

    stored = Counter(one.messages[0].text for one in store.interactions.scan("support", status=None))
    assert acknowledged
    assert [question for question in acknowledged if question not in stored] == []
    assert [question for question, times in stored.items() if times > 1] == []
    assert not list((home / "spool").iterdir())
    assert store.segments.names() == []


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_doubled_however_processes_die(store: Store, home: Path) -> None:
    check_nothing_lost_nothing_doubled(store, home, random.Random(1), kills=4)


@pytest.mark.slow
def test_nor_with_postgres(postgres_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", postgres_url)
    store = open_store(postgres_url)
    store.drop_task("support")

    check_nothing_lost_nothing_doubled(store, home, random.Random(2), kills=2)

    store.drop_task("support")
    store.close()
