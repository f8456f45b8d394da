"""Fresh environments, made and filled by uv from the index that this machine is set up for."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def uv() -> str:
    """The program of this environment, or of the PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SystemExit("uv is not installed; run this by its target of the Makefile, or: pip install -r releasing/tools.txt")
    return found


def run(*command: str, folder: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that must succeed.

    Raises:
        SystemExit: it did not; with what it said.
    """
    outer = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=folder or ROOT, env={**outer, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done


def made(folder: Path, wanted: Sequence[str], *options: str, python: str = sys.executable) -> Path:
    """An environment of a Python, by its path or version, with some requirements in it; returns its interpreter.

    Raises:
        SystemExit: there is no such Python, or something cannot be installed.
    """
    run(uv(), "venv", "--quiet", "--python", python, "--no-python-downloads", str(folder))
    interpreter = folder / "bin" / "python"
    run(uv(), "pip", "install", "--quiet", "--python", str(interpreter), *options, *wanted)
    return interpreter
