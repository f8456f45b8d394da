"""What becomes of a deployment whose breaker opened, however many workers saw it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from continuum.deployment.gateway.breaker import Breaker, Trip
from continuum.deployment.gateway.tripping import Trips, act_on
from continuum.serving_policy import BreakerPolicy
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from continuum.timespan import utc_now


def deployed(store: Store, **fields: object) -> DeploymentRecord:
    values = {"task": "support", "checkpoint_id": "c", "model": "support-v2", "stable_model": "production", "traffic": 0.25}
    record = DeploymentRecord.model_validate(values | fields)
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="test", action="deploy"))
    return record


@pytest.fixture
def trip() -> Trip:
    """Of a real breaker that saw ten failures."""
    trips: list[Trip] = []
    breaker = Breaker("support", "support-v2", BreakerPolicy(), trips.append)
    for _ in range(10):
        breaker.saw(False, error="HTTP 500")
    return trips[0]


@pytest.mark.parametrize("state", [DeploymentState.CANARY, DeploymentState.PAUSED, DeploymentState.PROMOTING])
def test_a_candidate_loses_its_traffic_at_once_and_the_event_says_why(store: Store, trip: Trip, state: DeploymentState) -> None:
    champion = deployed(store, model="support-v1", state=DeploymentState.LIVE, traffic=1.0)
    candidate = deployed(store, state=state, shadow=0.1)

    assert act_on(store, trip) == "rolled back"

    now = store.deployments.get(candidate.id)
    assert now is not None
    assert (now.state, now.traffic, now.shadow) == (DeploymentState.ROLLING_BACK, 0.0, 0.0)
    assert store.deployments.champion("support") == champion
    event = store.deployments.events(candidate.id)[-1]
    assert (event.actor, event.action) == ("gateway", "rollback")
    assert (event.from_traffic, event.to_traffic) == (0.25, 0.0)
    assert event.reason == "the breaker opened: 10 of 10 requests found no answer within 30 s"
    assert event.evidence == trip.evidence
    assert event.evidence["examples"] == ["HTTP 500"] * 5


def test_a_champion_stays_and_is_told_of(store: Store, trip: Trip) -> None:
    champion = deployed(store, state=DeploymentState.LIVE, traffic=1.0)

    assert act_on(store, trip) == "told"

    now = store.deployments.champion("support")
    assert now is not None
    assert (now.id, now.traffic) == (champion.id, 1.0)
    event = store.deployments.events(champion.id)[-1]
    assert (event.actor, event.action, event.evidence) == ("gateway", "breaker", trip.evidence)


@pytest.mark.parametrize("state", [DeploymentState.LIVE, DeploymentState.CANARY])
def test_of_many_workers_that_saw_it_one_acts(store: Store, trip: Trip, state: DeploymentState) -> None:
    record = deployed(store, state=state, traffic=1.0)

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: act_on(store, trip), range(6)))

    assert done.count("nothing to do") == 5
    assert ("told" if state is DeploymentState.LIVE else "rolled back") in done
    assert len(store.deployments.events(record.id)) == 2


def test_a_champion_that_fails_again_later_is_told_of_again(store: Store, trip: Trip) -> None:
    deployed(store, state=DeploymentState.LIVE, traffic=1.0)
    began = utc_now()

    moments = (began, began + timedelta(seconds=29), began + timedelta(seconds=31))
    assert [act_on(store, trip, now=lambda at=at: at) for at in moments] == ["told", "nothing to do", "told"]


def test_of_a_model_that_serves_no_longer_nothing_is_changed(store: Store, trip: Trip) -> None:
    gone = deployed(store, state=DeploymentState.ROLLED_BACK, traffic=0.0)
    another = deployed(store, model="support-v3")

    assert act_on(store, trip) == "nothing to do"

    assert [store.deployments.get(one.id) for one in (gone, another)] == [gone, another]


async def test_a_trip_waits_for_the_store(store: Store, trip: Trip, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate, asked = deployed(store), 0

    def fails(task: str | None = None) -> list[DeploymentRecord]:
        nonlocal asked
        asked += 1
        raise OperationalError("SELECT", {}, ConnectionError("down"))

    trips = Trips(store, retry_s=0.01)
    running = asyncio.create_task(trips.run())
    try:
        async with asyncio.timeout(10):
            with monkeypatch.context() as down:
                down.setattr(store.deployments, "serving", fails)
                trips.tell(trip)
                while asked < 3:
                    await asyncio.sleep(0.01)
            while (await asyncio.to_thread(store.deployments.get, candidate.id)).state is not DeploymentState.ROLLING_BACK:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    assert [event.action for event in store.deployments.events(candidate.id)] == ["deploy", "rollback"]


async def test_trips_that_nobody_takes_do_not_fill_the_memory(store: Store, trip: Trip, caplog: pytest.LogCaptureFixture) -> None:
    trips = Trips(store)
    for _ in range(101):
        trips.tell(trip)

    assert caplog.text.count("this one is left out") == 1
