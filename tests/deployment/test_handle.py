import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
from continuum.deployment.routing import RouteTable
from continuum.errors import ConfigurationError, DeploymentError
from continuum.serving_records import DeploymentState
from continuum.store.database import Store, open_store
from continuum.tracking.tracker import FolderTracker
from tests.builders import NOON
from tests.deployment.conftest import MakeCheckpoint, a_verdict, add_verdict


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tracker(tmp_path: Path) -> FolderTracker:
    return FolderTracker(tmp_path / "tracker")


@pytest.fixture
def deployer(store: Store, tracker: FolderTracker, clock: Clock) -> ModelDeployer:
    return ModelDeployer(store=store, tracker=tracker, backend_url="http://127.0.0.1:9/v1", now=clock)


def answering(store: Store) -> list[str]:
    """The models that a user may be answered by, the one who is asked first in front."""
    route = RouteTable.of(store.deployments.serving()).route("support")
    return [arm.model for arm in route.choose("user:1").arms]


async def make_live(deployer: ModelDeployer, clock: Clock, checkpoint: object) -> Deployment:
    clock.now += timedelta(hours=1)
    return await deployer.deploy(checkpoint, initial_traffic=1.0)  # pyright: ignore[reportArgumentType]


async def test_time_is_the_least_a_step_takes(deployer: ModelDeployer, a_checkpoint: MakeCheckpoint, clock: Clock) -> None:
    deployment = await deployer.deploy(a_checkpoint())
    clock.now += timedelta(minutes=119)
    with pytest.raises(DeploymentError, match="at least 2 h apart"):
        await deployment.promote()
    clock.now += timedelta(minutes=1)
    await deployment.promote()
    assert deployment.current_traffic_split == 0.25
    with pytest.raises(DeploymentError, match="at least 2 h apart"):
        await deployment.promote()


async def test_a_person_with_a_reason_may_step_early_and_the_reason_is_kept(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await deployer.deploy(a_checkpoint())
    await deployment.promote(reason="the sale starts at noon", actor="ada")
    event = store.deployments.events(deployment.id)[-1]
    assert (event.actor, event.action, event.reason) == ("ada", "promote", "the sale starts at noon")
    assert (event.from_traffic, event.to_traffic) == (0.05, 0.25)
    assert event.evidence["interval_skipped"] is True
    assert event.evidence["status"] == "approved"


async def test_the_last_step_makes_the_model_the_champion(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint, clock: Clock, tracker: FolderTracker
) -> None:
    before = await make_live(deployer, clock, a_checkpoint(1))
    assert tracker.aliases("support")["champion"] == "1"
    clock.now += timedelta(hours=1)
    deployment = await deployer.deploy(a_checkpoint(2))
    for traffic in (0.25, 0.5):
        await deployment.promote(reason="go on")
        assert deployment.current_traffic_split == traffic
        champion = store.deployments.champion("support")
        assert champion is not None
        assert champion.id == before.id
    await deployment.promote(reason="go on")
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.LIVE, 1.0)
    await before.refresh()
    assert before.state is DeploymentState.SUPERSEDED
    assert tracker.aliases("support")["champion"] == "2"
    assert answering(store) == ["support-v2", "production"]
    with pytest.raises(DeploymentError, match="is live; only a canary"):
        await deployment.promote(reason="more")


async def test_a_ramp_that_ends_early_ends_there(deployer: ModelDeployer, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await deployer.deploy(a_checkpoint(), ramp_schedule=[0.05, 0.3])
    await deployment.promote(reason="go on")
    with pytest.raises(DeploymentError, match="the last step of its ramp"):
        await deployment.promote(reason="go on")
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.CANARY, 0.3)


async def test_more_evidence_lifts_the_cap_of_an_inconclusive_verdict(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint(status="inconclusive")
    deployment = await deployer.deploy(checkpoint)
    with pytest.raises(DeploymentError, match="at most 5%"):
        await deployment.promote(reason="go on")
    decided = a_verdict(checkpoint)
    add_verdict(store, decided)
    await deployment.promote(reason="the golden set has grown")
    assert (deployment.current_traffic_split, deployment.record.verdict_id) == (0.25, decided.id)


async def test_a_verdict_that_turned_stops_the_ramp(deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint) -> None:
    checkpoint = a_checkpoint()
    deployment = await deployer.deploy(checkpoint)
    store.verdicts.add(a_verdict(checkpoint, "blocked"))
    with pytest.raises(DeploymentError, match="the newest verdict is blocked"):
        await deployment.promote(reason="go on")


async def test_a_pause_holds_the_traffic_until_somebody_goes_on(deployer: ModelDeployer, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await deployer.deploy(a_checkpoint())
    await deployment.pause(reason="lunch")
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.PAUSED, 0.05)
    await deployment.promote(reason="back")
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.CANARY, 0.25)


