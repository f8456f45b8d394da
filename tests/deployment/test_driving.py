"""A round leads what is not done and tells people; and a driver knows when there is nothing to look at."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.driving import LOOK_AT_CHAMPION, LOOK_ON_TRIAL, Round, Seen, drive, drive_once, due
from continuum.policy import TaskPolicy
from continuum.serving_policy import DeploymentPolicy, WatchPolicy
from continuum.serving_records import DeploymentEvent, DeploymentState
from continuum.store.database import Store
from tests.builders import NOON, interactions
from tests.deployment.conftest import MakeCheckpoint
from tests.deployment.leading import Clock, Told
from tests.deployment.live import HOUR, a_deployment
from tests.deployment.test_notifying import a_hook


@pytest.fixture
def clock() -> Clock:
    return Clock()


def deployer(store: Store, clock: Clock) -> ModelDeployer:
    return ModelDeployer(store=store, backend_url="http://127.0.0.1:9/v1", now=clock)


async def test_a_round_takes_the_step_that_is_due_and_tells_of_it_at_once(
    store: Store, clock: Clock, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await deployer(store, clock).deploy(a_checkpoint())
    clock.pass_hours(2)
    async with a_hook() as hook:
        found = await drive_once(store, look=Told(), channels=(hook.channel(),), now=clock, actor="ada")

    assert [(tick.did, tick.record.traffic) for tick in found.ticks] == [("promote", 0.25)]
    assert (found.told.delivered, found.told.failed) == (1, 0)
    assert hook.bodies[-1]["action"] == "promote"
    assert store.deployments.events(deployment.id)[-1].actor == "ada"


async def test_a_hook_that_is_down_keeps_no_deployment_from_being_led(
    store: Store, clock: Clock, a_checkpoint: MakeCheckpoint
) -> None:
    await deployer(store, clock).deploy(a_checkpoint())
    clock.pass_hours(2)
    async with a_hook(status=500) as hook:
        found = await drive_once(store, look=Told(), channels=(hook.channel(),), now=clock)

    assert found.ticks[0].did == "promote"
    assert found.told.failed == 1


async def test_a_store_that_is_down_is_waited_for(store: Store, clock: Clock) -> None:
    rounds: list[Round] = []
    down = OperationalError("SELECT", {}, Exception("the database is locked"))

    async def look(*args: Any, **named: Any) -> Any:
        raise AssertionError("nothing serves")

    class Failing:
        def __init__(self) -> None:
            self.calls = 0

        def __getattr__(self, name: str) -> Any:
            self.calls += 1
            if self.calls == 1:
                raise down
            return getattr(store, name)

    failing: Any = Failing()
    await drive(failing, every=timedelta(milliseconds=1), on_round=rounds.append, rounds=2, look=look, channels=(), now=clock)

    assert rounds[0].trouble is not None
    assert "locked" in rounds[0].trouble
    assert rounds[1].trouble is None


# --- when there is something to do --------------------------------------------------------------------------------------


def test_a_trial_is_looked_at_when_something_came_or_a_time_has_passed(store: Store) -> None:
    record = a_deployment(store, shares=(0.05,), ramp_schedule=(0.05, 0.25))
    seen = due(store, {}, NOON)
    assert list(seen) == [record.id]

    assert due(store, seen, NOON + timedelta(minutes=1)) == {}
    assert list(due(store, seen, NOON + LOOK_ON_TRIAL)) == [record.id]
    store.interactions.add(interactions(1))
    assert list(due(store, seen, NOON + timedelta(minutes=1))) == [record.id]


@pytest.mark.parametrize("hours", [2.0, 24.0])
def test_a_trial_is_looked_at_when_its_step_is_due_and_when_it_has_waited_too_long(store: Store, hours: float) -> None:
    record = a_deployment(store, shares=(0.05,), ramp_schedule=(0.05, 0.25))
    at = NOON + hours * HOUR
    before = {record.id: Seen(record.version, 0, at - timedelta(minutes=1))}

    assert due(store, before, at - timedelta(seconds=1)) == {}
    assert list(due(store, before, at)) == [record.id]


def test_what_somebody_changed_is_looked_at(store: Store) -> None:
    record = a_deployment(store)
    seen = due(store, {}, NOON)
    event = DeploymentEvent(deployment_id=record.id, actor="ada", action="pause")
    store.deployments.change(record, event, state=DeploymentState.PAUSED)

    assert list(due(store, seen, NOON)) == [record.id]


def test_a_champion_is_looked_at_when_it_answered_something_but_not_all_the_time(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    record = a_deployment(store, shares=(1.0,), live=True)
    seen = due(store, {}, NOON)
    assert due(store, seen, NOON + HOUR) == {}

    store.interactions.add(interactions(1))
    assert due(store, seen, NOON + LOOK_AT_CHAMPION / 2) == {}
    assert list(due(store, seen, NOON + LOOK_AT_CHAMPION)) == [record.id]

    unwatched = DeploymentPolicy(watch=WatchPolicy(after_promotion=False))
    store.tasks.register(TaskPolicy(task="support", deployment=unwatched))
    assert due(store, seen, NOON + LOOK_AT_CHAMPION) == {}


def test_what_is_done_is_not_looked_at_and_what_is_owed_is(store: Store) -> None:
    a_deployment(store, state=DeploymentState.ROLLED_BACK)
    owed = a_deployment(store, state=DeploymentState.ROLLING_BACK)
    seen = due(store, {}, NOON)

    assert list(seen) == [owed.id]
    assert due(store, seen, NOON + timedelta(seconds=30)) == {}
    assert list(due(store, seen, NOON + timedelta(minutes=1))) == [owed.id]
