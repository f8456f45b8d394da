"""Deployments in people's hands: `continuum deployments`, `promote`, `pause`, `resume`, `abort` and `rollback`."""

import asyncio
import json

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from continuum.cli import app
from continuum.commands.deployments import who
from continuum.deployment import transitions
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
from continuum.deployment.notifying import Channel, of_event, tell
from continuum.deployment.transitions import Cause
from continuum.errors import ConfigurationError, DeploymentError
from continuum.policy import TaskPolicy
from continuum.serving_policy import DeploymentPolicy
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from tests.builders import NOON
from tests.deployment.conftest import MakeCheckpoint
from tests.deployment.live import a_deployment

pytestmark = pytest.mark.usefixtures("wide")

NOWHERE = "http://127.0.0.1:9/v1"


def ran(*words: str) -> tuple[str, str]:
    """What the command prints, and what it says beside that."""
    found = CliRunner().invoke(app, list(words))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.stdout, found.stderr


@pytest.fixture
def trial(store: Store, a_checkpoint: MakeCheckpoint) -> Deployment:
    """support-v1, on trial at its first share."""
    store.tasks.register(TaskPolicy(task="support"))
    deployer = ModelDeployer(store=store, backend_url="http://127.0.0.1:9/v1")
    return asyncio.run(deployer.deploy(a_checkpoint()))


def row(store: Store, deployment: Deployment | DeploymentRecord) -> tuple[str, float]:
    found = store.deployments.get(deployment.id)
    assert found is not None
    return str(found.state), found.traffic


def test_the_list_says_who_serves_how_much_and_what_is_next(store: Store, trial: Deployment) -> None:
    said, _ = ran("deployments")

    assert "support: support-v1 is canary at 5% since" in said
    assert trial.id in said
    assert "next: 25% of the traffic from" in said
    assert "support: support-v1" in ran("deployments", "support")[0]


def test_without_a_deployment_it_says_how_to_make_one(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))

    assert "no deployment of support yet; continuum deploy MODEL makes one" in ran("deployments", "support")[0]
    with pytest.raises(ConfigurationError, match="'suport' is neither a task nor the id"):
        ran("deployments", "suport")


def test_json_holds_the_row_its_events_and_what_is_next(store: Store, trial: Deployment) -> None:
    (one,) = json.loads(ran("deployments", "--json")[0])
    whole = json.loads(ran("deployments", trial.id, "--json")[0])

    assert (one["id"], one["traffic"], one["state"]) == (trial.id, 0.05, "canary")
    assert [event["action"] for event in whole["events"]] == ["deploy", "warm", "begin"]
    assert whole["notifications"] == []


def test_the_story_of_one_names_everything_that_happened_and_who_did_it(store: Store, trial: Deployment) -> None:
    ran("promote", trial.id, "--reason", "the sale starts [bold]at noon[/bold]\x1b[31m")
    said, _ = ran("deployments", trial.id)

    assert f"{who()}: the sale starts [bold]at noon[/bold]" in said
    assert "5% -> 25%" in said
    assert "\x1b" not in said


def test_hands_promote_pause_resume_and_abort_by_the_name_of_the_task(store: Store, trial: Deployment) -> None:
    said, _ = ran("promote", "support", "--reason", "it is good")
    assert f"{trial.id}: support-v1 is canary, 25% of the traffic of support (was 5%)" in said
    ran("pause", "support")
    assert row(store, trial) == ("paused", 0.25)
    assert "nothing to pause" in ran("pause", trial.id)[0]
    ran("resume", "support-v1")
    assert row(store, trial) == ("canary", 0.25)

    said, _ = ran("abort", "support", "--reason", "another comes")

    assert row(store, trial) == ("aborted", 0.0)
    assert "support is answered by production" in said
    events = {event.action: event for event in store.deployments.events(trial.id)}
    assert {events[action].actor for action in ("promote", "pause", "resume", "abort")} == {who()}
    assert events["abort"].reason == "another comes"


def test_a_step_before_its_time_needs_a_reason(store: Store, trial: Deployment) -> None:
    with pytest.raises(DeploymentError, match=r"took its last step \d+ s ago .* `continuum promote ... --reason TEXT`"):
        ran("promote", "support")
    assert row(store, trial) == ("canary", 0.05)


def test_a_rollback_of_a_champion_says_who_answers_now(store: Store) -> None:
    champion = a_deployment(store, shares=(1.0,), live=True, backend_url="http://127.0.0.1:9/v1")

    said, beside = ran("rollback", champion.id, "--reason", "worse at weekends")

    found = store.deployments.get(champion.id)
    assert found is not None
    assert (found.state, found.traffic) == (DeploymentState.ROLLED_BACK, 0.0)
    assert "(was 100%)" in said
    assert "support is answered by production" in said
    assert "warning: support-v1 may still be loaded at its server" in beside


def test_a_rollback_that_is_repeated_by_the_tasks_name_never_takes_the_champion(store: Store) -> None:
    champion = a_deployment(store, shares=(1.0,), live=True, backend_url=NOWHERE)
    trial = a_deployment(store, model="support-v2", backend_url=NOWHERE)
    said, beside = ran("rollback", "support")
    assert "support-v2 answers 0% of the traffic of support now" in beside
    assert "support is answered by support-v1" in said

    with pytest.raises(ConfigurationError, match=r"nothing to rollback: .* is rolled_back; `continuum rollback support-v1`"):
        ran("rollback", "support")

    assert (row(store, champion), row(store, trial)) == (("live", 1.0), ("rolled_back", 0.0))


