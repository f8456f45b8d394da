"""`continuum forget` on the command line: shown first, asked for, and told."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.records import Feedback
from continuum.spool.spool import Spool
from continuum.store.database import Store
from tests.builders import an_interaction

runner = CliRunner()


@pytest.fixture
def said(store: Store) -> Store:
    """One user's word and another's."""
    store.tasks.ensure("support")
    store.interactions.add(
        [an_interaction("The code is hunter2hunter2", id="hers", user_id="jane"), an_interaction(id="other", user_id="joe")]
    )
    store.feedback.add([Feedback(interaction_id="hers", score=5)])
    return store


def test_a_dry_run_shows_what_would_go_and_leaves_it(said: Store) -> None:
    done = runner.invoke(app, ["forget", "--user", "jane", "--dry-run"])

    assert done.exit_code == 0
    assert "would go: 1 interactions, 1 feedback; of tasks: support" in done.output
    assert said.interactions.get("hers") is not None
    assert said.erasures.every() == []


def test_nothing_is_forgotten_where_nobody_can_be_asked(said: Store) -> None:
    done = runner.invoke(app, ["forget", "--user", "jane"])

    assert done.exit_code == 1
    assert "give --yes, or --dry-run" in str(done.exception)
    assert said.interactions.get("hers") is not None


def test_with_yes_it_is_forgotten_and_the_receipt_can_be_printed_again(said: Store) -> None:
    done = runner.invoke(app, ["forget", "--user", "jane", "--yes", "--json"])

    assert done.exit_code == 0, done.output
    receipt = json.loads(done.stdout)
    assert receipt["found"]["interactions"] == 1
    assert "jane" not in done.stdout
    assert [one.id for one in said.interactions.scan("support")] == ["other"]
    again = runner.invoke(app, ["forget", "--receipt", receipt["erasure_id"], "--json"])
    assert json.loads(again.stdout) == receipt


def test_an_interaction_is_forgotten_by_its_id(said: Store) -> None:
    done = runner.invoke(app, ["forget", "--interaction", "hers", "--yes"])

    assert done.exit_code == 0, done.output
    assert "found: 1 interactions, 1 feedback" in done.stdout
    assert "hers" not in done.stdout


def test_what_is_neither_a_user_nor_an_interaction_is_refused(said: Store) -> None:
    done = runner.invoke(app, ["forget", "--yes"])

    assert done.exit_code == 1
    assert "name a user or interactions" in str(done.exception)


def test_a_receipt_that_there_is_not_is_refused(said: Store) -> None:
    done = runner.invoke(app, ["forget", "--receipt", "none"])

    assert done.exit_code == 1
    assert "there is no such erasure" in str(done.exception)


def test_nothing_is_trained_anew_where_nothing_waits(said: Store) -> None:
    done = runner.invoke(app, ["forget", "--rebuild", "support"])

    assert done.exit_code == 0, done.output
    assert "support: nothing waits to be trained anew" in done.stdout


def test_what_a_living_process_has_captured_is_refused_when_it_drains_and_the_process_goes_on(said: Store, home: Path) -> None:
    spool = Spool(lambda: said)
    try:
        assert runner.invoke(app, ["forget", "--user", "jane", "--block", "--yes"]).exit_code == 0
        draft = {"task": "support", "messages": [{"role": "user", "content": "again hunter2hunter2"}], "status": "ok"}
        spool.take({**draft, "id": "late", "user_id": "jane", "source": "capture"})
        spool.take({**draft, "id": "joes", "user_id": "joe", "source": "capture"})
        assert spool.flush(10)
    finally:
        spool.close()

    assert said.interactions.get("late") is None
    assert said.interactions.get("joes") is not None
    assert not [path for path in (home / "spool").glob("*.jsonl") if b"late" in path.read_bytes()]


def test_what_a_dead_process_left_in_the_spool_is_drained_and_gone(said: Store, home: Path) -> None:
    folder = home / "spool"
    folder.mkdir(parents=True)
    line = {"id": "waiting", "task": "support", "messages": [{"role": "user", "content": "hunter2hunter2"}], "user_id": "jane"}
    (folder / "dead.1.jsonl").write_text(json.dumps({**line, "status": "ok", "started_ns": 1, "source": "capture"}) + "\n")

    done = runner.invoke(app, ["forget", "--user", "jane", "--yes"])

    assert done.exit_code == 0, done.output
    assert said.interactions.get("waiting") is None
    assert list(folder.glob("*.jsonl")) == []


@pytest.mark.parametrize(
    "given",
    [
        ["--rebuild", "support", "--dry-run"],
        ["--rebuild", "support", "--user", "jane"],
        ["--receipt", "x", "--interaction", "hers"],
        ["--receipt", "x", "--rebuild", "support"],
    ],
)
def test_what_stands_alone_is_not_given_with_others(said: Store, given: list[str]) -> None:
    done = runner.invoke(app, ["forget", *given])

    assert done.exit_code == 1
    assert "stand alone" in str(done.exception)
    assert said.interactions.get("hers") is not None


def test_an_import_says_what_it_did_not_take_in_again_and_does_not_call_it_there(said: Store, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    row = {
        "task": "support",
        "conversation_id": "c",
        "started_at": "2026-03-01T12:00:00Z",
        "model": "gpt-4",
        "messages": [{"role": "user", "content": "Hello"}],
        "response": {"role": "assistant", "content": "Good day"},
    }
    log.write_text("".join(json.dumps({"id": id, **row}) + "\n" for id in ("hers", "other")), encoding="utf-8")
    runner.invoke(app, ["forget", "--interaction", "hers", "--yes"], catch_exceptions=False)

    told = runner.invoke(app, ["import", str(log)], catch_exceptions=False)
    again = runner.invoke(app, ["import", str(log), "--json"], catch_exceptions=False)

    assert "2 lines read: 0 interactions added, 1 already there" in told.stdout
    assert "0 refused, 1 erased before and not taken in again" in told.stdout
    report = json.loads(again.stdout)
    assert (report["read"], report["already_there"], report["erased"]) == (2, 1, 1)
    assert [one.id for one in said.interactions.scan("support")] == ["other"]
