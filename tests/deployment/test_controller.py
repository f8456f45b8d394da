import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from continuum.deployment.approval import Approval
from continuum.deployment.controller import Tick, lead, tick
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
from continuum.deployment.notifying import of_event
from continuum.deployment.routing import RouteTable
from continuum.deployment.settling import Hooks
from continuum.errors import DeploymentError
from continuum.policy import TaskPolicy
from continuum.serving_policy import DeploymentPolicy, WatchPolicy
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.store.database import Store
from continuum.tracking.tracker import FolderTracker
from tests.deployment.conftest import MakeCheckpoint, a_verdict, add_verdict
from tests.deployment.leading import Clock, Shelf, Told


class Stage:
    """A task's deployments, and all that they are led with."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.clock = Clock()
        self.shelf = Shelf()
        self.watch = Told()
        self.tracker = FolderTracker(folder / "tracker")
        self.approve: Any = None
        self.policy(DeploymentPolicy())

    @property
    def hooks(self) -> Hooks:
        return Hooks(approve=self.approve, tracker=lambda: self.tracker, drain_s=0)

    def policy(self, deployment: DeploymentPolicy) -> None:
        self.plan = deployment
        self.store.tasks.register(TaskPolicy(task="support", deployment=deployment))

    async def deploy(self, checkpoint: Any, **plan: Any) -> Deployment:
        """Write the row, as a process that dies before anything is loaded does; then lead it once."""
        deployer = ModelDeployer(
            store=self.store, policy=self.plan, now=self.clock, hooks=self.hooks, backend=lambda record: self.shelf
        )
        self.clock.pass_hours(0.001)
        return await deployer.deploy(checkpoint, **plan)

    async def lead(self, hours: float = 0) -> Tick:
        """Time passes; what the next tick of a controller comes to."""
        self.clock.pass_hours(hours)
        ticks = await lead(self.store, look=self.watch, backend=lambda record: self.shelf, hooks=self.hooks, now=self.clock)
        return ticks[-1]

    async def champion(self, checkpoint: Any) -> Deployment:
        return await self.deploy(checkpoint, initial_traffic=1.0)

    def actions(self, deployment: Deployment) -> list[str]:
        return [event.action for event in self.store.deployments.events(deployment.id)]

    def row(self, deployment: Deployment) -> DeploymentRecord:
        found = self.store.deployments.get(deployment.id)
        assert found is not None
        return found

    def answering(self) -> list[str]:
        route = RouteTable.of(self.store.deployments.serving()).route("support")
        return [arm.model for arm in route.choose("user:1").arms]


@pytest.fixture
def stage(store: Store, tmp_path: Path) -> Stage:
    return Stage(store, tmp_path)


# --- the ramp ---------------------------------------------------------------------------------------------------------------


async def test_a_step_is_taken_when_the_time_has_passed_and_the_evidence_allows_it(
    stage: Stage, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await stage.deploy(a_checkpoint())
    shares = [stage.row(deployment).traffic]
    for _ in range(3):
        early = await stage.lead(hours=1.9)
        assert early.did == "nothing"
        assert "the next step waits until 2 h have passed" in early.why
        taken = await stage.lead(hours=0.1)
        shares.append(taken.record.traffic)
        assert (await stage.lead()).did == "nothing", "one step at a time"
    assert shares == [0.05, 0.25, 0.5, 1.0]
    assert stage.actions(deployment) == ["deploy", "warm", "begin", "promote", "promote", "promote", "live", "name"]
    step = stage.store.deployments.events(deployment.id)[3]
    assert (step.actor, step.reason) == ("controller", "no worse, on 300 conversations")
    assert step.evidence["lower"] == -0.02
    assert step.evidence["status"] == "approved"
    assert stage.tracker.aliases("support") == {"champion": "1"}
    assert ("traffic", "support-v1", 0.5) in stage.shelf.asked


async def test_time_alone_never_promotes_and_a_hold_that_lasts_is_told_once(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await stage.deploy(a_checkpoint())
    stage.watch.action, stage.watch.words = "hold", "12 conversations are too few"
    did = [(await stage.lead(hours=0.5)).did for _ in range(200)]
    assert stage.row(deployment).traffic == 0.05
    assert [action for action in did if action != "nothing"] == ["hold", "alarm"]
    alarm = stage.row(deployment).alarm
    assert alarm is not None
    assert alarm.startswith("it waits for 24.0 h: 12 conversations are too few")
    stage.watch.action = "promote"
    assert (await stage.lead()).record.alarm is None, "the step that it waited for was taken"


async def test_a_watch_without_a_signal_holds_and_its_alarm_ends_with_it(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await stage.deploy(a_checkpoint())
    stage.watch.action, stage.watch.words = "alarm", "the watch has no working signal: no judge"
    assert [(await stage.lead(hours=3)).did for _ in range(3)] == ["alarm", "nothing", "nothing"]
    assert stage.row(deployment).alarm == "the watch has no working signal: no judge"
    await stage.lead()
    deployment = Deployment.open(deployment.id, store=stage.store, hooks=stage.hooks, now=stage.clock)
    await deployment.promote(reason="seen by eye")
    assert deployment.record.alarm is None
    stage.watch.action = "alarm"
    await stage.lead()
    stage.watch.action = "promote"
    assert (await stage.lead()).did == "clear"
    assert stage.row(deployment).traffic == 0.25, "the interval had not passed"


async def test_a_ramp_that_ends_early_stays_there_and_is_still_watched(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await stage.deploy(a_checkpoint(), ramp_schedule=[0.05, 0.3])
    await stage.lead(hours=2)
    assert "the last step of its ramp" in (await stage.lead(hours=100)).why
    assert stage.row(deployment).traffic == 0.3
    stage.watch.action = "rollback"
    assert (await stage.lead()).record.state is DeploymentState.ROLLED_BACK


async def test_a_candidate_that_does_harm_is_taken_back_at_once_and_unloaded(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await stage.deploy(a_checkpoint())
    stage.watch.action, stage.watch.words = "rollback", "worse by more than the limit"
    ended = await stage.lead(hours=0.01)
    assert (ended.record.state, ended.record.traffic) == (DeploymentState.ROLLED_BACK, 0.0)
    assert stage.answering() == ["production"]
    assert stage.shelf.loaded == []
    rollback = stage.store.deployments.events(deployment.id)[-2]
    assert (rollback.action, rollback.actor, rollback.reason) == ("rollback", "controller", "worse by more than the limit")
    assert rollback.evidence["delta"] == -0.001
    with pytest.raises(DeploymentError, match="on this verdict before and is rolled_back"):
        await stage.deploy(stage.store.checkpoints.get(deployment.record.checkpoint_id))


async def test_a_paused_deployment_takes_no_step_and_is_taken_back_where_it_does_harm(
    stage: Stage, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await stage.deploy(a_checkpoint())
    await deployment.pause(reason="lunch")
    assert (await stage.lead(hours=50)).did == "nothing"
    await deployment.resume(reason="back")
    assert (await stage.lead()).record.traffic == 0.25
    await deployment.pause()
    stage.watch.action = "rollback"
    assert (await stage.lead()).record.state is DeploymentState.ROLLED_BACK


# --- what the guard said ----------------------------------------------------------------------------------------------------


async def test_the_evidence_of_its_own_canary_lifts_the_cap_of_an_inconclusive_verdict(
    stage: Stage, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await stage.deploy(a_checkpoint(status="inconclusive"))
    with pytest.raises(DeploymentError, match="at most 5%"):
        await deployment.promote(reason="it looks fine to me")
    stage.watch.action = "hold"
    assert (await stage.lead(hours=3)).record.traffic == 0.05
    stage.watch.action = "promote"
    lifted = await stage.lead()
    assert (lifted.record.traffic, lifted.record.max_traffic) == (0.25, 1.0)
    assert lifted.evidence["cap_lifted"]["from"] == 0.05
    await deployment.refresh()
    await deployment.promote(reason="a person may go on where the evidence was shown")
    assert deployment.current_traffic_split == 0.5


async def test_without_a_limit_to_show_it_against_no_cap_is_lifted(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    stage.policy(DeploymentPolicy(rollback_on_quality_drop=None))
    deployment = await stage.deploy(a_checkpoint(status="inconclusive"))
    held = await stage.lead(hours=3)
    assert (held.did, held.record.traffic) == ("alarm", 0.05)
    assert "at most 5%" in (stage.row(deployment).alarm or "")


async def test_a_candidate_that_the_guard_blocks_meanwhile_is_taken_back(
    stage: Stage, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    await stage.deploy(checkpoint)
    store.verdicts.add(a_verdict(checkpoint, "blocked"))
    ended = await stage.lead()
    assert ended.record.state is DeploymentState.ROLLED_BACK
    assert "the guard's newest verdict blocks it: safety" in store.deployments.events(ended.record.id)[-2].reason
    assert stage.watch.seen == [], "there is nothing to judge for"


async def test_no_step_is_taken_past_a_verdict_whose_proof_is_broken(
    stage: Stage, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    deployment = await stage.deploy(checkpoint)
    store.verdicts.add(a_verdict(checkpoint))
    held = await stage.lead(hours=3)
    assert (held.did, held.record.traffic) == ("alarm", 0.05)
    assert "the proof beside the checkpoint is of verdict" in held.why
    add_verdict(store, a_verdict(checkpoint))
    assert (await stage.lead()).record.traffic == 0.25
    assert stage.row(deployment).alarm is None


async def test_what_waits_to_be_loaded_is_checked_again_before_it_serves(
    stage: Stage, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    record = (await stage.deploy(checkpoint)).record
    left = record.model_copy(update={"id": "left", "state": DeploymentState.PENDING, "traffic": 0.0, "created_at": stage.clock()})
    store.deployments.add(left, store.deployments.events(record.id)[0].model_copy(update={"deployment_id": "left"}))
    (Path(checkpoint.uri) / "adapter_model.safetensors").write_bytes(b"other weights")
    ended = await stage.lead()
    assert (ended.record.id, ended.record.state) == ("left", DeploymentState.ABORTED)
    assert "its files are not what was trained" in store.deployments.events("left")[-2].reason


# --- the other strategies ---------------------------------------------------------------------------------------------------


async def test_a_shadow_answers_nobody_until_the_evidence_makes_it_a_canary(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await stage.deploy(a_checkpoint(), strategy="shadow")
    assert (deployment.state, deployment.current_traffic_split, deployment.record.shadow) == (DeploymentState.CANARY, 0.0, 0.1)
    stage.watch.action = "hold"
    assert (await stage.lead(hours=5)).record.traffic == 0.0
    stage.watch.action = "promote"
    canary = (await stage.lead()).record
    assert (canary.state, canary.traffic, canary.shadow) == (DeploymentState.CANARY, 0.05, 0.0)


async def test_blue_green_serves_everybody_and_is_the_champion_when_it_has_baked_and_the_watch_agrees(
    stage: Stage, a_checkpoint: MakeCheckpoint
) -> None:
    before = await stage.champion(a_checkpoint(1))
    deployment = await stage.deploy(a_checkpoint(2), strategy="blue_green")
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.PROMOTING, 1.0)
    assert stage.answering() == ["support-v2", "support-v1", "production"], "the champion stands ready"
    assert (await stage.lead(hours=0.9)).did == "nothing"
    stage.watch.action = "hold"
    assert (await stage.lead(hours=0.2)).did == "hold"
    assert stage.row(before).state is DeploymentState.LIVE
    stage.watch.action = "promote"
    assert (await stage.lead()).record.state is DeploymentState.LIVE
    assert stage.row(before).state is DeploymentState.SUPERSEDED
    assert stage.tracker.aliases("support") == {"champion": "2"}


async def test_blue_green_that_fails_while_it_bakes_leaves_the_champion_where_it_was(
    stage: Stage, a_checkpoint: MakeCheckpoint
) -> None:
    before = await stage.champion(a_checkpoint(1))
    baking = await stage.deploy(a_checkpoint(2), strategy="blue_green")
    stage.watch.action, stage.watch.about = "rollback", baking.id
    ended = await stage.lead(hours=0.1)
    assert ended.record.state is DeploymentState.ROLLED_BACK
    assert stage.actions(before)[-1] == "name"
    assert stage.answering() == ["support-v1", "production"]


async def test_a_person_ends_the_baking_with_a_reason(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await stage.deploy(a_checkpoint(), strategy="blue_green")
    with pytest.raises(DeploymentError, match="at least 1 h apart"):
        await deployment.promote()
    await deployment.promote(reason="seen enough")
    assert deployment.state is DeploymentState.LIVE


async def test_blue_green_without_a_bake_time_is_the_champion_at_once(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    stage.policy(DeploymentPolicy(strategy="blue_green", bake_hours=0))
    assert (await stage.deploy(a_checkpoint())).state is DeploymentState.LIVE


# --- the champion -----------------------------------------------------------------------------------------------------------


async def test_a_champion_whose_quality_falls_gives_back_to_the_one_before(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    first = await stage.champion(a_checkpoint(1))
    second = await stage.champion(a_checkpoint(2))
    assert stage.shelf.loaded == ["support-v1", "support-v2"], "the one before stays loaded"
    stage.watch.action, stage.watch.words = "rollback", "its judged quality fell"
    await stage.lead(hours=1)
    assert stage.row(second).state is DeploymentState.ROLLED_BACK
    assert stage.row(first).state is DeploymentState.LIVE
    assert stage.answering() == ["support-v1", "production"]
    assert stage.tracker.aliases("support") == {"champion": "1"}
    assert stage.shelf.loaded == ["support-v1"]


async def test_the_champion_before_the_last_is_unloaded(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    for version in (1, 2, 3):
        await stage.champion(a_checkpoint(version))
    assert stage.shelf.loaded == ["support-v2", "support-v3"]


async def test_a_champion_is_not_looked_at_where_the_policy_asks_for_no_watch(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    stage.policy(DeploymentPolicy(watch=WatchPolicy(after_promotion=False)))
    await stage.champion(a_checkpoint())
    assert (await stage.lead()).did == "nothing"
    assert stage.watch.seen == []


async def test_a_tracker_that_is_away_keeps_nobody_from_being_champion_and_is_told_later(
    stage: Stage, a_checkpoint: MakeCheckpoint
) -> None:
    from continuum.errors import StoreError

    tracker = stage.tracker

    class Away:
        def set_alias(self, task: str, alias: str, version: str) -> None:
            raise StoreError("MLflow does not answer")

    stage.tracker = Away()  # pyright: ignore[reportAttributeAccessIssue]
    deployment = await stage.champion(a_checkpoint())
    assert deployment.state is DeploymentState.LIVE
    stage.tracker = tracker
    assert (await stage.lead()).did == "name"
    assert tracker.aliases("support") == {"champion": "1"}
    assert (await stage.lead()).did == "nothing"


# --- approvals --------------------------------------------------------------------------------------------------------------


class Answering:
    """An approval hook that answers as it is told."""

    def __init__(self) -> None:
        self.approved = False
        self.asked: list[float] = []

    async def __call__(self, record: DeploymentRecord, share: float, evidence: Mapping[str, Any]) -> Approval:
        self.asked.append(share)
        return Approval(self.approved, "hooks.example answered")


async def test_a_step_that_needs_an_approval_waits_for_it(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    stage.policy(DeploymentPolicy(approval="promotion", ramp_schedule=(0.5, 1.0), initial_traffic=0.5))
    stage.approve = Answering()
    deployment = await stage.deploy(a_checkpoint())
    assert stage.approve.asked == [], "only the promotion is asked about"
    assert [(await stage.lead(hours=2)).did for _ in range(3)] == ["ask", "nothing", "nothing"]
    assert stage.row(deployment).traffic == 0.5
    stage.approve.approved = True
    assert (await stage.lead()).record.state is DeploymentState.LIVE
    assert stage.store.deployments.events(deployment.id)[-3].evidence["approval"] == "hooks.example answered"


async def test_a_person_who_promotes_gives_the_approval(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    stage.policy(DeploymentPolicy(approval="each_step"))
    deployment = await stage.deploy(a_checkpoint())
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.WARMING, 0.0)
    assert (await stage.lead(hours=5)).record.state is DeploymentState.WARMING
    await deployment.refresh()
    await deployment.promote(actor="ada")
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.CANARY, 0.05)
    held = await stage.lead(hours=2)
    assert (held.did, held.why) == ("ask", "an approval is needed for 25% of the traffic: `continuum promote` gives it")
    await deployment.refresh()
    await deployment.promote()
    assert (deployment.current_traffic_split, deployment.record.approved_traffic) == (0.25, 0.25)
    assert stage.actions(deployment) == ["deploy", "warm", "ask", "approve", "begin", "ask", "promote"]


async def test_all_of_the_traffic_at_once_is_a_promotion_and_asked_about(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    stage.policy(DeploymentPolicy(approval="promotion"))
    deployment = await stage.deploy(a_checkpoint(), strategy="blue_green")
    assert deployment.state is DeploymentState.WARMING
    stage.approve = Answering()
    stage.approve.approved = True
    assert (await stage.lead()).record.state is DeploymentState.PROMOTING


# --- several, and those that died -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [DeploymentState.PENDING, DeploymentState.WARMING])
async def test_what_was_left_before_it_began_is_begun(
    stage: Stage, store: Store, a_checkpoint: MakeCheckpoint, state: DeploymentState
) -> None:
    deployment = await stage.deploy(a_checkpoint())
    row = stage.row(deployment)
    values = {"state": state, "traffic": 0.0}
    store.deployments.change(row, store.deployments.events(row.id)[0], **values)
    assert (await stage.lead()).record.traffic == 0.05


async def test_what_was_left_while_it_was_rolled_back_is_put_back(
    stage: Stage, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    """As the gateway leaves it when its breaker opens, or a process that dies."""
    await stage.champion(a_checkpoint(1))
    deployment = await stage.deploy(a_checkpoint(2))
    row = stage.row(deployment)
    event = store.deployments.events(row.id)[0].model_copy(update={"action": "rollback", "actor": "gateway"})
    store.deployments.change(row, event, state=DeploymentState.ROLLING_BACK, traffic=0.0, step_at=stage.clock())
    assert stage.answering() == ["support-v1", "production"]
    ended = await stage.lead()
    assert ended.record.state is DeploymentState.ROLLED_BACK
    assert stage.shelf.loaded == ["support-v1"]


async def test_of_two_controllers_at_once_one_takes_the_step(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await stage.deploy(a_checkpoint())
    stage.clock.pass_hours(2)
    seen = stage.row(deployment)
    several = (
        tick(stage.store, seen, look=stage.watch, backend=lambda record: stage.shelf, hooks=stage.hooks, now=stage.clock)
        for _ in range(5)
    )
    ticks = await asyncio.gather(*several)
    assert sorted(one.did for one in ticks) == ["nothing"] * 4 + ["promote"]
    assert stage.row(deployment).traffic == 0.25


async def test_one_deployment_that_cannot_be_led_keeps_no_other_from_it(
    stage: Stage, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await stage.deploy(a_checkpoint())
    event = store.deployments.events(deployment.id)[0]
    row = stage.row(deployment)
    other = row.model_copy(update={"id": "other", "task": "billing", "checkpoint_id": "gone", "state": DeploymentState.LIVE})
    store.deployments.add(other, event.model_copy(update={"deployment_id": "other"}))

    async def fails_for_billing(store: Store, record: DeploymentRecord, policy: TaskPolicy, *, now: Any) -> Any:
        if record.task == "billing":
            raise RuntimeError("a judge with a fault")
        return await stage.watch(store, record, policy, now=now)

    stage.clock.pass_hours(3)
    ticks = await lead(store, look=fails_for_billing, backend=lambda record: stage.shelf, hooks=stage.hooks, now=stage.clock)
    assert {one.record.task: one.did for one in ticks} == {"billing": "failed", "support": "promote"}
    (only,) = await lead(
        store, "billing", look=stage.watch, backend=lambda record: stage.shelf, hooks=stage.hooks, now=stage.clock
    )
    assert only.did == "nothing"


async def test_a_server_that_refuses_the_model_ends_the_deployment(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    checkpoint = a_checkpoint()
    stage.shelf.refusal = "start vLLM with --enable-lora"
    with pytest.raises(DeploymentError, match="--enable-lora"):
        await stage.deploy(checkpoint)
    (refused,) = stage.store.deployments.of("support")
    assert refused.state is DeploymentState.ABORTED
    ended = next(event for event in stage.store.deployments.events(refused.id) if event.action == "abort")
    assert "--enable-lora" not in of_event(refused, ended, "slack", refused.created_at).words, "it stays in the store"
    stage.shelf.refusal = None
    assert (await stage.deploy(checkpoint)).state is DeploymentState.CANARY


async def test_a_slot_that_the_backend_names_is_where_the_gateway_asks(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    stage.shelf.slot = "http://127.0.0.1:8790/v1/slot-b"
    checkpoint = a_checkpoint()
    deployment = await stage.deploy(checkpoint)
    assert deployment.record.backend_url == stage.shelf.slot
    assert (await stage.deploy(checkpoint)).id == deployment.id, "it is the same plan"


async def test_a_trial_that_a_newer_one_ends_is_unloaded_unless_it_is_the_same_model(
    stage: Stage, a_checkpoint: MakeCheckpoint
) -> None:
    first = a_checkpoint(1)
    await stage.deploy(first)
    await stage.deploy(first, ramp_schedule=[0.05, 1.0])
    assert stage.shelf.loaded == ["support-v1"]
    await stage.deploy(a_checkpoint(2))
    assert stage.shelf.loaded == ["support-v2"]


async def test_a_model_that_could_not_be_unloaded_is_told_of(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    deployment = await stage.deploy(a_checkpoint())
    stage.shelf.up = False
    await deployment.rollback()
    assert deployment.state is DeploymentState.ROLLED_BACK
    assert deployment.record.alarm == "support-v1 may still be loaded at its server: nobody answers"


async def test_a_checkpoint_whose_folder_is_gone_can_still_be_rolled_back(stage: Stage, a_checkpoint: MakeCheckpoint) -> None:
    checkpoint = a_checkpoint()
    deployment = await stage.deploy(checkpoint)
    shutil.rmtree(checkpoint.uri)
    await deployment.rollback()
    assert deployment.state is DeploymentState.ROLLED_BACK
