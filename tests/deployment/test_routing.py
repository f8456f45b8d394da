from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.deployment.routing import PRODUCTION, Arm, Route, RouteTable, position, unit_of
from continuum.ids import new_id
from continuum.serving_records import DeploymentRecord, DeploymentState


def a_deployment(model: str = "support-v1", **fields: object) -> DeploymentRecord:
    values = {"task": "support", "checkpoint_id": "c", "model": model, "stable_model": PRODUCTION, "backend_url": "http://t/v1"}
    return DeploymentRecord.model_validate(values | fields)


def a_route(traffic: float, deployment_id: str = "d") -> Route:
    return Route(deployment_id, traffic, Arm("support-v1", "http://t/v1", "canary"))


@given(deployment_id=st.text(min_size=1, max_size=100), unit=st.text())
def test_every_unit_has_a_place_below_one_whatever_its_name(deployment_id: str, unit: str) -> None:
    assert 0 <= position(deployment_id.replace("\ud800", ""), unit) < 1


@given(unit=st.text(), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_ramp_never_moves_a_user_back(unit: str, low: float, high: float) -> None:
    low, high = sorted((low, high))
    if a_route(low).choose(unit).arms[0].variant == "canary":
        assert a_route(high).choose(unit).arms[0].variant == "canary"


@given(unit=st.text())
def test_no_traffic_reaches_nobody_and_all_of_it_reaches_everybody(unit: str) -> None:
    assert a_route(0.0).choose(unit).arms[0].variant == "stable"
    assert a_route(1.0).choose(unit).arms[0].variant == "canary"


@pytest.mark.parametrize("traffic", [0.05, 0.25, 0.5])
def test_the_split_is_the_share_that_was_asked_for(traffic: float) -> None:
    served = mean(a_route(traffic).choose(f"user:{n}").arms[0].variant == "canary" for n in range(40_000))
    assert served == pytest.approx(traffic, abs=0.01)


def test_two_deployments_do_not_try_their_candidates_on_the_same_people() -> None:
    users = [f"user:{n}" for n in range(20_000)]
    first = {user for user in users if position("one", user) < 0.05}
    both = mean(position("two", user) < 0.05 for user in first)
    assert both == pytest.approx(0.05, abs=0.03)


def test_a_lone_surrogate_in_an_id_is_routed_like_any_other() -> None:
    assert 0 <= position("d", "user:\ud800") < 1


def test_a_task_without_a_deployment_is_answered_by_production() -> None:
    choice = RouteTable().route("support").choose("user:1")
    assert choice.deployment_id is None
    assert [arm.model for arm in choice.arms] == [PRODUCTION]


def test_behind_a_canary_stands_the_champion_and_behind_it_production() -> None:
    champion = a_deployment("support-v1", state=DeploymentState.LIVE, traffic=1.0)
    canary = a_deployment("support-v2", stable_model="support-v1", traffic=1.0)
    choice = RouteTable.of([canary, champion]).route("support").choose("user:1")
    assert choice.deployment_id == canary.id
    assert [(arm.model, arm.variant) for arm in choice.arms] == [
        ("support-v2", "canary"),
        ("support-v1", "stable"),
        (PRODUCTION, "stable"),
    ]


def test_a_live_model_answers_everybody_and_production_steps_in_for_it() -> None:
    champion = a_deployment(state=DeploymentState.LIVE, traffic=1.0)
    choice = RouteTable.of([champion]).route("support").choose("user:1")
    assert [arm.model for arm in choice.arms] == ["support-v1", PRODUCTION]


def test_a_paused_canary_keeps_its_share() -> None:
    route = RouteTable.of([a_deployment(state=DeploymentState.PAUSED, traffic=0.25)]).route("support")
    assert route.traffic == 0.25
    assert route.candidate is not None


def test_of_two_canaries_the_newest_is_routed() -> None:
    newest, older = a_deployment("support-v2", traffic=0.1), a_deployment("support-v1", traffic=0.9)
    assert RouteTable.of([newest, older]).route("support").deployment_id == newest.id


def test_the_conversation_decides_before_the_user_and_the_user_before_the_words() -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    assert unit_of(body, conversation_id="c", user_id="u") == "conversation:c"
    assert unit_of(body, conversation_id=None, user_id="u") == "user:u"
    assert "Hello" in unit_of(body, conversation_id=None, user_id=None)


def test_a_conversation_without_an_id_keeps_its_model_as_it_grows_and_as_the_clock_in_its_prompt_goes_on() -> None:
    opening = {"role": "user", "content": f"Where is order {new_id()}?"}
    first = {"messages": [{"role": "system", "content": "It is 12:00."}, opening]}
    answered = [{"role": "assistant", "content": "On its way."}, {"role": "user", "content": "And the other?"}]
    later = {"messages": [{"role": "system", "content": "It is 12:01."}, opening, *answered]}
    assert unit_of(first, conversation_id=None, user_id=None) == unit_of(later, conversation_id=None, user_id=None)


@given(
    body=st.dictionaries(st.just("messages"), st.lists(st.one_of(st.none(), st.text(), st.dictionaries(st.text(), st.none()))))
)
def test_whatever_a_body_holds_has_a_unit(body: dict[str, object]) -> None:
    assert unit_of(body, conversation_id=None, user_id=None)
