from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError

from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
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
