from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from continuum.ids import new_id
from continuum.policy import CurationPolicy
from continuum.records import Checkpoint, Verdict, VerdictStatus
from continuum.store.database import Store
from continuum_pipelines.assets.deployment import deployment
from continuum_pipelines.assets.guard_verdict import guard_verdict
from continuum_pipelines.assets.raw_interactions import raw_interactions
from continuum_pipelines.checks import regression_result
from continuum_pipelines.claims import BASE_TAG, BOOTSTRAP, TRIGGER_TAG, root_of
from continuum_pipelines.definitions import defs
from continuum_pipelines.handover import materialized
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.turn import TurnOutcome, outcome_of, run_turn
from tests.builders import interactions

AFTER_CURATION = ["curated_dataset", "lora_checkpoint", "guard_verdict", "deployment", "learning_curve"]


def materialize(asset: dg.AssetsDefinition, instance: dg.DagsterInstance) -> dict[str, Any]:
    """One asset alone, as from the UI; its metadata."""
    resources = {"store": StoreResource(), "tracker": TrackerResource()}
    result = dg.materialize([asset], partition_key="support", instance=instance, resources=resources)
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def turn_with(tags: dict[str, str], instance: dg.DagsterInstance) -> TurnOutcome:
    """A turn as a sensor starts it."""
    flywheel = defs.resolve_job_def("flywheel")
    return outcome_of("support", flywheel.execute_in_process(instance=instance, partition_key="support", tags=tags))


def a_checkpoint(store: Store, **fields: Any) -> Checkpoint:
    values = {"task": "support", "version": 1, "base_model": "tiny", "uri": "gone", "dataset_id": "d1"}
    checkpoint = Checkpoint(**(values | fields))
    store.checkpoints.add(checkpoint)
    return checkpoint


def a_verdict(store: Store, checkpoint: Checkpoint, **fields: Any) -> Verdict:
    values = {"status": VerdictStatus.BLOCKED, "approved": False, "failed_checks": ("accuracy: -12 points",), "max_traffic": 0.0}
    verdict = Verdict(task="support", checkpoint_id=checkpoint.id, baseline="production", golden_id="g1", **(values | fields))
    store.verdicts.add(verdict)
    return verdict