def test_a_rollback_whose_server_is_still_told_is_gone_on_with(store: Store) -> None:
    champion = a_deployment(store, shares=(1.0,), live=True, backend_url=NOWHERE)
    trial = a_deployment(store, model="support-v2", backend_url=NOWHERE)
    cause = Cause("test", "", {}, NOON)
    assert transitions.take_back(store, trial, cause) is not None
    assert row(store, trial) == ("rolling_back", 0.0)

    ran("rollback", "support")

    assert (row(store, champion), row(store, trial)) == (("live", 1.0), ("rolled_back", 0.0))


def test_deploy_says_that_no_server_answers_what_to_start_and_who_did_it(store: Store, a_checkpoint: MakeCheckpoint) -> None:
    store.tasks.register(TaskPolicy(task="support", deployment=DeploymentPolicy(backend_url=NOWHERE)))
    a_checkpoint()

    said, beside = ran("deploy", "support-v1")

    assert "support-v1 is canary, 5% of the traffic" in said
    assert f"warning: no server answers at {NOWHERE}; start `continuum serve`" in beside
    (deployed,) = store.deployments.of("support")
    assert {event.actor for event in store.deployments.events(deployed.id)} == {who()}
    assert "no server answers" not in ran("deploy", "support-v1")[1], "nobody was asked again"


def test_deploy_says_whose_trial_it_ends(store: Store, trial: Deployment, a_checkpoint: MakeCheckpoint) -> None:
    a_checkpoint(version=2)

    _, beside = ran("deploy", "support-v2")

    assert "support-v1, which was canary at 5%, is superseded: a task has one trial at a time" in beside


def test_what_was_taken_back_by_hand_is_deployed_again_with_a_reason(store: Store, a_checkpoint: MakeCheckpoint) -> None:
    store.tasks.register(TaskPolicy(task="support", deployment=DeploymentPolicy(backend_url=NOWHERE)))
    a_checkpoint()
    ran("deploy", "support-v1")
    ran("rollback", "support", "--reason", "the server was down")

    said, _ = ran("deploy", "support-v1", "--again", "--reason", "it is up again")

    assert "support-v1 is canary, 5% of the traffic" in said
    assert store.deployments.events(store.deployments.of("support")[0].id)[0].reason.endswith("again; it is up again")


@pytest.mark.parametrize("action", ["abort", "promote"])
def test_what_is_for_trials_names_rollback_for_a_champion(store: Store, action: str) -> None:
    champion = a_deployment(store, shares=(1.0,), live=True, backend_url=NOWHERE)

    for item in ("support", champion.id):
        with pytest.raises((ConfigurationError, DeploymentError), match=r"is live; .*`continuum rollback support-v1`"):
            ran(action, item)


def test_a_person_approves_a_trial_that_waits_to_begin(store: Store, a_checkpoint: MakeCheckpoint) -> None:
    policy = DeploymentPolicy(approval="each_step")
    store.tasks.register(TaskPolicy(task="support", deployment=policy))
    deployer = ModelDeployer(store=store, backend_url="http://127.0.0.1:9/v1", policy=policy)
    waiting = asyncio.run(deployer.deploy(a_checkpoint()))
    assert "next: an approval is needed to begin" in ran("deployments")[0]

    ran("promote", "support", "--reason", "legal agreed")

    assert row(store, waiting) == ("canary", 0.05)
    begun = store.deployments.events(waiting.id)[-1]
    told = of_event(waiting.record, begun, "slack", NOON)
    assert f"approved by {who()}: legal agreed; no server is ready at" in told.words


def test_the_list_leaves_out_most_of_what_is_done_and_says_so(store: Store, trial: Deployment) -> None:
    for n in range(12):
        old = trial.record.model_copy(
            update={"id": f"old-{n:02}", "state": DeploymentState.SUPERSEDED, "traffic": 0.0, "updated_at": NOON}
        )
        store.deployments.add(old, DeploymentEvent(deployment_id=old.id, actor="sdk", action="deploy"))

    shown, beside = ran("deployments")
    assert "2 more are done; --all shows them" in beside
    assert shown.count("old-") == 10
    assert ran("deployments", "--all")[0].count("old-") == 12


def test_messages_that_nobody_takes_are_told_of(store: Store, trial: Deployment) -> None:
    asyncio.run(tell(store, (Channel("slack", SecretStr("http://127.0.0.1:9/s3cr3t")),)))

    _, beside = ran("deployments")

    assert "notifications refused so far: 1, the last with ClientConnectorError" in beside
    assert "1 of 1 notifications are not delivered" in ran("deployments", trial.id)[1]


def test_an_alarm_stands_out_in_the_list_and_in_the_status(store: Store, trial: Deployment) -> None:
    event = DeploymentEvent(deployment_id=trial.id, actor="controller", action="alarm", reason="no judge")
    store.deployments.change(trial.record, event, alarm="the watch has no working signal: no judge")

    for command in (("deployments",), ("deployments", trial.id), ("status", "support")):
        assert "ALARM the watch has no working signal: no judge" in ran(*command)[0]
    assert "support-v1 is canary at 5%: 25% of the traffic from" in ran("status", "support")[0]
