"""The demo as a command."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "from continuum.cli import main; main()"


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_in_the_middle_of_its_first_chapter_and_leaves_no_half_model(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "demo", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Continuum turns the wheel twice" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        told = json.loads(process.stdout.read())

    assert process.returncode == 130
    assert "Traceback" not in said
    assert told["kind"] == "Interrupted"
    assert not list(home.rglob("model.safetensors"))
