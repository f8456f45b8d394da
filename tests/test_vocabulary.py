"""Records, policy, settings and spans of time."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from continuum.amending import amended
from continuum.config import find_home, load_settings, postgres_driver
from continuum.errors import ConfigurationError
from continuum.fine_tuning import EWCConfig, FineTuneConfig
from continuum.ids import new_id
from continuum.policy import (
    CurationPolicy,
    GuardPolicy,
    JudgePolicy,
    SplitPolicy,
    TaskPolicy,
    checked_task_name,
)
from continuum.records import Feedback, Message, canonical_arguments
from continuum.rubric import Criterion, normalised
from continuum.serving_policy import DeploymentPolicy
from continuum.timespan import parse_span, start_of
from tests.builders import NOON, an_interaction

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


def test_new_ids_are_sorted_by_time_and_are_version_7() -> None:
    ids = [new_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert UUID(ids[0]).version == 7
    assert [one[:13] for one in ids] == sorted(one[:13] for one in ids)


def a_call(name: str, arguments: str, id_: str = "c") -> Message:
    call = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
    return Message.model_validate({"role": "assistant", "content": None, "tool_calls": [call]})


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_an_action_does_not_depend_on_the_order_of_keys_or_the_calls_id(arguments: dict) -> None:
    reversed_ = dict(reversed(arguments.items()))

    assert a_call("f", json.dumps(arguments), "c1").action == a_call("f", json.dumps(reversed_, indent=2), "c2").action


def test_actions_that_do_different_things_differ() -> None:
    actions = {a_call("f", '{"a": 1}').action, a_call("f", '{"a": 2}').action, a_call("g", '{"a": 1}').action}

    assert len(actions) == 3
    assert canonical_arguments(" not json ") == "not json"


def test_a_message_keeps_fields_it_does_not_know() -> None:
    message = Message.model_validate({"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "Ann"})

    assert message.text == "hi"
    assert message.to_openai()["name"] == "Ann"


def test_records_are_frozen_and_strict() -> None:
    with pytest.raises(ValidationError):
        an_interaction(nonsense=1)
    with pytest.raises(ValidationError):
        an_interaction().task = "other"
    with pytest.raises(ValidationError):
        Feedback(interaction_id="i", score=6)


@pytest.mark.parametrize(
    ("text", "span"), [("7d", timedelta(days=7)), ("1.5h", timedelta(minutes=90)), (" 30M ", timedelta(minutes=30))]
)
def test_spans_are_read_as_people_write_them(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "d", "0d", "-1d", "7", "7 days", "1d2h", 7])
def test_a_span_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write a number and a unit"):
        parse_span(text)


@pytest.mark.parametrize("text", ["99999999999d", "9" * 400 + "s", "9999999d"])
def test_a_span_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"too long|before the calendar begins"):
        start_of(text, NOON)


def test_weights_are_normalised_with_a_warning_and_left_alone_when_they_sum_to_one() -> None:
    even = (Criterion("a", 0.5, ""), Criterion("b", 0.5, ""))

    assert normalised(even) == even
    with pytest.warns(UserWarning, match="weights sum to 4, not 1"):
        assert [c.weight for c in normalised((Criterion("a", 3, ""), Criterion("b", 1, "")))] == [0.75, 0.25]


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), "1", True])
def test_a_weight_that_is_not_above_zero_is_refused(weight: float) -> None:
    with pytest.raises(ConfigurationError, match="weights must be above zero"):
        Criterion("a", weight, "")


@pytest.mark.parametrize(
    "build",
    [
        lambda: normalised(()),
        lambda: normalised((Criterion("a", 0.5, ""), Criterion("a", 0.5, ""))),
        lambda: TaskPolicy(task="../etc"),
        lambda: TaskPolicy(task=""),
        lambda: TaskPolicy(task="a/b"),
        lambda: CurationPolicy(time_window="soon"),
        lambda: SplitPolicy(golden=0.6, validation=0.5),
        lambda: EWCConfig(lambda_ewc=-1),
        lambda: FineTuneConfig(learning_rat=1),
        lambda: FineTuneConfig(replay_share=0.6, probe_share=0.5),
        lambda: DeploymentPolicy(ramp_schedule=(0.5, 0.1)),
        lambda: DeploymentPolicy(ramp_interval_hours=float("inf")),
        lambda: FineTuneConfig(learning_rate=float("nan")),
        lambda: JudgePolicy(budget_usd=float("inf")),
        lambda: JudgePolicy(criteria=()),
        lambda: JudgePolicy(criteria=(Criterion("a", 1, "x"), Criterion("a", 1, "y"))),
        lambda: JudgePolicy(base_url="http://[::1"),
        lambda: GuardPolicy(thresholds={"tone": {"mindelta": 0.1}}),
        lambda: GuardPolicy(thresholds={"tone": {}}),
        lambda: GuardPolicy(thresholds={"tone": {"min_delta": 1.5}}),
        lambda: GuardPolicy(thresholds={"tone": {"min_delta": float("nan")}}),
        lambda: Criterion(None, 1, "x"),
        lambda: Criterion("a", 1, None),
        lambda: Criterion("class", 1, "x"),
        lambda: Criterion("a", 1, "x", {"good": "y"}),
        lambda: Criterion("a", 1, "x", {1: "y", "5": "z"}),
        lambda: checked_task_name(5),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError):
        build()


def test_settings_come_from_the_environment_and_show_no_secret() -> None:
    settings = load_settings(
        {"CONTINUUM_HOME": "/data", "OPENAI_API_KEY": "sk-1", "CONTINUUM_DATABASE_URL": "postgres://u:pw@h/d"}
    )

    assert settings.database_url.get_secret_value() == "postgresql+psycopg2://u:pw@h/d"
    assert settings.judge_api_key is not None
    assert settings.judge_api_key.get_secret_value() == "sk-1"
    assert "sk-1" not in repr(settings)
    assert "pw" not in repr(settings)


@pytest.mark.parametrize("seed", ["x", "--5", "1.5", "²"])
def test_a_seed_that_is_no_whole_number_is_refused(seed: str) -> None:
    with pytest.raises(ConfigurationError, match=f"CONTINUUM_SEED is '{seed}'"):
        load_settings({"CONTINUUM_SEED": seed})


def test_the_home_is_the_nearest_one_above(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    assert find_home(below) == below / ".continuum"
    (tmp_path / ".continuum").mkdir()
    assert find_home(below) == tmp_path / ".continuum"


def test_a_postgres_url_with_a_driver_is_left_alone() -> None:
    assert postgres_driver("postgresql+psycopg://h/d") == "postgresql+psycopg://h/d"


def test_a_refused_policy_names_the_field_and_what_it_holds() -> None:
    with pytest.raises(ConfigurationError, match=r"FineTuneConfig: lora_rank: .*greater than or equal to 1 \(found 0\)"):
        FineTuneConfig(lora_rank=0)


def test_a_refusal_inside_a_section_is_one_line_without_the_section() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        TaskPolicy(**{"task": "support", "judge": {"concurrency": 0}})

    assert str(refusal.value).endswith("greater than or equal to 1 (found 0)")


def test_neither_a_password_nor_a_misnamed_key_shows_in_a_refusal() -> None:
    with pytest.raises(ConfigurationError, match="come from the environment") as refusal:
        JudgePolicy(base_url="https://ann:hunter2@judge.example/v1")
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(ConfigurationError, match="apikey") as refusal:
        JudgePolicy(**{"apikey": "hunter2"})
    assert "hunter2" not in str(refusal.value)


def test_an_amended_policy_keeps_what_no_change_names() -> None:
    before = TaskPolicy(task="support", auto_train_when=7, guard=GuardPolicy(thresholds={"tone": {"min_delta": 0.1}}))

    after = amended("support", before.model_dump(mode="json"), {"guard.thresholds.helpfulness.min_delta": -0.02})

    assert after.auto_train_when == 7
    assert after.guard.thresholds == {"tone": {"min_delta": 0.1}, "helpfulness": {"min_delta": -0.02}}


def test_an_amendment_mends_a_stored_policy_that_cannot_be_read() -> None:
    stored = {"task": "support", "auto_train_when": 0, "guard": None, "left_by_another_version": 1, "description": "Kept"}

    assert amended("support", stored, {"auto_train_when": 5}) == TaskPolicy(task="support", auto_train_when=5, description="Kept")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ramp_interval_hours": 1e300}, "87600"),
        ({"bake_hours": 1e18}, "87600"),
        ({"hold_limit_hours": 1e300}, "87600"),
        ({"initial_traffic": 0.9, "ramp_schedule": (0.05, 0.5)}, "at most the last"),
        ({"backend": "vllm", "backend_url": "sagemaker://eu-central-1/shop"}, "sagemaker://REGION/ENDPOINT"),
        ({"backend": "sagemaker", "backend_url": "http://127.0.0.1:8000/v1"}, "sagemaker://REGION/ENDPOINT"),
        ({"backend_url": "http://me:secret@host/v1"}, "CONTINUUM_SERVING_API_KEY"),
    ],
)
def test_a_deployments_policy_that_cannot_be_meant_is_refused_where_it_is_set(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        DeploymentPolicy(**fields)
    assert "secret@" not in str(refused.value)
