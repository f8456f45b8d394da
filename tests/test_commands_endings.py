"""How commands end: real processes, their exit codes, and what stands on stdout and stderr then."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from continuum.cli import app
from continuum.commands.endings import CODES
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.store.database import Store
from tests.builders import interactions
from tests.stub_endpoint import scores, stub_in_thread

PROGRAM = "from continuum.cli import main; main()"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *arguments]


def ended(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | environment,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["curate", "unknown"], 1, "ConfigurationError", "there is no task 'unknown'"),
        (["tasks", "set", "orders", "auto_train_when=-1"], 1, "ConfigurationError", "auto_train_when"),
        (["nonsense"], 2, "UsageError", "nonsense"),
        (["curate"], 2, "UsageError", "TASK"),
        (["curate", "orders", "--bogus"], 2, "UsageError", "--bogus"),
        (["backfill", "orders", "--list", "--cancel", "x"], 2, "UsageError", "exclude each other"),
        (["guard", "--candidate", "orders-v9"], 3, "ConfigurationError", "no checkpoint 'orders-v9'"),
        (["guard", "--bogus"], 3, "UsageError", "--bogus"),
    ],
)
def test_an_error_is_a_line_for_people_and_a_document_for_programs(
    arguments: list[str],
    code: int,
    kind: str,
    words: str,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from continuum import cli

    monkeypatch.setattr("sys.argv", ["continuum", *arguments, "--json"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()

    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert (exit_.value.code, told["kind"]) == (code, kind)
    assert words.casefold() in told["error"].casefold()
    assert words.casefold() in " ".join(printed.err.split()).casefold()


def test_without_json_an_error_leaves_stdout_empty(store: Store) -> None:
    found = ended("curate", "unknown")

    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("error: there is no task 'unknown'")


def test_an_interrupt_keeps_what_was_judged_and_the_same_command_goes_on(store: Store) -> None:
    waiting, hold = threading.Event(), True

    async def judge(call: int, _: object) -> str:
        if hold and call > 3:
            waiting.set()
            await asyncio.sleep(60)
        return scores(helpfulness=5, accuracy=5, conciseness=5, tone=5)

    with stub_in_thread(judge) as stub:
        policy = JudgePolicy(model="stub", base_url=stub.base_url, admission="off", anchors=0, audit_rate=0, concurrency=1)
        store.tasks.register(TaskPolicy(task="support", judge=policy))
        store.interactions.add(interactions(8))
        environment = os.environ | {"CONTINUUM_JUDGE_API_KEY": "none"}
        process = subprocess.Popen(command("annotate", "support"), env=environment, stderr=subprocess.PIPE, text=True)
        assert waiting.wait(60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        hold = False

        assert process.returncode == 130
        assert "what was finished is kept" in said
        assert "Traceback" not in said
        finished = ended("annotate", "support", "--json", CONTINUUM_JUDGE_API_KEY="none")

    counted = json.loads(finished.stdout)["stats"]
    assert (counted["total"], counted["cached"]) == (8, 3)
    assert stub.calls == 3 + 1 + 5


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["proof"], 1),
        (["dataset", "export", "support"], 1),
        (["init", "shop", "--file"], 1),
        (["guard", "--replay"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_name_that_no_file_can_have_is_refused_in_a_line(arguments: list[str], code: int, store: Store) -> None:
    store.tasks.ensure("support")

    done = ended(*arguments, "9" * 400, "--json")

    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert json.loads(done.stdout)["error"]


def test_a_reader_that_goes_away_hears_no_complaint(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    for arguments in (["status"], ["tasks", "show", "support"], ["tasks", "--json"], ["--help"]):
        process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.stderr.close()

        assert said == ""
        assert process.wait(60) in (0, 1)


def test_where_nobody_looks_there_are_neither_colours_nor_bars(store: Store, tmp_path: Path) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    store.interactions.add(interactions(3))

    for arguments in (["tasks"], ["status"], ["tasks", "show", "support"], ["gather", "support"], ["--help"], ["nonsense"]):
        found = ended(*arguments)
        assert "\x1b" not in found.stdout + found.stderr
        assert "\r" not in found.stdout + found.stderr


def test_the_help_tells_every_exit_code(store: Store) -> None:
    told = " ".join(ended("--help").stdout.replace("│", " ").split())

    assert "Exit codes" in told
    for code, meaning in CODES.items():
        assert f"{code} {meaning}" in told
    assert app.info.epilog


def test_a_database_that_fails_is_said_in_a_line_and_not_by_a_traceback(store: Store, home: Path) -> None:
    with sqlite3.connect(home / "continuum.db") as connection:
        connection.execute("DROP TABLE gateway_keys")

    done = ended("keys", "list")

    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "error: the store failed: no such table: gateway_keys; see `continuum doctor`"
    assert "Traceback" not in done.stderr


def test_what_nobody_foresaw_is_a_traceback_for_people_and_a_document_for_programs(store: Store) -> None:
    added = "from continuum import cli\ndef divide(json: bool = False): 1 / 0\ncli.app.command()(divide)\ncli.main()"

    for asked, told in ((["--json"], {"error": "division by zero", "kind": "ZeroDivisionError"}), ([], None)):
        line = [sys.executable, "-c", added, "divide", *asked]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert (json.loads(done.stdout) if done.stdout else None) == told
        assert "Traceback" in done.stderr
