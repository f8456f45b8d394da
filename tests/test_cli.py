import json
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from continuum import cli
from continuum.cli import app
from continuum.commands import terminal
from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint
from continuum.store.database import Store
from continuum.store.tables import tasks
from tests.builders import interactions

GOOD = {
    "id": "a-1",
    "task": "orders",
    "conversation_id": "c-1",
    "started_at": "2026-10-01T08:00:37Z",
    "model": "agent",
    "messages": [{"role": "user", "content": "A flat white, please"}],
    "response": {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "order", "arguments": '{"item": "flat white"}'}}],
    },
    "feedback": {"score": 5, "label": "good"},
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of two good lines and two bad ones."""
    lines = [json.dumps(GOOD), "not json", json.dumps(GOOD | {"id": "a-2"}), json.dumps({"id": "a-3"})]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return result.exit_code, result.output


def test_an_import_counts_names_bad_lines_and_adds_nothing_twice(log: Path, store: Store) -> None:
    code, said = run("import", str(log))

    assert code == 0
    assert "4 lines read: 2 interactions added, 0 already there, 2 feedback rows added, 2 refused" in said
    assert "line 2:" in said
    assert "line 4:" in said

    code, said = run("import", str(log))
    assert "0 interactions added, 2 already there, 0 feedback rows added" in said


def test_a_strict_import_with_bad_lines_keeps_the_good_ones_and_exits_with_1(log: Path, store: Store) -> None:
    code, _ = run("import", "--strict", str(log))

    assert code == 1
    assert store.interactions.count("orders") == 2


def test_a_policy_is_changed_field_by_field(store: Store) -> None:
    run("tasks", "set", "orders", "auto_train_when=1000", "judge.model=gpt-4o-mini", 'guard.metrics=["action_match"]')

    policy = store.tasks.get("orders").policy
    assert (policy.auto_train_when, policy.judge.model, policy.guard.metrics) == (1000, "gpt-4o-mini", ("action_match",))
    _, said = run("tasks", "show", "orders")
    assert json.loads(said)["auto_train_when"] == 1000


@pytest.mark.parametrize(
    "change",
    [
        "nonsense=1",
        "judge.nonsense=1",
        "judge.model.deeper=1",
        "no-value",
        "auto_train_when=-1",
        "task=b",
        "judge.budget_usd=NaN",
        "deployment.ramp_interval_hours=Infinity",
        "judge.criteria=[]",
        'guard.thresholds={"tone": {"mindelta": 1}}',
    ],
)
def test_a_change_that_a_policy_does_not_know_is_refused(change: str, store: Store) -> None:
    store.tasks.register(TaskPolicy(task="orders", auto_train_when=7))

    with pytest.raises(
        ValueError, match=r"no field|not of the form|auto_train_when|is its name|not a number|at least one|min_delta"
    ):
        run("tasks", "set", "orders", change)

    assert store.tasks.get("orders").policy == TaskPolicy(task="orders", auto_train_when=7)


def test_a_threshold_is_set_by_its_path(store: Store) -> None:
    run("tasks", "set", "orders", "guard.thresholds.helpfulness.min_delta=-0.02")

    assert store.tasks.get("orders").policy.guard.thresholds == {"helpfulness": {"min_delta": -0.02}}


def test_a_task_that_cannot_be_read_is_named_and_mended(store: Store) -> None:
    store.tasks.ensure("good")
    store.tasks.ensure("bad")
    with store.engine.begin() as connection:
        broken = {"task": "bad", "auto_train_when": 0, "description": "Kept"}
        connection.execute(update(tasks).where(tasks.c.name == "bad").values(policy=broken))

    for command in (["tasks"], ["status"]):
        code, said = run(*command)
        assert code == 0
        assert "good" in said
        assert "auto_train_when" in said

    run("tasks", "set", "bad", "auto_train_when=5")
    policy = store.tasks.get("bad").policy
    assert (policy.auto_train_when, policy.description) == (5, "Kept")


def test_tasks_and_status_show_where_each_task_stands(store: Store) -> None:
    assert "no task yet" in run("tasks")[1]
    store.tasks.register(TaskPolicy(task="support", auto_train_when=5))
    store.interactions.add(interactions(3))

    assert "support" in run("tasks")[1]
    said = run("status", "support")[1]
    assert "3 interactions, answered by production" in said
    assert "continuum.db" in said


def test_errors_a_user_can_mend_have_no_traceback(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["continuum", "curate", "unknown"])

    with pytest.raises(SystemExit) as exit_:
        cli.main()

    assert exit_.value.code == 1
    assert "error: there is no task 'unknown'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (["train", "orders"], "continuum curate orders"),
        (["deploy", "orders-v1"], "no checkpoint 'orders-v1'"),
        (["annotate", "orders"], "judge"),
        (["lineage", "orders-v1"], "orders-v1"),
    ],
)
def test_a_stage_that_lacks_something_says_what(command: list[str], needed: str, store: Store) -> None:
    store.tasks.ensure("orders")

    with pytest.raises(ValueError, match=needed):
        run(*command)


def test_an_unknown_checkpoint_is_refused_with_the_known_ones(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="none yet: continuum train TASK"):
        run("deploy", "orders-v9")
    store.tasks.ensure("orders")
    store.checkpoints.add(Checkpoint(task="orders", version=1, dataset_id="d", base_model="b", uri="file:///none"))

    with pytest.raises(ConfigurationError, match="known: orders-v1"):
        run("deploy", "orders-v9")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--candidate", "orders-v9"], "there is no checkpoint 'orders-v9'"),
        ([], "name a candidate with --candidate"),
        (["--candidate", "orders-v1", "--replay", "v"], "or a verdict to decide again with --replay"),
        (["--replay", "no-such-verdict"], "neither the id of a verdict in the store nor a file"),
        (["--candidate", "orders-v1", "--audit", "scores.csv"], "say with --labeller who gave the scores"),
        (["--candidate", "orders-v1", "--report", "report.docx"], "report.docx"),
        (["--bogus"], "No such option"),
    ],
)
def test_a_guard_that_decides_nothing_ends_with_a_code_of_its_own(
    arguments: list[str], said: str, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of(monkeypatch, "guard", *arguments) == 3
    assert said in " ".join(capsys.readouterr().err.split())


def exit_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """How the command as a whole ends."""
    monkeypatch.setattr("sys.argv", ["continuum", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code


def test_an_interrupted_command_says_that_it_can_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @app.command("interrupted", hidden=True)
    def _interrupted() -> None:
        raise KeyboardInterrupt

    try:
        assert exit_of(monkeypatch, "interrupted") == 130
    finally:
        app.registered_commands.pop()

    assert "the same command goes on from there" in capsys.readouterr().err


def test_the_status_of_nothing_says_how_to_begin_and_that_of_an_unknown_task_says_nothing_else(store: Store, home: Path) -> None:
    told = CliRunner().invoke(app, ["status"], catch_exceptions=False).stdout.splitlines()
    assert told == [f"home {home}", f"store {store.address}", "no task yet: `continuum init`, or `continuum import FILE.jsonl`"]

    store.tasks.ensure("support")
    unknown = CliRunner().invoke(app, ["status", "suport"])
    assert isinstance(unknown.exception, ConfigurationError)
    assert unknown.stdout == ""


def test_a_name_of_a_task_is_whole_however_narrow_the_terminal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.console, "_width", 40)
    store.tasks.ensure("support_in_finnish")

    assert "support_in_finnish" in CliRunner().invoke(app, ["tasks"], catch_exceptions=False).stdout


def test_the_version_is_that_of_the_distribution(store: Store) -> None:
    from importlib.metadata import version

    assert CliRunner().invoke(app, ["--version"]).stdout == f"continuum {version('continuum-ai')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["gateway", "--port", "65536"],
        ["serve", "--port", "-1"],
        ["base", "build", "--task", "orders", "--steps", "0"],
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err


def test_a_span_beyond_the_calendar_has_no_traceback(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("tasks", "set", "orders", "judge.model=gpt-4o-mini")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")

    assert exit_of(monkeypatch, "annotate", "orders", "--since", "99999999999d") == 1
    assert "too long" in capsys.readouterr().err