def test_a_task_with_too_little_data_waits_all_down_the_line(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(captured=12, praised=12)

    outcome = run_turn("support", instance=instance)

    assert outcome.waiting
    assert outcome.action == "kept_previous"
    assert outcome.statuses["raw_interactions"] == "12 interactions, 12 new since the last turn"
    (status,) = {outcome.statuses[asset] for asset in AFTER_CURATION}
    assert status.startswith("waiting (")
    assert status.endswith(" of 20)")
    assert store.tasks.get("support").trained_through == 0
    assert store.checkpoints.of("support") == []


def test_waiting_twice_leaves_the_same_state(a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance) -> None:
    a_task(captured=12, praised=12)
    assert run_turn("support", instance=instance).statuses == run_turn("support", instance=instance).statuses
    assert store.datasets.latest("support") is None


def test_the_checks_of_a_waiting_task_do_not_fail(a_task: Callable[..., str], instance: dg.DagsterInstance) -> None:
    a_task(captured=2)
    result = defs.resolve_job_def("flywheel").execute_in_process(instance=instance, partition_key="support")
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    judge = {"judge_calibrated", "judge_drift", "judge_gamed", "budget_kept"}
    dataset, training = {"dataset_sealed", "dataset_diverse", "duplicates"}, {"constitution_kept", "forgetting_budget"}
    assert checks.keys() == judge | dataset | training | {"spool_lag", "no_regression", "deployment_healthy"}
    assert all(check.passed for check in checks.values())
    assert "no candidate to judge: waiting" in str(checks["no_regression"].description)
    assert checks["judge_calibrated"].description == "no judge has scored anything"
    assert checks["deployment_healthy"].description == "production answers everybody"


def test_a_task_without_a_judge_goes_by_what_people_said(a_task: Callable[..., str], instance: dg.DagsterInstance) -> None:
    a_task(captured=5, praised=2)
    assert run_turn("support", instance=instance).statuses["judged_annotations"] == "human verdicts only (2)"


def test_an_unknown_task_is_refused_before_anything_is_written(store: Store, instance: dg.DagsterInstance) -> None:
    with pytest.raises(ValueError, match="there is no task 'nobody'"):
        run_turn("nobody", instance=instance)
    assert instance.get_dynamic_partitions("task") == []


def test_a_training_on_anothers_answers_waits_until_somebody_has_accepted_the_terms(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(captured=60, praised=60, provider_terms_accepted=False, base_model="/no/model")

    outcome = run_turn("support", instance=instance)

    assert outcome.statuses["curated_dataset"].startswith("support_training_v1")
    waiting = {outcome.statuses[asset] for asset in ("lora_checkpoint", "guard_verdict", "deployment")}
    assert waiting == {"waiting for provider_terms_accepted"}
    assert store.checkpoints.of("support") == []
    assert store.tasks.get("support").trained_through == 0


def test_the_bootstrap_waits_for_as_much_data_as_the_policy_asks_for(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(captured=40, praised=40, auto_train_when=100)

    outcome = turn_with({TRIGGER_TAG: BOOTSTRAP}, instance)

    assert {outcome.statuses[asset] for asset in AFTER_CURATION} == {"waiting (40 of 100)"}
    assert store.datasets.latest("support") is None


def test_the_bootstrap_trains_no_task_that_never_asked(a_task: Callable[..., str], instance: dg.DagsterInstance) -> None:
    a_task(captured=40, praised=40)
    assert "waiting to be asked" in turn_with({TRIGGER_TAG: BOOTSTRAP}, instance).statuses["lora_checkpoint"]


def test_a_run_that_another_turn_has_overtaken_stands_down(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(captured=40, praised=40)
    store.tasks.advance("support", base=0, to=40)

    outcome = turn_with({BASE_TAG: "0"}, instance)

    assert {outcome.statuses[asset] for asset in AFTER_CURATION} == {
        "superseded: another turn has learned what this one was started for"
    }


def test_a_task_that_another_driver_turns_is_left_to_it(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(captured=40, praised=40, curation=CurationPolicy(min_examples=5))
    store.tasks.claim("support", "laptop-17", lasts=timedelta(hours=1))

    outcome = run_turn("support", instance=instance)

    assert "being turned by laptop-17" in outcome.statuses["lora_checkpoint"]
    assert outcome.statuses["deployment"] == outcome.statuses["lora_checkpoint"]
    assert store.tasks.get("support").claimed_by == "laptop-17"
    assert store.tasks.get("support").trained_through == 0


def test_a_dataset_is_learned_once(a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance) -> None:
    a_task(captured=40, praised=40, curation=CurationPolicy(min_examples=5), base_model="tiny")
    store.tasks.claim("support", "laptop-17", lasts=timedelta(hours=1))
    run_turn("support", instance=instance)
    store.tasks.release("support", "laptop-17")
    dataset = store.datasets.latest("support")
    assert dataset is not None
    recipe = store.tasks.get("support").policy.training.model_dump(mode="json")
    a_verdict(store, a_checkpoint(store, dataset_id=dataset.id, config=recipe))

    outcome = run_turn("support", instance=instance)

    assert outcome.statuses["lora_checkpoint"] == f"up to date: support-v1 has learned {dataset.name}"
    assert outcome.statuses["guard_verdict"] == outcome.statuses["lora_checkpoint"]
    assert store.tasks.get("support").trained_through == store.interactions.last_sequence("support")
    assert len(store.checkpoints.of("support")) == 1


def test_an_automatic_retry_holds_the_claim_of_the_run_it_repeats() -> None:
    killed = dg.DagsterRun(job_name="flywheel", run_id=new_id())
    retry = dg.DagsterRun(job_name="flywheel", run_id=new_id(), root_run_id=killed.run_id, parent_run_id=killed.run_id)
    assert root_of(retry) == root_of(killed) == killed.run_id


def test_a_blocked_model_leaves_the_previous_one_and_says_why(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(auto_deploy_if_better=True)
    verdict = a_verdict(store, a_checkpoint(store))

    metadata = materialize(deployment, instance)

    assert metadata["action"] == "kept_previous"
    assert metadata["status"] == "kept_previous: blocked: accuracy: -12 points"
    assert metadata["verdict"] == verdict.id
    assert store.deployments.of("support") == []


def test_a_blocked_verdict_fails_the_check_and_an_inconclusive_one_that_may_serve_passes(store: Store) -> None:
    checkpoint = a_checkpoint(store)
    blocked = regression_result(a_verdict(store, checkpoint), "blocked: support-v1 against production")
    inconclusive = a_verdict(
        store, checkpoint, status=VerdictStatus.INCONCLUSIVE, approved=True, failed_checks=(), max_traffic=0.05
    )
    assert not blocked.passed
    assert blocked.description == "accuracy: -12 points"
    assert regression_result(inconclusive, "inconclusive").passed


@pytest.mark.parametrize("asset", [guard_verdict, deployment], ids=["guard_verdict", "deployment"])
def test_an_asset_materialized_alone_waits_for_what_it_needs(
    asset: dg.AssetsDefinition, a_task: Callable[..., str], instance: dg.DagsterInstance
) -> None:
    a_task()
    assert materialize(asset, instance)["status"].startswith("waiting for a ")


def test_the_raw_interactions_say_where_they_came_from(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(captured=3, auto_train_when=10)
    store.interactions.add(interactions(2, source="gateway", model="support-v1"))

    metadata = materialize(raw_interactions, instance)

    assert metadata["interactions"] == 5
    assert metadata["auto_train_when"] == 10
    counted = {(row["source"], row["count"]) for row in (record.data for record in metadata["by_door"].records)}
    assert counted == {("capture", 3), ("gateway", 2)}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (4.440892098500626e-16, 0.0),
        (-0.13999999999999996, -0.14),
        (8.517857142857142, 8.5179),
        (164.08261, 164.08),
        (1.251441, 1.2514),
        (0.000123456, 0.000123),
        (7, 7),
        ("a", "a"),
    ],
)
def test_a_fraction_is_shown_with_the_digits_that_a_person_reads(value: object, shown: object) -> None:
    assert materialized("done", {"figure": value}).metadata == {"status": "done", "figure": shown}
