"""What a shell completes: real processes that speak the shells' protocol, and a real bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from continuum.commands import completing
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint
from continuum.store.database import Store

CONTINUUM = Path(sys.executable).with_name("continuum")


def completed(line: str, **environment: str) -> list[str]:
    """What bash is given for a line whose last word is being typed."""
    words = line.split(" ")
    asked = {"_CONTINUUM_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    found = subprocess.run(
        [CONTINUUM], env=os.environ | asked | environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert found.stderr == ""
    return found.stdout.split()


@pytest.fixture
def filled(store: Store) -> Store:
    """Two tasks, one of them with two checkpoints."""
    for task in ("support", "su_pport", "orders"):
        store.tasks.register(TaskPolicy(task=task))
    for version in (1, 2, 10):
        store.checkpoints.add(Checkpoint(task="support", version=version, dataset_id="d", base_model="b", uri="file:///none"))
    return store


def test_tasks_models_commands_and_options_complete(filled: Store) -> None:
    assert completed("continuum curate ") == ["orders", "su_pport", "support"]
    assert completed("continuum curate su") == ["su_pport", "support"]
    assert completed("continuum deploy support-v") == ["support-v10", "support-v2", "support-v1"]
    assert completed("continuum promote support") == ["support", "support-v10", "support-v2", "support-v1"]
    assert "curate" in completed("continuum cu")
    assert completed("continuum tasks s") == ["set", "show"]


def test_signs_that_a_pattern_would_read_are_signs(filled: Store) -> None:
    assert completing.task_names("su_") == ["su_pport"]
    assert completing.task_names("%") == []
    assert completing.task_names("'; DROP TABLE tasks; --") == []
    assert completing.task_names("o") == ["orders"]


def test_a_store_that_is_not_there_is_not_made(home: Path) -> None:
    assert completing.task_names("") == []
    assert not home.exists()


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:1/none", "nonsense", "sqlite:////proc/nowhere/continuum.db"], ids=lambda url: url[:12]
)
def test_a_store_that_is_away_completes_nothing_and_says_nothing(url: str) -> None:
    assert completed("continuum curate ", CONTINUUM_DATABASE_URL=url) == []


def test_settings_that_cannot_be_read_do_not_stop_a_shell(filled: Store) -> None:
    assert completed("continuum curate ", CONTINUUM_SEED="nonsense") == []


def test_names_complete_from_postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from continuum.store.database import open_store

    opened = open_store(postgres_url)
    opened.tasks.register(TaskPolicy(task="on_postgres"))
    opened.checkpoints.add(Checkpoint(task="on_postgres", version=1, dataset_id="d", base_model="b", uri="file:///none"))
    opened.close()
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", postgres_url)

    assert completing.deployed("on") == ["on_postgres", "on_postgres-v1"]
    assert completing.versions("on") == ["on_postgres"]
    assert completing.backfill_ids("") == completing.deployment_ids("") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_a_script_that_asks_this_command(shell: str) -> None:
    found = subprocess.run([CONTINUUM, "completion", shell], capture_output=True, text=True, check=True, timeout=60)

    assert f"_CONTINUUM_COMPLETE=complete_{shell}" in found.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_a_real_bash_completes_a_task(filled: Store) -> None:
    script = """
        eval "$(continuum completion bash)"
        COMP_WORDS=(continuum curate ord); COMP_CWORD=2
        _continuum_completion continuum
        echo "${COMPREPLY[@]}"
    """
    path = f"{CONTINUUM.parent}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True, timeout=60
    )

    assert found.stdout.split() == ["orders"]
