"""`init`, `tasks apply` and the question about terms: in scripts, and at a real terminal."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.commands import setting_up
from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.records import DatasetRecord
from continuum.store.database import Store
from continuum.task_file import read_task_file
from tests.terminal import at_a_terminal

PROGRAM = [sys.executable, "-c", "from continuum.cli import main; main()"]


@pytest.fixture(autouse=True)
def a_folder_without_local_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs; no server of the machine that tests this is asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(setting_up, "LOCAL_SERVERS", {})
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_init_in_a_script_writes_a_file_that_holds_and_registers_the_task(store: Store, tmp_path: Path) -> None:
    flags = ["--judge-model", "gpt-4o-mini", "--base-model", "models/base", "--auto-train-when", "50", "--budget-usd", "2"]
    code, _, _ = run("init", "support", "--yes", *flags)

    policy = store.tasks.get("support").policy
    assert code == 0
    assert (policy.judge.model, policy.judge.budget_usd) == ("gpt-4o-mini", 2)
    assert (policy.base_model, policy.auto_train_when, policy.auto_deploy_if_better) == ("models/base", 50, False)
    assert read_task_file(tmp_path / "continuum.yaml").task == "support"


def test_init_a_second_time_changes_neither_the_file_nor_the_store(store: Store, tmp_path: Path) -> None:
    run("init", "support", "--yes")
    written = (tmp_path / "continuum.yaml").read_bytes()
    run("tasks", "set", "support", "auto_train_when=7")

    code, told, beside = run("init", "support", "--auto-train-when", "9")

    assert code == 0
    assert (tmp_path / "continuum.yaml").read_bytes() == written
    assert store.tasks.names() == ["support"]
    assert store.tasks.get("support").policy.auto_train_when == 7
    assert "auto_train_when: 7 -> 1000" in told
    assert "continuum tasks apply" in beside


def test_init_does_not_pass_off_another_tasks_file_as_the_tasks_own(store: Store, tmp_path: Path) -> None:
    run("init", "support", "--yes")

    with pytest.raises(ConfigurationError, match=r"for the task support, and nothing was set up for shop; .*--file shop.yaml"):
        run("init", "shop")

    assert store.tasks.names() == ["support"]
    assert run("init", "shop", "--file", "shop.yaml", "--yes")[0] == 0
    assert store.tasks.names() == ["shop", "support"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"task: [", "continuum.yaml:1: this is no YAML"),
        (b"", "mapping of names to values"),
        (b"\xff\xfe", "must be a file of text in UTF-8"),
        (b"task: support\nbugdet: 3\n", "continuum.yaml:2"),
    ],
)
def test_init_beside_a_file_that_cannot_be_read_says_both_ways_on(
    content: bytes, said: str, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "continuum.yaml").write_bytes(content)

    with pytest.raises(ConfigurationError, match=f"{said}.*; mend it, or write over it with --force"):
        run("init", "support", "--yes")

    assert (tmp_path / "continuum.yaml").read_bytes() == content
    assert run("init", "support", "--yes", "--force")[0] == 0
    assert store.tasks.names() == ["support"]


def test_a_file_that_was_there_outlives_a_forced_init_that_is_refused(store: Store, tmp_path: Path) -> None:
    run("init", "support", "--yes", "--auto-train-when", "7")
    written = (tmp_path / "continuum.yaml").read_bytes()

    with pytest.raises(ConfigurationError, match="base_url"):
        run("init", "support", "--yes", "--force", "--judge-model", "x", "--judge-base-url", "no address")

    assert (tmp_path / "continuum.yaml").read_bytes() == written
    assert [path.name for path in tmp_path.glob("*.yaml*")] == ["continuum.yaml"]
    assert store.tasks.get("support").policy.auto_train_when == 7


def test_a_key_of_the_environment_names_a_judge_and_is_never_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")

    run("init", "support", "--yes")

    assert store.tasks.get("support").policy.judge.model == "gpt-4o-mini"
    assert "sk-very-secret" not in (tmp_path / "continuum.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--judge-base-url", "https://me:pw@host/v1", "--judge-model", "x"], "base_url"),
        (["--budget-usd", "1e12"], "budget"),
    ],
)
def test_what_a_policy_cannot_hold_leaves_no_file(flags: list[str], said: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run("init", "support", "--yes", *flags)

    assert not (tmp_path / "continuum.yaml").exists()
    assert store.tasks.names() == []


def test_hostile_words_stay_words_in_the_file(store: Store) -> None:
    run("init", "support", "--yes", "--base-model", 'a: "b"\nauto_train_when: 1 # no')

    assert store.tasks.get("support").policy.base_model == 'a: "b"\nauto_train_when: 1 # no'
    assert store.tasks.get("support").policy.auto_train_when == 1000


def test_nobody_to_ask_is_told_what_to_name(store: Store) -> None:
    code, told, beside = run("init")

    assert (code, told) == (2, "")
    assert "continuum init TASK" in beside


def test_a_person_at_a_terminal_is_asked(store: Store, tmp_path: Path) -> None:
    answers = "webshop\nnone\nmodels/base\n200\nyes\n"
    code, shown = at_a_terminal([*PROGRAM, "init"], answers)

    assert code == 0, shown
    assert "Name of the task" in shown
    policy = store.tasks.get("webshop").policy
    assert (policy.judge.model, policy.base_model, policy.auto_train_when) == (None, "models/base", 200)
    assert policy.auto_deploy_if_better


def test_a_person_who_mistypes_is_asked_again_and_loses_no_answer(store: Store) -> None:
    answers = "web shop\nwebshop\ngpt-4o-mini\nlocalhost\nnone\nmodels/base\nlots\n0\n200\nfive\n2.50\nno\n"
    code, shown = at_a_terminal([*PROGRAM, "init"], answers)

    assert code == 0, shown
    assert "task name 'web shop' must be" in shown
    assert "write http:// or https://" in shown
    assert "'lots' is not a whole number of 1 or more" in shown
    policy = store.tasks.get("webshop").policy
    assert (policy.judge.model, policy.judge.budget_usd, policy.auto_train_when) == ("gpt-4o-mini", 2.5, 200)


def test_applying_shows_the_difference_and_a_dry_run_makes_none(store: Store, tmp_path: Path) -> None:
    (tmp_path / "continuum.yaml").write_text("task: support\nauto_train_when: 5\n", encoding="utf-8")

    assert json.loads(run("tasks", "apply", "--dry-run", "--json")[1])["changes"] == [
        {"field": "auto_train_when", "before": None, "after": 5}
    ]
    assert store.tasks.names() == []
    assert "auto_train_when: None -> 5" in run("tasks", "apply")[1]
    assert "is as" in run("tasks", "apply")[1]
    assert store.tasks.get("support").policy.auto_train_when == 5


# --- terms -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def anothers_answers(store: Store) -> TaskPolicy:
    """A task whose newest training set is of another provider's answers."""
    policy = TaskPolicy(task="support", base_model="/no/model")
    store.tasks.register(policy)
    named = {"id": "d", "task": "support", "kind": "training", "name": "support_training_v1", "version": 1, "uri": ""}
    store.datasets.add(DatasetRecord.model_validate(named | {"manifest": {"models": {"gpt-4": 12}}}), [])
    return policy


@pytest.mark.parametrize(("answer", "accepted"), [("yes\n", True), ("\n", False), ("no\n", False)])
def test_terms_are_asked_once_of_a_person_and_a_yes_is_kept(
    answer: str, accepted: bool, anothers_answers: TaskPolicy, store: Store
) -> None:
    code, shown = at_a_terminal([*PROGRAM, "turn", "support"], answer)

    assert "answers of gpt-4 (12)" in shown
    assert "Do the terms of these models allow you to train on their answers?" in shown
    assert store.tasks.get("support").policy.provider_terms_accepted is accepted
    assert (code == 0) is accepted, shown
    if accepted:
        _, again = at_a_terminal([*PROGRAM, "turn", "support"], "")
        assert "Do the terms" not in again


def test_a_script_is_not_asked_and_nothing_is_accepted(anothers_answers: TaskPolicy, store: Store) -> None:
    code, told, _ = run("turn", "support")

    assert code == 0
    assert told.startswith("waiting: ")
    assert not store.tasks.get("support").policy.provider_terms_accepted
