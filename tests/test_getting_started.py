"""GETTING_STARTED.md from top to bottom in an empty folder: real servers, a real turn, and what it prints.

`pytest -s` shows how long each command took, which is where the page's own times are from.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "GETTING_STARTED.md"
INSTALLATION = ("python3.11 -m venv .venv && . .venv/bin/activate", 'pip install -c constraints.txt -e ".[training]"')
"""What is not run: the environment of the tests is what these two lines make."""
IMPROVED = "continuum guard --candidate support-v1"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A line after a `$`, and the lines that the page shows below it."""

    line: str
    shown: tuple[str, ...]


class File(NamedTuple):
    """A Python block that is to be saved."""

    name: str
    text: str


def steps() -> Iterator[Command | File]:
    """The blocks of the page in order."""
    for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            first = body.partition("\n")[0]
            assert re.fullmatch(r"# \w+\.py", first), f"a Python block has to begin with the name of its file, not with {first!r}"
            yield File(first.removeprefix("# "), body)
        else:
            assert language == "console", f"there is no way to run a block of {language}"
            for chunk in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, *shown = chunk.rstrip("\n").split("\n")
                yield Command(line, tuple(shown))


def without_figures(line: str) -> str:
    """A line without what differs from run to run: ids and numbers. Spaces count once."""
    plain = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b", "ID", line)
    return " ".join(re.sub(r"[+-]?\$?\d[\d.,:]*%?", "N", plain).split())


def missing(shown: tuple[str, ...], printed: str) -> list[str]:
    """The lines that the page shows and the command did not print, figures aside; `...` stands for anything."""
    there = [without_figures(line) for line in printed.splitlines()]
    found: list[str] = []
    for line in shown:
        if line.strip() == "...":
            continue
        wanted = without_figures(line)
        head = wanted.removesuffix("...")
        if not any(one == wanted or (head != wanted and one.startswith(head)) for one in there):
            found.append(line)
    return found


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [door.getsockname()[1] for door in doors]
    for door in doors:
        door.close()
    return ports


@dataclass
class Shell:
    """One bash, as a reader's terminal is one: what a command exports is there for the next."""

    folder: Path
    bash: subprocess.Popen[str]
    elsewhere: dict[str, str]
    """What stands on the page, and what is run for it: ports that are free here."""
    number: int = 0

    def here(self, text: str) -> str:
        """What the page says, with the ports of this machine."""
        for there, here in self.elsewhere.items():
            text = text.replace(there, here)
        return text

    def run(self, line: str) -> tuple[int, str]:
        """The exit code, and what was printed to either stream; of a background command nothing is read."""
        self.number += 1
        line = self.here(line)
        if line.endswith(" &"):
            line = f"{line[:-2]} > {self.folder}/background-{self.number}.log 2>&1 &"
        script = self.folder / f"command-{self.number}.sh"
        script.write_text(line + "\n", encoding="utf-8")
        assert self.bash.stdin is not None
        assert self.bash.stdout is not None
        self.bash.stdin.write(f". {script} < /dev/null\nprintf '\\n@ended %s\\n' $?\n")
        self.bash.stdin.flush()
        printed: list[str] = []
        for said in self.bash.stdout:
            if said.startswith("@ended "):
                return int(said.split()[1]), "".join(printed)
            printed.append(said)
        raise AssertionError(f"the shell ended at {line!r}:\n{''.join(printed)}")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder, with an empty home and nothing of this machine's settings; its children end with it."""
    folder = tmp_path / "reader"
    folder.mkdir()
    production, tuned, front = free_ports(3)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "CONTINUUM_SERVING_URL": f"http://127.0.0.1:{tuned}/v1",
    }
    elsewhere = {
        "8791": str(production),
        "8787": str(front),
        "continuum serve &": f"continuum serve --port {tuned} &",
        "continuum gateway --task support &": f"continuum gateway --task support --port {front} &",
    }
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-s"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as bash:
        try:
            yield Shell(tmp_path, bash, elsewhere)
        finally:
            os.killpg(bash.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_runs_from_top_to_bottom_and_prints_what_it_shows(shell: Shell) -> None:
    took: list[tuple[float, str]] = []
    wrong: list[str] = []
    began = time.perf_counter()
    for step in steps():
        if isinstance(step, File):
            where = shell.run("pwd")[1].strip()
            (Path(where) / step.name).write_text(shell.here(step.text), encoding="utf-8")
            continue
        if step.line in INSTALLATION:
            continue
        started = time.perf_counter()
        code, printed = shell.run(step.line)
        took.append((time.perf_counter() - started, step.line))
        assert code == 0, f"{step.line} ended with {code}:\n{printed}"
        if lines := missing(step.shown, printed):
            wrong.append("\n".join([f"{step.line} does not print", *lines, "but", printed]))
        if step.line == IMPROVED:
            sys.stdout.write(f"\n{time.perf_counter() - began:.0f} s until the improved model was measured\n")
    sys.stdout.write("".join(f"{seconds:6.1f} s  {line}\n" for seconds, line in took))
    sys.stdout.write(f"{time.perf_counter() - began:6.1f} s  together\n")
    assert not wrong, "\n\n".join(wrong)


def test_the_lines_that_install_name_an_extra_and_a_file_that_exist() -> None:
    lines = [step.line for step in steps() if isinstance(step, Command) and ("pip" in step.line or "venv" in step.line)]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

    assert lines == list(INSTALLATION)
    assert set(re.findall(r"\[(\w+)\]", lines[1])) <= set(extras)
    assert (ROOT / "constraints.txt").exists()


def test_a_line_is_missed_when_only_its_words_differ_and_not_for_its_figures() -> None:
    printed = "support-v1 is canary, 25% of the traffic\nid 01a2093a-afec-73e0-9c10-639715101e4a, $0.4\n"

    assert missing(("support-v1 is canary, 5% of the traffic",), printed) == []
    assert missing(("...", "id 01a2093a-ffff-73e0-9c10-639715101e4a, $12.50", "support-v1 is ..."), printed) == []
    assert missing(("support-v1 is live, 25% of the traffic",), printed) == ["support-v1 is live, 25% of the traffic"]
