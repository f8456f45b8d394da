from pathlib import Path

import pytest

from continuum.config import load_settings
from continuum.deployment import transitions
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.transitions import Cause
from continuum.errors import ConfigurationError, DeploymentError
from continuum.policy import TaskPolicy
from continuum.serving_policy import DeploymentPolicy
from continuum.serving_records import DeploymentState
from continuum.store.database import Store
from tests.deployment.conftest import MakeCheckpoint, a_verdict, add_verdict

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def deployer(store: Store) -> ModelDeployer:
    return ModelDeployer(store=store, backend_url=NOWHERE)


async def test_a_canary_starts_small_and_says_on_what_evidence(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await deployer.deploy(a_checkpoint(), actor="ada")
    assert deployment.current_traffic_split == 0.05
    assert deployment.state is DeploymentState.CANARY
    assert deployment.record.stable_model == "production"
    assert deployment.record.ramp_schedule == (0.05, 0.25, 0.5, 1.0)
    event, warmed, begun = store.deployments.events(deployment.id)
    assert [one.action for one in (event, warmed, begun)] == ["deploy", "warm", "begin"]
    assert {one.actor for one in (event, warmed, begun)} == {"ada"}
    assert (event.to_traffic, begun.to_traffic) == (0.0, 0.05)
    assert event.evidence["verdict_id"] == deployment.record.verdict_id
    assert event.evidence["files_verified"] == 1
    assert event.evidence["unguarded"] is False
    assert begun.evidence["backend_ready"] is False
    assert f"no server answers at {NOWHERE}; start `continuum serve`" in begun.evidence["backend"]
    assert begun.reason == f"no server is ready at {NOWHERE} yet; production steps in for it until one is"


async def test_a_task_whose_traffic_never_came_through_the_gateway_is_told_so(
    deployer: ModelDeployer, a_checkpoint: MakeCheckpoint, caplog: pytest.LogCaptureFixture
) -> None:
    await deployer.deploy(a_checkpoint())
    assert "no request of task 'support' has come through the gateway yet" in caplog.text


@pytest.mark.parametrize(
    ("status", "expected"),
    [(None, "has no verdict; run `continuum guard"), ("blocked", r"may not serve: blocked \(safety\)")],
    ids=["none", "blocked"],
)
async def test_without_a_verdict_that_allows_it_nothing_is_deployed(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint, status: str | None, expected: str
) -> None:
    with pytest.raises(DeploymentError, match=expected):
        await deployer.deploy(a_checkpoint(status=status))
    assert store.deployments.of("support") == []


async def test_a_newer_verdict_overrules_an_older_one(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    store.verdicts.add(a_verdict(checkpoint, "blocked"))
    with pytest.raises(DeploymentError, match="blocked"):
        await deployer.deploy(checkpoint)


async def test_a_verdict_that_holds_an_inconclusive_candidate_holds_it(
    deployer: ModelDeployer, a_checkpoint: MakeCheckpoint
) -> None:
    with pytest.raises(DeploymentError, match="does not approve it"):
        await deployer.deploy(a_checkpoint(status="inconclusive", approved=False))


async def test_an_inconclusive_verdict_caps_the_traffic_and_forbids_blue_green(
    deployer: ModelDeployer, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint(status="inconclusive")
    with pytest.raises(DeploymentError, match="at most 5%"):
        await deployer.deploy(checkpoint, strategy="blue_green")
    deployment = await deployer.deploy(checkpoint, initial_traffic=0.5)
    assert deployment.current_traffic_split == 0.05
    with pytest.raises(DeploymentError, match="640 golden examples"):
        await deployment.promote(reason="it looks fine to me")
    assert deployment.current_traffic_split == 0.05


async def test_an_unguarded_deployment_is_marked_for_all_to_see(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await deployer.deploy(a_checkpoint(status="blocked"), unguarded=True, actor="ada")
    assert deployment.record.verdict_id is None
    event = store.deployments.events(deployment.id)[0]
    assert event.evidence["unguarded"] is True
    assert event.evidence["status"] == "blocked"
    assert event.reason.startswith("unguarded")


async def test_an_artifact_that_is_not_what_was_trained_is_refused(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    (Path(checkpoint.uri) / "adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(DeploymentError, match="altered"):
        await deployer.deploy(checkpoint, unguarded=True)
    assert store.deployments.of("support") == []


async def test_a_copy_of_a_checkpoint_that_points_elsewhere_is_not_what_is_deployed(
    deployer: ModelDeployer, a_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    copy = a_checkpoint().model_copy(update={"version": 7, "uri": str(tmp_path), "manifest": {}})
    assert (await deployer.deploy(copy)).record.model == "support-v1"


async def test_a_checkpoint_that_the_store_does_not_know_is_refused(
    deployer: ModelDeployer, a_checkpoint: MakeCheckpoint
) -> None:
    with pytest.raises(ConfigurationError, match="not in the store"):
        await deployer.deploy(a_checkpoint().model_copy(update={"id": "another"}))


async def test_a_newer_canary_takes_the_place_of_an_older_one(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    older = await deployer.deploy(a_checkpoint(1))
    newer = await deployer.deploy(a_checkpoint(2))
    await older.refresh()
    assert (older.state, older.current_traffic_split) == (DeploymentState.SUPERSEDED, 0.0)
    assert [deployment.id for deployment in store.deployments.serving("support")] == [newer.id]


async def test_deploying_the_same_by_the_same_plan_again_changes_nothing(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    first = await deployer.deploy(checkpoint)
    await first.promote(reason="go on")
    again = await deployer.deploy(checkpoint)
    assert (again.id, again.current_traffic_split) == (first.id, 0.25)
    assert len(store.deployments.of("support")) == 1


async def test_what_was_rolled_back_is_not_deployed_again_on_the_same_verdict(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    await (await deployer.deploy(checkpoint)).rollback(reason="complaints")
    with pytest.raises(DeploymentError, match="deployed on this verdict before and is rolled_back"):
        await deployer.deploy(checkpoint)
    add_verdict(store, a_verdict(checkpoint))
    assert (await deployer.deploy(checkpoint)).state is DeploymentState.CANARY


async def test_what_a_person_or_a_breaker_took_back_is_deployed_again_where_somebody_says_why(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    first = await deployer.deploy(checkpoint)
    await first.rollback(reason="the server was down")
    with pytest.raises(DeploymentError, match="continuum deploy support-v1 --again --reason TEXT"):
        await deployer.deploy(checkpoint)
    with pytest.raises(ConfigurationError, match="needs a reason"):
        await deployer.deploy(checkpoint, again=True)

    second = await deployer.deploy(checkpoint, again=True, reason="it is up", actor="ada")

    event = store.deployments.events(second.id)[0]
    assert (event.actor, event.reason) == ("ada", "verdict: approved; again; it is up")
    assert event.evidence["again"] == {"deployment_id": first.id, "ended_by": "sdk", "because": "the server was down"}
    taken = transitions.take_back(store, second.record, Cause("gateway", "the breaker opened: 10 of 10 failed", {"failed": 10}))
    assert taken is not None
    third = await deployer.deploy(checkpoint, again=True, reason="the network is back")
    assert third.state is DeploymentState.CANARY
    assert third.id != second.id


async def test_what_the_watch_found_worse_needs_a_new_verdict_whoever_asks(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    first = await deployer.deploy(checkpoint)
    transitions.take_back(store, first.record, Cause("watch", "worse by more than the limit", {"delta": -0.2}))
    await (await deployer.deploy(checkpoint, unguarded=True)).abort(reason="only a try")

    with pytest.raises(DeploymentError, match="it needs a new verdict; evaluate it again with `continuum guard"):
        await deployer.deploy(checkpoint, again=True, reason="I like it")

    add_verdict(store, a_verdict(checkpoint))
    assert (await deployer.deploy(checkpoint)).state is DeploymentState.CANARY


async def test_blue_green_waits_for_a_server_that_can_take_all_of_the_traffic(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    with pytest.raises(DeploymentError, match="no server answers"):
        await deployer.deploy(checkpoint, strategy="blue_green")
    (refused,) = store.deployments.of("support")
    assert refused.state is DeploymentState.ABORTED
    assert (await deployer.deploy(checkpoint)).state is DeploymentState.CANARY, "what never served was not found wanting"


async def test_the_task_policy_is_what_deploy_does_by_itself(store: Store, a_checkpoint: MakeCheckpoint) -> None:
    plan = DeploymentPolicy(initial_traffic=0.1, ramp_schedule=(0.1, 1.0), ramp_interval_hours=24, rollback_on_quality_drop=None)
    deployment = await ModelDeployer.for_task(TaskPolicy(task="support", deployment=plan), store=store).deploy(a_checkpoint())
    record = deployment.record
    assert (record.traffic, record.ramp_schedule, record.ramp_interval_hours) == (0.1, (0.1, 1.0), 24)
    assert record.rollback_on_quality_drop is None
    assert record.backend_url == load_settings().serving_url


async def test_without_a_store_the_default_one_is_used(store: Store, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await ModelDeployer(backend_url=NOWHERE).deploy(a_checkpoint())
    assert store.deployments.get(deployment.id) is not None


def test_a_backend_that_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="'magic' is unknown; use one of local, vllm, ollama, tgi, sagemaker"):
        ModelDeployer("magic")


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"strategy": "yolo"}, "strategy"),
        ({"initial_traffic": 0}, "initial_traffic"),
        ({"ramp_schedule": [0.5, 0.25]}, "must rise"),
        ({"ramp_interval_hours": -1}, "ramp_interval_hours"),
    ],
    ids=str,
)
async def test_a_plan_that_makes_no_sense_is_refused(
    deployer: ModelDeployer, a_checkpoint: MakeCheckpoint, plan: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        await deployer.deploy(a_checkpoint(), **plan)  # pyright: ignore[reportArgumentType]
