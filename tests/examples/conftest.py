"""The examples as programs of their own, the way a reader starts them, and what they left in the store."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from continuum.config import load_settings
from continuum.records import Interaction
from continuum.spool.draining import collect
from continuum.store.database import Store

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Captured = Callable[[], list[Interaction]]


@pytest.fixture
def run() -> Run:
    """Run a program of the examples; warnings are errors in those of Python, as they are here."""

    def started(*command: str, given: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, "-W", "error", *command] if command[0].endswith(".py") else list(command)
        return subprocess.run(
            words, cwd=EXAMPLES, env={**os.environ, **environment}, input=given, capture_output=True, text=True, check=False
        )

    return started


@pytest.fixture
def captured(store: Store) -> Captured:
    """What programs that have ended left for the task `support`, oldest first."""

    def brought_in() -> list[Interaction]:
        collect(store, load_settings().spool_dir)
        return sorted(store.interactions.scan("support"), key=lambda one: one.started_at)

    return brought_in
