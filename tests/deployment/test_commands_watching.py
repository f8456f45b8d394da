"""`continuum watch`: it leads and says what it did, and its view shows what any process leads."""

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from continuum.cli import app
from continuum.commands.watching import panel
from continuum.deployment import transitions
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
from continuum.deployment.standing import standing
from continuum.deployment.transitions import Cause
from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.serving_records import DeploymentEvent
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.builders import NOON
from tests.deployment.conftest import MakeCheckpoint
from tests.deployment.live import GOOD, HOUR, a_deployment, both


def ran(*words: str) -> tuple[int, str, str]:
    """How the command ends, what it prints, and what it says beside that."""
    found = CliRunner().invoke(app, ["watch", *words], env={"COLUMNS": "160"})
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, found.stdout, found.stderr


def shown(renderable: Any) -> str:
    """What a terminal of 140 columns shows."""
    console = Console(width=140, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(renderable)
        return console.export_text()


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
    assert "support · support-v1 · canary" in said
    assert "5% support-v1, the rest production" in said
    found = store.deployments.get(trial.id)
    assert found is not None
    assert found.version == trial.record.version


def test_the_picture_shows_split_quality_latency_errors_cost_and_the_last_events(store: Store) -> None:
    record = a_deployment(store, shares=(0.5,), ramp_schedule=(0.5, 1.0))
    store.interactions.add(both(record, [GOOD] * 4, [GOOD] * 4, cost_usd=0.01))
    evidence = {
        "quality": {
            "words": "surely within the limit: -0.010",
            "candidate": {"conversations": 40, "mean": 0.91},
            "stable": {"conversations": 38, "mean": 0.92},
        },
        "split": {"candidate": 40, "stable": 38, "expected": 39.0, "p": 0.8},
        "spend": {"this_look_usd": 0.002, "period": "2026-03", "period_usd": 1.5, "limit_usd": 20.0},
    }
    event = DeploymentEvent(
        deployment_id=record.id, actor="controller", action="hold", reason="[red]wait[/red]", at=NOON, evidence=evidence
    )
    changed = store.deployments.change(record, event, alarm="look \x1b[31mhere")
    assert changed is not None

    text = shown(panel(standing(store, changed, now=NOON + HOUR), words="not yet known"))

    for words in (
        "support · support-v1 · canary · unguarded",
        "█" * 15 + "░" * 15 + " 50% support-v1, the rest production",
        "300 ms",
        "200 ms",
        "0 (0.0%)",
        "$0.0400",
        "0.910",
        "quality (as of 03-01 12:00 UTC): surely within the limit: -0.010",
        "split: 40 of 78 units went to the candidate, 39 were expected (p 0.8)",
        "judging: $0.0020 in this look, $1.50 of $20.00 in 2026-03",
        "last look: not yet known",
        "next: 100% of the traffic from 2026-03-01 14:00 UTC on",
        "ALARM look here",
        "hold by controller: [red]wait[/red]",
    ):
        assert words in text, text
    assert "\x1b" not in text


def test_the_picture_of_one_that_nobody_has_looked_at_says_so(store: Store, trial: Deployment) -> None:
    text = shown(panel(standing(store, trial.record, now=utc_now())))

    assert "quality: not looked at yet" in text


# --- on a real terminal -------------------------------------------------------------------------------------------------


class OnTerminal:
    """`continuum watch` in a process of its own, on a terminal of its own."""

    def __init__(self, home: Path, *words: str) -> None:
        self._screen, other = pty.openpty()
        environment = os.environ | {"CONTINUUM_HOME": str(home), "COLUMNS": "140", "LINES": "50", "TERM": "xterm"}
        command = [sys.executable, "-c", "from continuum.cli import main; main()", "watch", *words]
        self.process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment, start_new_session=True)
        os.close(other)
        self.text = ""

    def sees(self, words: str, *, within_s: float = 60) -> bool:
        """Whether the words come up."""
        end = time.monotonic() + within_s
        while words not in self.text and time.monotonic() < end:
            ready, _, _ = select.select([self._screen], [], [], 0.2)
            if ready:
                try:
                    self.text += os.read(self._screen, 65536).decode(errors="replace")
                except OSError:
                    break  # It has ended.
        return words in self.text

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._screen)


@pytest.fixture
def live(home: Path, trial: Deployment) -> Iterator[OnTerminal]:
    found = OnTerminal(home, "--live", "--every", "1s")
    yield found
    found.close()


@pytest.mark.slow
def test_on_a_terminal_the_view_follows_what_others_change_and_ends_when_it_is_interrupted(
    store: Store, trial: Deployment, live: OnTerminal
) -> None:
    assert live.sees("support · support-v1 · canary"), live.text
    assert live.sees("ALARM the watch has no working signal"), live.text
    newest = store.deployments.get(trial.id)
    assert newest is not None
    asyncio.run(Deployment(newest, store=store).promote(reason="from another process", actor="ada"))
    assert live.sees("25% support-v1"), live.text
    assert live.sees("promote by ada: from another process"), live.text

    live.process.send_signal(signal.SIGINT)

    assert live.sees("interrupted; what was finished is kept"), live.text
    assert live.process.wait(20) == 130