async def test_an_aborted_trial_serves_nobody_and_is_over(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await deployer.deploy(a_checkpoint())
    await deployment.abort(reason="wrong model")
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.ABORTED, 0.0)
    assert answering(store) == ["production"]
    with pytest.raises(DeploymentError, match="aborted"):
        await deployment.rollback()


async def test_a_live_model_is_not_aborted_but_rolled_back(
    deployer: ModelDeployer, a_checkpoint: MakeCheckpoint, clock: Clock
) -> None:
    live = await make_live(deployer, clock, a_checkpoint())
    with pytest.raises(DeploymentError, match=r"is live; abort needs it to be .*canary or paused"):
        await live.abort()


async def test_rollback_of_a_live_model_gives_back_to_the_champion_before_and_then_to_production(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint, clock: Clock, tracker: FolderTracker
) -> None:
    first = await make_live(deployer, clock, a_checkpoint(1))
    second = await make_live(deployer, clock, a_checkpoint(2))
    assert answering(store) == ["support-v2", "production"]
    await second.rollback(reason="quality fell", actor="watch")
    assert (second.state, second.current_traffic_split) == (DeploymentState.ROLLED_BACK, 0.0)
    assert answering(store) == ["support-v1", "production"]
    assert tracker.aliases("support")["champion"] == "1"
    actions = [event.action for event in store.deployments.events(first.id)]
    assert actions == ["deploy", "warm", "begin", "live", "name", "supersede", "restore", "name"]
    await first.rollback()
    assert answering(store) == ["production"]
    assert store.deployments.champion("support") is None
    assert tracker.aliases("support") == {}, "production has no version"


async def test_rollback_under_a_canary_leaves_the_canary_on_the_champion_before(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint, clock: Clock
) -> None:
    await make_live(deployer, clock, a_checkpoint(1))
    second = await make_live(deployer, clock, a_checkpoint(2))
    clock.now += timedelta(hours=1)
    await deployer.deploy(a_checkpoint(3))
    await second.rollback()
    route = RouteTable.of(store.deployments.serving()).route("support")
    assert route.candidate is not None
    assert (route.candidate.model, route.stable[0].model) == ("support-v3", "support-v1")


async def test_a_rollback_survives_the_process_that_made_the_deployment(
    deployer: ModelDeployer, store: Store, home: Path, a_checkpoint: MakeCheckpoint
) -> None:
    deployment_id = (await deployer.deploy(a_checkpoint())).id
    another = open_store(f"sqlite:///{home / 'continuum.db'}")
    handle = Deployment.open(deployment_id, store=another)
    await handle.rollback()
    await handle.rollback()
    another.close()
    assert answering(store) == ["production"]
    actions = [event.action for event in store.deployments.events(deployment_id)]
    assert actions == ["deploy", "warm", "begin", "rollback", "done"]


async def test_a_promotion_decided_on_an_old_view_is_refused_and_the_view_renewed(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    mine = await deployer.deploy(a_checkpoint())
    theirs = Deployment.open(mine.id, store=store)
    await theirs.rollback(reason="complaints")
    with pytest.raises(DeploymentError, match="changed meanwhile: it is rolled_back at 0%"):
        await mine.promote(reason="looks good")
    assert mine.state is DeploymentState.ROLLED_BACK
    assert [event.action for event in store.deployments.events(mine.id)][-2:] == ["rollback", "done"]


async def test_of_two_promotions_at_once_one_is_made(deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint) -> None:
    first = await deployer.deploy(a_checkpoint())
    others = [Deployment.open(first.id, store=store) for _ in range(4)]
    results = await asyncio.gather(*(handle.promote(reason="go") for handle in (first, *others)), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert all(result is None or isinstance(result, DeploymentError) for result in results)
    await first.refresh()
    assert first.current_traffic_split == 0.25


def test_an_id_that_nobody_deployed_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="no deployment 'nonsense'"):
        Deployment.open("nonsense", store=store)
