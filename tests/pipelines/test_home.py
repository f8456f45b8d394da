"""What `make ui` and `make demo` do with the dagster.yaml of a home."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = (ROOT / "dagster.yaml").read_text()

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(home: Path) -> str:
    """What both do before they start anything; returns what it said."""
    command = ["make", "--no-print-directory", "-C", str(ROOT), "told-of-dagster.yaml"]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_home_without_one_gets_the_project_s_own(tmp_path: Path) -> None:
    make(tmp_path / "dagster")
    assert (tmp_path / "dagster" / "dagster.yaml").read_text() == OURS
    assert (tmp_path / "dagster").stat().st_mode & 0o777 == 0o700
    assert make(tmp_path / "dagster") == ""


def test_one_that_somebody_has_changed_is_left_as_it_is_and_they_are_told_how_to_take_the_new(tmp_path: Path) -> None:
    theirs = tmp_path / "dagster.yaml"
    theirs.write_text("telemetry: {enabled: false}\n")
    os.utime(theirs, (1, 1))

    said = make(tmp_path)

    assert theirs.read_text() == "telemetry: {enabled: false}\n"
    assert f"{theirs} differs from this version's dagster.yaml" in said
    assert f"cp {ROOT}/dagster.yaml {theirs}" in said


def test_both_targets_need_it() -> None:
    rules = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(("ui:", "demo:"))]
    assert len(rules) == 2
    assert all("told-of-dagster.yaml" in rule for rule in rules)
