from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pydantic import ValidationError

from continuum.serving_records import Change, DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store


def deployed(store: Store, **fields: object) -> DeploymentRecord:
    values = {"task": "support", "checkpoint_id": "c", "model": "support-v1", "stable_model": "production", "traffic": 0.05}
    record = DeploymentRecord.model_validate(values | fields)
    store.deployments.add(record, event(record, "deploy"))
    return record


def event(record: DeploymentRecord, action: str) -> DeploymentEvent:
    return DeploymentEvent(deployment_id=record.id, actor="test", action=action, evidence={"why": [1, 2]})


def test_of_many_changes_decided_on_one_version_one_is_made(store: Store) -> None:
    seen = deployed(store)

    with ThreadPoolExecutor(8) as pool:
        shares = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
        made = list(pool.map(lambda share: store.deployments.change(seen, event(seen, "promote"), traffic=share), shares))

    won = [change for change in made if change is not None]
    assert len(won) == 1
    assert store.deployments.get(seen.id).traffic == won[0].traffic
    assert [one.action for one in store.deployments.events(seen.id)] == ["deploy", "promote"]


def test_a_change_that_makes_no_sense_is_refused_and_nothing_is_written(store: Store) -> None:
    seen = deployed(store)

    with pytest.raises(ValidationError):
        store.deployments.change(seen, event(seen, "promote"), traffic=1.5)

    assert store.deployments.get(seen.id) == seen


def test_the_newest_live_deployment_is_the_champion(store: Store) -> None:
    old, new = deployed(store, state=DeploymentState.LIVE, traffic=1.0), deployed(store)

    assert store.deployments.champion("support") == old
    assert store.deployments.serving("support") == [new, old]
    store.deployments.change(new, event(new, "abort"), state=DeploymentState.ABORTED, traffic=0.0)
    assert store.deployments.serving() == [old]


def test_a_champion_takes_over_from_another_in_one_change_or_not_at_all(store: Store) -> None:
    old, new = deployed(store, state=DeploymentState.LIVE, traffic=1.0), deployed(store, state=DeploymentState.PROMOTING)
    down = Change(old, event(old, "supersede"), {"state": DeploymentState.SUPERSEDED, "traffic": 0.0})
    up = Change(new, event(new, "live"), {"state": DeploymentState.LIVE, "traffic": 1.0})

    assert store.deployments.change_all([up]) is None, "there is a champion, and nobody told it"
    assert store.deployments.champion("support") == old
    assert [one.action for one in store.deployments.events(new.id)] == ["deploy"]

    changed = store.deployments.change_all([down, up])
    assert changed is not None
    assert store.deployments.champion("support") == changed[1]
    assert store.deployments.change_all([down, up]) is None, "both were decided on rows that have changed"
    assert [one.action for one in store.deployments.events(old.id)] == ["deploy", "supersede"]


def test_of_many_that_become_the_champion_at_once_one_does(store: Store) -> None:
    waiting = [deployed(store, state=DeploymentState.PROMOTING, traffic=1.0) for _ in range(6)]

    def live(seen: DeploymentRecord) -> DeploymentRecord | None:
        return store.deployments.change(seen, event(seen, "live"), state=DeploymentState.LIVE)

    with ThreadPoolExecutor(6) as pool:
        made = [one for one in pool.map(live, waiting) if one is not None]

    assert store.deployments.champion("support") == made[0]
    assert len(made) == 1


def test_what_is_not_settled_is_found_for_all_tasks_and_routes_nothing(store: Store) -> None:
    states = (DeploymentState.PENDING, DeploymentState.WARMING, DeploymentState.ROLLING_BACK)
    left = [deployed(store, task=f"task-{state}", state=state) for state in states]
    deployed(store, state=DeploymentState.ABORTED)

    assert store.deployments.unsettled() == left[::-1]
    assert store.deployments.serving() == []


def test_events_are_found_by_their_time_across_deployments(store: Store) -> None:
    first, second = deployed(store), deployed(store, task="billing")
    begins = store.deployments.events(second.id)[0].at
    assert [one.deployment_id for one in store.deployments.events_since(begins)] == [second.id]
    assert [one.deployment_id for one in store.deployments.events_since(begins - timedelta(hours=1))] == [first.id, second.id]
