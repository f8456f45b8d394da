"""`continuum backfill` as typed: what it does, says and refuses, and how it exits."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.judging.criteria import rubric_fingerprint
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.rubric import Criterion
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.builders import interactions
from tests.stub_endpoint import StubEndpoint, error, scores, stub_in_thread

FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)
TRUTH = (Criterion("truth", 1.0, "Nothing in it is made up"),)
RUBRIC = "- {name: truth, weight: 1, description: Nothing in it is made up}\n"


@dataclass
class Judge:
    """The stub, and what it says."""

    stub: StubEndpoint
    reply: Callable[[int, dict[str, Any]], Any] = lambda n, body: FOURS

    @property
    def calls(self) -> int:
        return self.stub.calls


@pytest.fixture
def judge() -> Iterator[Judge]:
    with stub_in_thread(lambda n, body: found.reply(n, body)) as stub:
        found = Judge(stub)
        yield found


@pytest.fixture
def rubric(tmp_path: Path) -> str:
    path = tmp_path / "rubric.yaml"
    path.write_text(RUBRIC)
    return str(path)


def a_task(store: Store, judge: Judge, name: str = "support", count: int = 5, **fields: Any) -> None:
    """A task with that many answers, the newest an hour old and the others a day apart."""
    values = {"model": "stub", "base_url": judge.stub.base_url, "admission": "off", "concurrency": 2}
    store.tasks.register(TaskPolicy(task=name, judge=JudgePolicy(**values | fields)))
    newest = utc_now() - timedelta(hours=1)
    rows = interactions(count, task=name)
    store.interactions.add(
        row.model_copy(update={"started_at": newest - timedelta(days=n), "conversation_id": f"{name}-{n}"})
        for n, row in enumerate(rows)
    )


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["backfill", *words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_a_rubric_is_tried_on_the_last_days_and_the_scores_are_compared(store: Store, judge: Judge, rubric: str) -> None:
    a_task(store, judge)
    assert "5 of 5 judged" in run("support")
    judge.reply = lambda n, body: scores(truth=2)

    told = run("support", "--since", "3d", "--rubric", rubric)

    assert "3 answers, 0 judged by stub" in told
    assert "support is done: 3 of 3 judged" in told
    assert "select nothing until it is adopted" in told
    assert "3 answers scored by both rubrics: mean 4.00 -> 2.00, -2.00" in told
    assert "4.0 -> 2.0" in told
    assert store.tasks.get("support").policy.judge.criteria != TRUTH


def test_an_adopted_rubric_is_the_policys(store: Store, judge: Judge, rubric: str) -> None:
    a_task(store, judge)
    judge.reply = lambda n, body: scores(truth=2)
    told = run("support", "--rubric", rubric, "--adopt")
    assert f"rubric {rubric_fingerprint(TRUTH)} is the policy's" in told
    assert store.tasks.get("support").policy.judge.criteria == TRUTH


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(store: Store, judge: Judge, rubric: str) -> None:
    a_task(store, judge, model="gpt-4", budget_usd=0.01)

    told = run("support", "--since", "2d", "--rubric", rubric, "--dry-run")
    (plain,) = json.loads(run("support", "--since", "2d", "--rubric", rubric, "--dry-run", "--json"))

    assert "2 answers, 0 judged by gpt-4" in told
    assert "at most $" in told
    assert "may not suffice" in told
    assert (plain["missing"], plain["may_not_suffice"], plain["rubric"]) == (2, True, rubric_fingerprint(TRUTH))
    assert (judge.calls, store.backfills.newest()) == (0, [])


def test_half_of_it_fails_and_only_that_is_done_again(store: Store, judge: Judge) -> None:
    a_task(store, judge)
    judge.reply = lambda n, body: error(400, "overloaded") if "number 2" in str(body) else FOURS

    told = run("support", code=3)
    assert "support is incomplete: 4 of 5 judged" in told
    assert "overloaded" in told
    (row,) = store.backfills.newest()
    assert f"continuum backfill --retry {row.id}" in told

    judge.reply = lambda n, body: FOURS
    calls = judge.calls
    assert "support is done: 5 of 5 judged" in run("--retry", row.id)
    assert judge.calls == calls + 1


def test_all_tasks_are_judged_but_those_that_cannot_be_and_the_worst_of_them_is_the_exit_code(store: Store, judge: Judge) -> None:
    a_task(store, judge, "fine", 2)
    a_task(store, judge, "odd", 4)
    a_task(store, judge, "old", 0)
    store.tasks.register(TaskPolicy(task="unjudged"))
    judge.reply = lambda n, body: error(400, "no") if "number 3" in str(body) else FOURS

    said = run("--all", code=3)

    assert "unjudged is left out: task 'unjudged' has no judge" in said
    assert "old is left out: nothing was captured" in said
    assert "fine is done: 2 of 2" in said
    assert "odd is incomplete: 3 of 4" in said


def test_a_key_that_is_refused_exits_with_1_and_the_next_task_goes_on(store: Store, judge: Judge) -> None:
    a_task(store, judge, "a", 2)
    a_task(store, judge, "b", 2)
    judge.reply = lambda n, body: error(401, "key revoked") if n < 3 else FOURS

    said = run("a", "b", code=1)

    assert "error: a:" in said
    assert "key revoked" in said
    assert "b is done: 2 of 2" in said


def test_json_tells_each_backfill_with_what_changed(store: Store, judge: Judge, rubric: str) -> None:
    a_task(store, judge)
    run("support")
    judge.reply = lambda n, body: scores(truth=2)
    (told,) = json.loads(run("support", "--rubric", rubric, "--json"))
    assert (told["state"], told["wanted"], told["missing"]) == ("done", 5, 0)
    assert told["change"]["items"] == 5
    assert told["change"]["delta"] == pytest.approx(-2.0)


def test_what_is_left_for_dagster_waits_there_and_can_be_listed_and_cancelled(store: Store, judge: Judge) -> None:
    a_task(store, judge)
    assert "no backfill was asked for yet" in run("--list")

    told = run("support", "--since", "2d", "--dagster")
    (row,) = store.backfills.newest()

    assert f"backfill {row.id} is left for Dagster" in told
    assert "no Dagster daemon has been seen lately" in told
    assert (row.driver, row.state, row.wanted, judge.calls) == ("dagster", "open", 2, 0)
    assert json.loads(run("--list", "--json"))[0]["id"] == row.id
    assert "0/2" in run("--list", "support")
    assert "is cancelled" in run("--cancel", row.id[:20])
    assert "is cancelled already" in run("--cancel", row.id, code=2)
    assert "left for Dagster" in run("--retry", row.id, "--dagster")
    assert [one.id for one in store.backfills.unfinished("dagster")] == [row.id]


def test_what_a_process_left_that_ended_is_told_and_gone_on_with(store: Store, judge: Judge) -> None:
    a_task(store, judge)
    run("support", "--dagster")
    (row,) = store.backfills.newest()
    long_ago = utc_now() - timedelta(hours=1)
    store.backfills.claim(row.id, "one that was killed", lasts=timedelta(minutes=1), now=lambda: long_ago)

    assert "left by a" in run("--list")
    assert "5 of 5 judged" in run("--retry", row.id)


def test_a_whole_turn_of_a_task_with_too_little_data_is_incomplete_and_says_how_little(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    store.interactions.add(interactions(3))

    told = run("support", "--whole-turn", code=3)

    assert "support is incomplete: waiting:" in told
    (row,) = store.backfills.newest()
    assert (row.kind, row.state) == ("turn", "incomplete")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a task"),
        (("support", "--all"), "not both"),
        (("support", "--list", "--cancel", "x"), "exclude each other"),
        (("support", "--whole-turn", "--since", "3d"), "--whole-turn and --since exclude each other"),
        (("support", "--retry", "x"), "leave the tasks out"),
        (("--retry", "x"), "there is no backfill"),
        (("--cancel", "x"), "there is no backfill"),
        (("nobody",), "there is no task 'nobody'"),
        (("--list", "nobody"), "there is no task 'nobody'"),
        (("support", "nobody"), "there is no task 'nobody'"),
        (("support", "--since", "soon"), "is no moment"),
        (("--all", "--since", "soon"), "is no moment"),
        (("support", "--since", "2999-01-01"), "in the future"),
        (("support", "--since", "1d", "--until", "2d"), "must lie before"),
        (("support", "--until", "2001-01-01"), "no answered interaction"),
        (("support", "--adopt"), "nothing to adopt"),
        (("support", "--rubric", "/nowhere.yaml"), "is no file"),
        (("support", "--dry-run", "--dagster"), "--dagster leaves work"),
    ],
)
def test_wrong_usage_exits_with_2_says_why_and_begins_nothing(
    store: Store, judge: Judge, words: tuple[str, ...], said: str
) -> None:
    a_task(store, judge)
    assert said in run(*words, code=2)
    assert (judge.calls, store.backfills.newest()) == (0, [])
