"""The fast tests at the lowest versions that pyproject.toml allows, at the newest, or at the pinned ones; on any Python.

    python -m releasing.ranges lowest [--python 3.12] [-- tests/store ...]

At the lowest, what is named in pyproject.toml gets its lowest version and what that brings its newest, which is what an
installation meets.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from releasing.environments import ROOT, made, project, run, uv

RESOLUTIONS = {
    "lowest": ("--resolution", "lowest-direct"),
    "highest": ("--resolution", "highest"),
    "pinned": ("--constraint", str(ROOT / "constraints.txt")),
}
NOT_FOR_USERS = {"dev", "docs"}
NOT_RUN = ("tests/benchmarks", "tests/packaging", "tests/examples")
"""What tests the tree or the development environment, and not the libraries."""


def resolved(versions: str, python: str, folder: Path) -> Path:
    """The versions, as a file of requirements for a version of Python."""
    extras = [word for extra in sorted(project()["optional-dependencies"].keys() - NOT_FOR_USERS) for word in ("--extra", extra)]
    command = [uv(), "pip", "compile", "--quiet", "--no-annotate", "--python-version", python, *RESOLUTIONS[versions]]
    target = folder / f"{versions}.txt"
    run(*command, *extras, "--output-file", str(target), str(ROOT / "pyproject.toml"))
    return target


def main() -> int:
    """Resolve, install, test; pytest's exit code."""
    parser = argparse.ArgumentParser(description="Run the fast tests at one end of the ranges, or at the pins.")
    parser.add_argument("versions", choices=RESOLUTIONS)
    parser.add_argument("--python", default=f"{sys.version_info.major}.{sys.version_info.minor}", help="its version, as 3.12")
    parser.add_argument("tests", nargs="*", default=["tests"], help="what pytest is given")
    options = parser.parse_args()
    tools = [line for line in project()["optional-dependencies"]["dev"] if not line.startswith("continuum-ai[")]
    with tempfile.TemporaryDirectory(prefix="continuum-ranges-") as made_here:
        folder = Path(made_here)
        versions = resolved(options.versions, options.python, folder)
        python = made(folder / "environment", tools, "--requirement", str(versions), python=options.python)
        # The project itself too, so that what asks for its version, its ranges or its plugin finds them as users do.
        run(uv(), "pip", "install", "--quiet", "--python", str(python), "--no-deps", "--editable", str(ROOT))
        print(versions.read_text(encoding="utf-8"), flush=True)
        left_out = [f"--ignore={path}" for path in NOT_RUN]
        command = [str(python), "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *left_out, *options.tests]
        path = f"{python.parent}:{os.environ['PATH']}"
        return subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
