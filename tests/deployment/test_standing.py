"""What people are shown of deployments: the figures of both arms, what comes next, and which one they mean."""

from datetime import timedelta
from typing import Any

import pytest

from continuum.deployment.standing import chosen, next_of, standing, standings
from continuum.errors import ConfigurationError
from continuum.records import Checkpoint
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from tests.builders import NOON
from tests.deployment.live import FAIR, GOOD, HOUR, a_deployment, conversations

NOBODY = "none"


def a_record(**fields: Any) -> DeploymentRecord:
    values: dict[str, Any] = {
        "task": "support",
        "checkpoint_id": "c1",
        "model": "support-v1",
        "stable_model": "production",
        "state": DeploymentState.CANARY,
        "traffic": 0.05,
        "ramp_schedule": (0.05, 0.25, 1.0),
        "step_at": NOON,
    }
    return DeploymentRecord(**(values | fields))


def said(record: DeploymentRecord, action: str, reason: str, hours: float) -> DeploymentEvent:
    at = NOON + timedelta(hours=hours)
    return DeploymentEvent(deployment_id=record.id, actor="controller", action=action, reason=reason, at=at)


def test_both_arms_show_their_calls_failures_times_and_cost(store: Store) -> None:
    record = a_deployment(store, shares=(0.5,))
    store.interactions.add(conversations(record, "candidate", [GOOD] * 3, cost_usd=0.001))
    store.interactions.add(conversations(record, "stable", [FAIR] * 4))
    fell_back = {"status": "ok", "tags": {"fell_back_from": "support-v1"}, "variant": "stable", "model": "gpt-4"}
    store.interactions.add(conversations(record, "candidate", [GOOD], named="fallen", **fell_back))

    found = standing(store, record, now=NOON + HOUR).arms

    assert (found["candidate"].calls, found["candidate"].failed, found["candidate"].median_ms) == (4, 1, 300.0)
    assert found["candidate"].cost_usd == pytest.approx(0.003)
    assert (found["stable"].calls, found["stable"].failed, found["stable"].median_ms) == (4, 0, 200.0)
    assert found["stable"].cost_usd is None


def test_a_champion_shows_what_it_did_since_it_is_one(store: Store) -> None:
    record = a_deployment(store, shares=(0.5, 1.0), live=True)
    store.interactions.add(conversations(record, "candidate", [GOOD] * 5))
    store.interactions.add(conversations(record, "candidate", [GOOD] * 2, at=record.step_at))

    assert standing(store, record, now=record.step_at + HOUR).arms["candidate"].calls == 2


def test_the_evidence_is_that_of_the_last_look_that_was_written_down(store: Store) -> None:
    record = a_deployment(store)
    for hour, delta in ((1, -0.01), (2, -0.02)):
        event = DeploymentEvent(
            deployment_id=record.id, actor="c", action="hold", at=NOON + HOUR * hour, evidence={"quality": {"delta": delta}}
        )
        record = store.deployments.change(record, event) or record

    (found,) = standings(store, "support", now=NOON + 3 * HOUR)
    assert found.evidence == {"quality": {"delta": -0.02}}
    assert found.evidence_at == NOON + 2 * HOUR
    assert standings(store, "billing", now=NOON) == []


def test_before_its_time_the_next_step_says_when_and_what_it_takes() -> None:
    record = a_record()

    assert next_of(record, [], NOBODY, NOON) == "25% of the traffic from 2026-03-01 14:00 UTC on, if the evidence allows it"
    assert next_of(record, [], "each_step", NOON).endswith("if the evidence allows it and somebody approves")
    assert next_of(record, [], "promotion", NOON).endswith("if the evidence allows it")
    approved = record.model_copy(update={"approved_traffic": 0.25})
    assert next_of(approved, [], "each_step", NOON).endswith("if the evidence allows it")


def test_a_step_that_is_due_says_what_it_waits_for() -> None:
    record = a_record()
    waits = said(record, "hold", "12 conversations are too few", 2.1)

    assert next_of(record, [waits], NOBODY, NOON + 3 * HOUR) == (
        "25% of the traffic is due since 2026-03-01 14:00 UTC and waits: 12 conversations are too few"
    )


