"""The sensor of deployments: a glance each half minute, and a run only where there is something to do."""

import asyncio
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
from continuum.policy import TaskPolicy
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from continuum.timespan import utc_now
from continuum_pipelines.checks import deployment_result
from continuum_pipelines.deployments import cursor_of, cursor_read, deployment_watch, evaluation_of, lead_deployments
from continuum_pipelines.resources.store import StoreResource
from tests.builders import NOON, interactions
from tests.deployment.conftest import (
    MakeCheckpoint,
    a_checkpoint,  # noqa: F401  a fixture
)
from tests.deployment.live import GOOD, a_deployment, a_policy, both
from tests.stub_endpoint import scores, stub_endpoint


@pytest.fixture
def trial(store: Store, a_checkpoint: MakeCheckpoint) -> Deployment:  # noqa: F811
    """support-v1, on trial at its first share for three hours."""
    store.tasks.register(TaskPolicy(task="support"))
    at = utc_now() - timedelta(hours=3)
    deployer = ModelDeployer(store=store, backend_url="http://127.0.0.1:9/v1", now=lambda: at)
    return asyncio.run(deployer.deploy(a_checkpoint()))


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"store": StoreResource()}) as context:
        return lead_deployments(context)  # pyright: ignore[reportReturnType]


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return deployment_watch.execute_in_process(resources={"store": StoreResource()}, instance=instance, raise_on_error=False)


def evaluations(instance: dg.DagsterInstance) -> list[dg.AssetCheckEvaluation]:
    """What the check came to, newest first."""
    key = dg.AssetCheckKey(dg.AssetKey("deployment"), "deployment_healthy")
    found = []
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=10):
        assert record.event is not None
        assert record.event.dagster_event is not None
        found.append(record.event.dagster_event.asset_check_evaluation_data)
    return found


def told(result: dg.SensorResult | dg.SkipReason) -> str:
    return str(result.skip_message) if isinstance(result, dg.SkipReason) else ""


def test_without_a_deployment_no_run_is_started(store: Store, instance: dg.DagsterInstance) -> None:
    assert told(tick(instance)) == "0 deployments are as they were at the last look, and 0 channels have nothing to be told"


def test_a_run_is_started_where_there_is_something_to_do_and_not_again_before_something_comes(
    store: Store, instance: dg.DagsterInstance, trial: Deployment
) -> None:
    first = tick(instance)
    assert isinstance(first, dg.SensorResult)
    (request,) = first.run_requests or []
    assert request.tags["continuum/because"] == f"{trial.record.model} ({trial.id})"

    assert told(tick(instance, first.cursor)).startswith("1 deployments are as they were at the last look")
    store.interactions.add(interactions(1, id="new"))
    assert isinstance(tick(instance, first.cursor), dg.SensorResult)


def test_the_run_does_what_continuum_watch_does_and_refreshes_the_check(
    store: Store, instance: dg.DagsterInstance, trial: Deployment
) -> None:
    ran = run(instance)

    assert ran.success
    found = store.deployments.get(trial.id)
    assert found is not None
    assert found.alarm is not None
    event = store.deployments.events(trial.id)[-1]
    assert (event.actor, event.action) == ("dagster", "alarm")
    (evaluation,) = evaluations(instance)
    assert (evaluation.passed, evaluation.partition) == (False, "support")
    assert "no working signal" in (evaluation.description or "")

    assert run(instance).success
    assert len(evaluations(instance)) == 2


