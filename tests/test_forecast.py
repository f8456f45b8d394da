import json
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from continuum import Continuum, ContinuumConfig
from continuum.cli import app
from continuum.errors import ConfigurationError
from continuum.forecast import forecast
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import Checkpoint, Feedback
from continuum.splits.golden import GoldenDataset
from continuum.store.database import Store
from continuum.store.tables import metadata
from tests.builders import interactions
from tests.stub_endpoint import StubEndpoint, stub_in_thread

BASE = {"base_model": "hub/model", "provider_terms_accepted": True}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubEndpoint]:
    """An endpoint that a forecast has no reason to call."""
    monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", "sk-1")
    with stub_in_thread(lambda call, body: "no") as stub:
        yield stub


def judged_by(stub: StubEndpoint, model: str = "gpt-4o-mini", **fields: object) -> JudgePolicy:
    return JudgePolicy(model=model, base_url=stub.base_url, **fields)


def rows(store: Store) -> dict[str, int]:
    with store.engine.connect() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def test_a_turn_is_priced_and_nothing_is_asked_or_written(store: Store, endpoint: StubEndpoint) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=judged_by(endpoint, budget_usd=50), **BASE))
    store.interactions.add(interactions(60))
    before = rows(store)

    ahead = forecast(store, "support")

    assert ahead.new_interactions == 60
    assert ahead.judging is not None
    assert ahead.judging.answers == 60
    assert ahead.judging.bound_usd is not None
    assert 0 < ahead.judging.bound_usd < 1
    assert ahead.judging.test_calls > 0
    assert ahead.left_usd is not None
    assert ahead.left_usd["annotation"] == 25
    assert ahead.guarding is None
    assert ahead.stops == ()
    assert (rows(store), endpoint.calls) == (before, 0)


def test_what_the_guard_will_ask_for_is_said_to_be_beside_the_price(store: Store, endpoint: StubEndpoint) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=judged_by(endpoint), **BASE))
    store.interactions.add(interactions(60))

    (line,) = [one for one in forecast(store, "support").lines() if one.startswith("in all")]

    assert ", and what the guard will ask for beside it; nothing was asked" in line


def test_a_price_is_known_before_there_is_a_key_and_the_key_is_told_to_be_missing(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4o-mini", budget_usd=5), **BASE))
    store.interactions.add(interactions(60))
    GoldenDataset.from_task("support", store=store)

    ahead = forecast(store, "support")

    assert ahead.judging is not None
    assert ahead.guarding is not None
    assert 0 < (ahead.judging.bound_usd or 0) < (ahead.bound_usd or 0) < 5
    assert (ahead.guarding.bound_usd or 0) > 0
    assert "set OPENAI_API_KEY" in " ".join(ahead.stops)


def test_three_times_the_answers_cost_about_three_times_as_much(store: Store, endpoint: StubEndpoint) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=judged_by(endpoint, admission="off"), **BASE))
    store.interactions.add(interactions(40))
    once = forecast(store, "support").bound_usd
    store.interactions.add(interactions(80))
    thrice = forecast(store, "support").bound_usd

    assert once is not None
    assert thrice is not None
    assert thrice == pytest.approx(3 * once, rel=0.02)


def test_a_budget_that_does_not_suffice_is_named_with_what_is_left(store: Store, endpoint: StubEndpoint) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=judged_by(endpoint, budget_usd=0.0001), **BASE))
    store.interactions.add(interactions(60))

    (stop,) = forecast(store, "support").stops

    assert stop.startswith("annotation: the budget leaves $0.0001, at most $")
    assert "judge.budget_usd" in stop


def test_a_judge_without_a_price_is_unknown_and_never_free(store: Store, endpoint: StubEndpoint) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=judged_by(endpoint, model="own-judge"), **BASE))
    store.interactions.add(interactions(60))

    ahead = forecast(store, "support")

    assert ahead.bound_usd is None
    assert any("at a cost that is not known" in line for line in ahead.lines())


def test_the_time_of_a_training_goes_by_those_before_it_or_is_unknown(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", **BASE))
    rows_ = interactions(160)
    store.interactions.add(rows_)
    store.feedback.add(Feedback(interaction_id=row.id, score=5) for row in rows_)

    before = forecast(store, "support").training
    assert (before.examples, before.steps, before.expected_seconds) == (160, 33, None)  # 15 of 16 rows a step, 3 epochs

    measured = {"seconds": 30.0, "steps": 60.0}
    store.checkpoints.add(Checkpoint(task="support", version=1, dataset_id="d", base_model="b", uri="nowhere", metrics=measured))
    after = forecast(store, "support").training
    assert after.steps > before.steps
    assert after.expected_seconds == pytest.approx(after.steps * 0.5)


def test_the_guards_calls_are_bounded_by_the_golden_set(store: Store, endpoint: StubEndpoint) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=judged_by(endpoint, jury=["claude-3-5-haiku-latest"]), **BASE))
    store.interactions.add(interactions(60))
    golden = GoldenDataset.from_task("support", store=store)

    guarding = forecast(store, "support").guarding

    assert guarding is not None
    assert (guarding.items, guarding.judge_calls) == (len(golden), 2 * 2 * len(golden))
    assert guarding.bound_usd is not None
    assert guarding.bound_usd > 0


def test_what_is_missing_stops_it_by_name(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4o-mini")))
    store.interactions.add(interactions(3))

    told = " ".join(forecast(store, "support").stops)

    for lacking in ("OPENAI_API_KEY", "no base model is named", "provider_terms_accepted", "3 new interactions, of which 20"):
        assert lacking in told


def test_an_unknown_task_has_no_price(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="there is no task 'support'"):
        forecast(store, "support")


async def test_the_application_and_the_command_say_the_same(store: Store) -> None:
    wheel = Continuum(ContinuumConfig(task="support", base_model="hub/model"), store=store)
    store.interactions.add(interactions(30))

    ahead = await wheel.price()

    told = CliRunner().invoke(app, ["turn", "support", "--dry-run", "--json"], catch_exceptions=False)
    assert json.loads(told.stdout) == ahead.as_dict()
    said = CliRunner().invoke(app, ["turn", "support", "--dry-run"], catch_exceptions=False)
    assert "nothing is spent" in said.stdout
    assert CliRunner().invoke(app, ["turn", "support", "--dry-run", "--watch"]).exit_code == 2