def test_a_step_that_nobody_looks_at_says_whom_to_start() -> None:
    record = a_record()
    early = said(record, "begin", "", 0)

    assert "nobody looks: run `continuum watch`" in next_of(record, [early], NOBODY, NOON + 3 * HOUR)
    assert "nobody looks" not in next_of(record, [early], NOBODY, NOON + 2 * HOUR + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        (DeploymentState.PENDING, {}, "its server is to load it"),
        (DeploymentState.PAUSED, {}, "it stays as it is until `continuum resume` or `continuum promote`"),
        (DeploymentState.CANARY, {"traffic": 1.0}, "it stays at 100%, the last step of its ramp"),
        (DeploymentState.PROMOTING, {"traffic": 1.0, "bake_hours": 4.0}, "the champion's place from 2026-03-01 16:00 UTC on"),
        (DeploymentState.LIVE, {"traffic": 1.0}, "it answers everybody"),
        (DeploymentState.ROLLING_BACK, {"traffic": 0.0}, "its traffic is gone; its server is to unload it"),
        (DeploymentState.ABORTED, {"traffic": 0.0}, "it is done"),
    ],
)
def test_every_state_says_what_is_next(state: DeploymentState, fields: dict[str, Any], words: str) -> None:
    assert next_of(a_record(state=state, **fields), [], NOBODY, NOON).startswith(words)


def test_one_that_waits_for_an_approval_to_begin_says_so() -> None:
    record = a_record(state=DeploymentState.WARMING)

    assert "`continuum promote` gives it" in next_of(record, [said(record, "ask", "", 0)], "each_step", NOON)


# --- which one is meant ------------------------------------------------------------------------------------------------


@pytest.fixture
def three(store: Store) -> dict[str, DeploymentRecord]:
    """A task with an older deployment that is done, a champion, and a trial."""
    states = {"done": DeploymentState.SUPERSEDED, "live": DeploymentState.LIVE, "trial": DeploymentState.CANARY}
    found = {}
    for n, (name, state) in enumerate(states.items(), 1):
        checkpoint = Checkpoint(id=f"c{n}", task="support", version=n, base_model="tiny", uri="/", dataset_id="d")
        store.checkpoints.add(checkpoint)
        record = a_record(id=name, checkpoint_id=f"c{n}", model=f"support-v{n}", state=state, created_at=NOON + n * HOUR)
        store.deployments.add(record, said(record, "deploy", "", 0))
        found[name] = record
    return found


@pytest.mark.parametrize("action", ["promote", "pause", "abort", "rollback"])
def test_the_name_of_a_task_means_its_trial(store: Store, three: dict[str, DeploymentRecord], action: str) -> None:
    assert chosen(store, "support", action).id == "trial"


def test_a_rollback_of_a_task_without_a_trial_names_its_champion_and_leaves_it(
    store: Store, three: dict[str, DeploymentRecord]
) -> None:
    trial = three["trial"]
    store.deployments.change(trial, said(trial, "abort", "", 1), state=DeploymentState.ABORTED)

    with pytest.raises(ConfigurationError, match="`continuum rollback support-v2` takes the champion back"):
        chosen(store, "support", "rollback")
    with pytest.raises(
        ConfigurationError, match="'support' has nothing to promote: its newest deployment, of support-v3, is abor"
    ):
        chosen(store, "support", "promote")


def test_an_id_or_a_model_means_what_it_names(store: Store, three: dict[str, DeploymentRecord]) -> None:
    assert chosen(store, "done", "promote").id == "done"
    assert chosen(store, "support-v2", "rollback").id == "live"
    with pytest.raises(ConfigurationError, match="'support-v2' has nothing to pause"):
        chosen(store, "support-v2", "pause")
    with pytest.raises(ConfigurationError, match="'suport' is no deployment, and no task or model with one"):
        chosen(store, "suport", "pause")


def test_of_several_one_is_to_be_named(store: Store, three: dict[str, DeploymentRecord]) -> None:
    another = a_record(id="another", state=DeploymentState.WARMING, created_at=NOON + 9 * HOUR)
    store.deployments.add(another, said(another, "deploy", "", 0))

    with pytest.raises(ConfigurationError, match="2 deployments to abort; name one by its id: another"):
        chosen(store, "support", "abort")
    assert chosen(store, "support", "pause").id == "trial"
