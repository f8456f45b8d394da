"""`continuum watch`: it leads and says what it did, and its view shows what any process leads."""

import asyncio
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.deployment import transitions
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
from continuum.deployment.transitions import Cause
from continuum.errors import ConfigurationError, StoreError
from continuum.policy import TaskPolicy
from continuum.serving_records import DeploymentEvent
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.deployment.conftest import MakeCheckpoint
from tests.deployment.live import a_deployment

pytestmark = pytest.mark.usefixtures("wide")

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def ran(*words: str) -> tuple[int, str, str]:
    """How the command ends, what it prints, and what it says beside that."""
    found = CliRunner().invoke(app, ["watch", *words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, found.stdout, found.stderr


@pytest.fixture
def trial(store: Store, a_checkpoint: MakeCheckpoint) -> Deployment:
    """support-v1, on trial at its first share for three hours."""
    store.tasks.register(TaskPolicy(task="support"))
    at = utc_now() - timedelta(hours=3)
    deployer = ModelDeployer(store=store, backend_url="http://127.0.0.1:9/v1", now=lambda: at)
    return asyncio.run(deployer.deploy(a_checkpoint()))


def test_once_looks_once_and_without_a_judge_says_that_nothing_goes_on(store: Store, trial: Deployment) -> None:
    code, said, _ = ran("--once")

    assert code == 0
    assert "support: support-v1 is canary at 5%: alarm, the watch has no working signal" in said
    found = store.deployments.get(trial.id)
    assert found is not None
    assert (found.traffic, found.alarm is not None) == (0.05, True)


def test_what_it_does_by_itself_is_signed_watch(store: Store, trial: Deployment) -> None:
    ran("--once")

    assert store.deployments.events(trial.id)[-1].actor == "watch"


def test_once_ends_with_1_where_people_could_not_be_told(
    store: Store, trial: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_NOTIFY_WEBHOOK", "http://127.0.0.1:9/hook")

    code, _, beside = ran("--once")

    assert code == 1
    assert "notifications were refused" in beside


def test_once_ends_with_1_where_a_model_could_not_be_unloaded_and_says_why_it_was_taken_back(
    store: Store, trial: Deployment
) -> None:
    transitions.take_back(store, trial.record, Cause("gateway", "the breaker opened", at=utc_now()))

    code, said, _ = ran("--once")

    assert code == 1
    assert "is rolled_back at 0%: done, the breaker opened; support-v1 may still be loaded at its server" in said


def test_without_a_deployment_it_says_so(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))

    assert ran("support", "--once")[:2] == (0, "no deployment is to be led\n")
    with pytest.raises(ConfigurationError, match="there is no task 'suport'; known: support"):
        ran("suport")
    with pytest.raises(ConfigurationError, match="'soon' is not a span of time"):
        ran("--every", "soon")


def test_who_is_told_shows_as_hosts_and_nothing_else(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_NOTIFY_SLACK", "https://hooks.example.com/services/s3cr3t")
    monkeypatch.setenv("CONTINUUM_APPROVAL_WEBHOOK", "http://127.0.0.1:9/s3cr3t")

    _, said, beside = ran("--once")

    assert "hooks: slack at https://hooks.example.com, approvals at http://127.0.0.1:9" in beside
    assert "s3cr3t" not in said + beside


def test_read_only_shows_and_changes_nothing(store: Store, trial: Deployment) -> None:
    code, said, _ = ran("--read-only", "--once")

    assert code == 0
    assert "1 deployment · no alarm · read " in said
    assert "support-v1  canary  █░░░░░░░░░░░░░░░░░░░ 5%, the rest production" in said
    found = store.deployments.get(trial.id)
    assert found is not None
    assert found.version == trial.record.version


def test_a_champion_that_was_looked_at_is_shown_by_every_view(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    champion = a_deployment(store, shares=(0.5, 1.0), live=True)
    ran("--once")
    last = store.deployments.events(champion.id)[-1]
    assert (last.action, last.evidence["quality"]) == ("alarm", None)

    for words in (("--once",), ("--once", "--live"), ("--read-only", "--once")):
        code, said, _ = ran(*words)
        assert code == 0, words
    assert "support-v1  live  " in said
    assert "100%" in said


def test_the_view_of_one_look_holds_what_that_look_found(store: Store, trial: Deployment) -> None:
    _, said, _ = ran("--once", "--live")

    assert "1 deployment · 1 ALARM · last look " in said
    assert said.count("the watch has no working signal") == 2, "in the line of what was done, and as the alarm"


def test_names_and_words_of_others_reach_no_terminal_as_they_are(store: Store) -> None:
    record = a_deployment(store, task="evil \x1b[2J", model="m\x1b[31m-v1", stable_model="[red]old\x07")
    event = DeploymentEvent(deployment_id=record.id, actor="a\x1b]0;t\x07", action="hold", reason="w\x1b[5m[/red]\u202eait")
    assert store.deployments.change(record, event, alarm="[bold]look\x1b[31m\nhere") is not None
    store.tasks.register(TaskPolicy(task="evil"))

    for words in (("--read-only", "--once"), ("--once", "--live")):
        _, said, beside = ran(*words)
        assert not [one for one in said + beside if one != "\n" and unicodedata.category(one) in ("Cc", "Cf")]
        assert "[bold]look here" in said
        assert "[red]old" in said


# --- on a real terminal -------------------------------------------------------------------------------------------------


class OnTerminal:
    """`continuum watch` in a process of its own, on a terminal of its own."""

    def __init__(self, *words: str, columns: int = 140, lines: int = 50, **environment: str) -> None:
        self._screen, other = pty.openpty()
        size = {"COLUMNS": str(columns), "LINES": str(lines), "TERM": "xterm"}
        command = [sys.executable, "-c", "from continuum.cli import main; main()", "watch", *words]
        self.process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, env=os.environ | size | environment, start_new_session=True
        )
        os.close(other)
        self.text = ""

    def sees(self, words: str, *, within_s: float = 60) -> bool:
        """Whether the words come up."""
        end = time.monotonic() + within_s
        while words not in self.text and time.monotonic() < end:
            ready, _, _ = select.select([self._screen], [], [], 0.2)
            if ready:
                try:
                    self.text += ANSI.sub("", os.read(self._screen, 65536).decode(errors="replace"))
                except OSError:
                    break  # It has ended.
        return words in self.text

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._screen)


@pytest.fixture
def on_terminal(home: Path) -> Iterator[Callable[..., OnTerminal]]:
    opened: list[OnTerminal] = []

    def start(*words: str, **named: Any) -> OnTerminal:
        opened.append(OnTerminal(*words, **({"CONTINUUM_HOME": str(home)} | named)))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.mark.slow
def test_on_a_terminal_the_view_follows_what_others_change_and_ends_when_it_is_interrupted(
    store: Store, trial: Deployment, on_terminal: Callable[..., OnTerminal]
) -> None:
    live = on_terminal("--live", "--every", "1s")
    assert live.sees("support-v1  canary"), live.text
    assert live.sees("ALARM support-v1: the watch has no working signal"), live.text
    newest = store.deployments.get(trial.id)
    assert newest is not None
    asyncio.run(Deployment(newest, store=store).promote(reason="from another process", actor="ada"))
    assert live.sees("25%, the rest production"), live.text
    assert live.sees("promote 5% → 25% by ada: from another process"), live.text

    live.process.send_signal(signal.SIGINT)

    assert live.sees("interrupted; what was finished is kept"), live.text
    assert live.process.wait(20) == 130


@pytest.mark.slow
def test_a_small_terminal_shows_every_task_and_every_alarm(
    store: Store, trial: Deployment, on_terminal: Callable[..., OnTerminal]
) -> None:
    store.tasks.register(TaskPolicy(task="checkout"))
    other = a_deployment(store, task="checkout", model="checkout-v2", stable_model="checkout-v1")
    for record in (trial.record, other):
        event = DeploymentEvent(deployment_id=record.id, actor="watch", action="alarm")
        assert store.deployments.change(record, event, alarm=f"look at {record.model}") is not None

    small = on_terminal("--read-only", columns=80, lines=24)

    for words in ("2 ALARMS", "ALARM checkout-v2: look at checkout-v2", "ALARM support-v1: look at", "checkout-v2  canary"):
        assert small.sees(words), small.text
    assert small.sees("support-v1  canary"), small.text


@pytest.mark.slow
def test_a_store_that_is_down_at_the_start_is_waited_for(postgres_url: str, on_terminal: Callable[..., OnTerminal]) -> None:
    folder = Path(parse_qs(urlsplit(postgres_url).query)["host"][0])
    # The path of a socket may have a hundred letters, which pytest's own folder uses up.
    with tempfile.TemporaryDirectory(prefix="continuum-") as short:
        url = f"postgresql://postgres:@/postgres?host={short}/server"
        early = on_terminal("--every", "0.2s", CONTINUUM_DATABASE_URL=url)
        assert early.sees("the store does not answer and is waited for: the store at postgresql"), early.text

        (Path(short) / "server").symlink_to(folder)

        assert early.sees("the store answers"), early.text
        early.process.send_signal(signal.SIGINT)
        assert early.process.wait(20) == 130


def test_once_does_not_wait_for_a_store_that_is_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", f"postgresql://postgres:@/postgres?host={tmp_path}/nowhere")

    for words in (("--once",), ("--once", "--read-only"), ("--read-only",)):
        with pytest.raises(StoreError, match="cannot be opened"):
            ran(*words)
