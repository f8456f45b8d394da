"""The installed wheel is typed: who uses it rightly hears nothing from a strict type checker, who does not is told where."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.conftest import Installed, without_ours

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CONSUMERS = Path(__file__).parent / "consumers"


def checked(installed: Installed, name: str, folder: Path) -> list[dict[str, Any]]:
    """What pyright says of a file that is alone in a folder, with the wheel's environment behind it."""
    (folder / name).write_text((CONSUMERS / name).read_text(encoding="utf-8"), encoding="utf-8")
    rules = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "include": [name]}
    (folder / "pyrightconfig.json").write_text(json.dumps(rules), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", str(installed.python), "--project", str(folder)]
    done = subprocess.run(command, cwd=folder, env=without_ours(), capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 1, done.stdout[:2000]
    return [one for one in found["generalDiagnostics"] if one["severity"] == "error"]


def test_a_strict_checker_has_nothing_to_say_about_an_application_that_uses_it_rightly(
    installed: Installed, tmp_path: Path
) -> None:
    assert [(one["range"]["start"]["line"] + 1, one["message"]) for one in checked(installed, "right.py", tmp_path)] == []


def test_every_misuse_is_found_on_its_line(installed: Installed, tmp_path: Path) -> None:
    lines = (CONSUMERS / "wrong.py").read_text(encoding="utf-8").splitlines()
    wanted = {number: match[1] for number, line in enumerate(lines, 1) if (match := re.search(r"# finds: (\w+)$", line))}

    said: dict[int, set[str]] = {}
    for one in checked(installed, "wrong.py", tmp_path):
        said.setdefault(one["range"]["start"]["line"] + 1, set()).add(one["rule"])

    assert wanted.keys() <= said.keys()
    assert {number: rule for number, rule in wanted.items() if rule not in said[number]} == {}
    assert said.keys() == wanted.keys(), "something is said where nothing is wrong"