@pytest.mark.slow
async def test_a_run_looks_again_while_answers_wait_for_their_judge(
    store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", "sk-judge")
    record = a_deployment(store, shares=(0.5,), ramp_schedule=(0.5, 1.0))
    store.interactions.add(both(record, [GOOD] * 130, [GOOD] * 130, kinds=130))
    async with stub_endpoint(lambda number, body: scores(helpfulness=5)) as stub:
        criteria = ({"name": "helpfulness", "weight": 1.0, "description": "Settles the question"},)
        judge = {"model": "gpt-4o-mini", "base_url": stub.base_url, "criteria": criteria, "admission": "off"}
        store.tasks.register(a_policy(judge=judge))

        ran = await asyncio.to_thread(run, instance)

    assert ran.success
    assert stub.calls == 260  # More than one look judges.


def test_while_a_run_is_under_way_no_other_is_started(store: Store, instance: dg.DagsterInstance, trial: Deployment) -> None:
    under_way = instance.create_run_for_job(deployment_watch)
    instance.report_run_canceling(under_way)  # Neither ended nor to be started by anybody.

    assert told(tick(instance)) == "a run is under way; 1 deployments and no notifications wait for the next"


def test_messages_that_wait_start_a_run_though_nothing_is_to_be_led(
    store: Store, instance: dg.DagsterInstance, trial: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_NOTIFY_WEBHOOK", "http://127.0.0.1:9/s3cr3t")
    asyncio.run(Deployment.open(trial.id, store=store).abort(reason="another comes"))

    found = tick(instance)

    assert isinstance(found, dg.SensorResult)
    assert (found.run_requests or [])[0].tags["continuum/because"] == "notifications"
    assert run(instance).success
    (message,) = store.notifications.waiting()
    assert (message.kind, message.attempts) == ("rollback", 1)
    assert told(tick(instance, found.cursor)).startswith("0 deployments are as they were")  # Not yet again.


def test_one_that_cannot_be_led_fails_the_run_by_name(
    store: Store, instance: dg.DagsterInstance, trial: Deployment, home: Path
) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql('UPDATE tasks SET policy = \'{"task": "support", "nonsense": 1}\'')

    ran = run(instance)

    assert not ran.success
    assert [one.partition for one in evaluations(instance)] == ["support"]
    found = store.deployments.get(trial.id)
    assert found is not None
    assert found.traffic == 0.05


def test_the_cursor_is_read_back_and_a_broken_one_is_begun_anew(
    store: Store, instance: dg.DagsterInstance, trial: Deployment
) -> None:
    first = tick(instance)
    assert isinstance(first, dg.SensorResult)
    assert cursor_of(cursor_read(first.cursor)) == first.cursor
    for broken in (None, "", "[]", "{", '{"a": 1}', '{"a": {"version": 1}}'):
        assert cursor_read(broken) == {}


# --- the check ---------------------------------------------------------------------------------------------------------


def a_row(state: DeploymentState, **fields: object) -> DeploymentRecord:
    values = {"task": "support", "checkpoint_id": "c", "model": "support-v1", "stable_model": "production", "state": state}
    return DeploymentRecord.model_validate(values | fields)


def test_production_alone_and_a_trial_without_an_alarm_are_healthy() -> None:
    assert deployment_result([]).passed
    found = deployment_result([a_row(DeploymentState.CANARY, traffic=0.25)])
    assert found.passed
    assert found.description == "support-v1 canary 25%"


def test_an_alarm_is_an_error_and_a_rollback_a_warning() -> None:
    alarm = deployment_result([a_row(DeploymentState.LIVE, alarm="nobody judges")])
    assert (alarm.passed, alarm.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert alarm.description == "support-v1 (live): nobody judges"

    back = deployment_result([a_row(DeploymentState.ROLLED_BACK), a_row(DeploymentState.LIVE)])
    assert (back.passed, back.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert back.description == "support-v1 was taken back"


def test_an_older_rollback_is_history(store: Store) -> None:
    rows = [a_row(DeploymentState.CANARY, created_at=NOON), a_row(DeploymentState.ROLLED_BACK, alarm="may still be loaded")]
    assert deployment_result(rows).passed

    store.deployments.add(rows[0], DeploymentEvent(deployment_id=rows[0].id, actor="sdk", action="deploy"))
    evaluation = evaluation_of(store, "support")
    assert (evaluation.passed, evaluation.partition) == (True, "support")
