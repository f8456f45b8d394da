import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from continuum.judging.criteria import rubric_fingerprint
from continuum.models.budget import period_of
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import Annotation, Feedback, Label, Review
from continuum.rubric import DEFAULT_CRITERIA
from continuum.store.accounts import AccountKey
from continuum.store.anchors import AnchorRound
from continuum.store.database import Store
from continuum.timespan import utc_now
from continuum_pipelines.definitions import defs
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.schedules import anchors_when_due
from continuum_pipelines.trust import shown
from tests.builders import NOON, interactions
from tests.stub_endpoint import scores, stub_endpoint

RUBRIC = rubric_fingerprint(DEFAULT_CRITERIA)
FIVES = scores(helpfulness=5, accuracy=5, conciseness=5, tone=5)
NIGHT = datetime(2026, 3, 2, 4, tzinfo=UTC)


def annotate(instance: dg.DagsterInstance) -> None:
    """Materialize the judge's annotations."""
    defs.resolve_job_def("annotation").execute_in_process(instance=instance, partition_key="support")


def latest(instance: dg.DagsterInstance, check: str) -> Any:
    """The newest evaluation of a check of the judge."""
    key = dg.AssetCheckKey(dg.AssetKey("judged_annotations"), check)
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    assert record.event.dagster_event is not None
    return record.event.dagster_event.asset_check_evaluation_data


def metadata(instance: dg.DagsterInstance) -> dict[str, Any]:
    shown = instance.get_latest_materialization_event(dg.AssetKey("judged_annotations"))
    assert shown is not None
    assert shown.asset_materialization is not None
    return {name: value.value for name, value in shown.asset_materialization.metadata.items()}


def judged(store: Store, count: int = 60, *, labelled: int = 0, volunteered: int = 0) -> None:
    """Interactions with a judge's score, some of them audited, some praised without being asked."""
    rows = interactions(count)
    store.interactions.add(rows)
    store.annotations.add(
        Annotation(
            interaction_id=row.id, task="support", judge="gpt-4o", rubric=RUBRIC, overall=2.0 + n % 4, created_at=NOON
        )
        for n, row in enumerate(rows)
    )  # fmt: skip
    asked = [Review(task="support", interaction_id=row.id, queue="audit", probability=0.5) for row in rows[:labelled]]
    store.reviews.add(asked)
    for n, review in enumerate(asked):
        said = Feedback(interaction_id=review.interaction_id, score=1.0 + n % 4, user_id="anna")
        store.feedback.add([said])
        store.reviews.answer(Label(review_id=review.id, labeller="anna", feedback_id=said.id))
    unasked = list(enumerate(rows))[count - volunteered :]
    store.feedback.add(Feedback(interaction_id=row.id, score=2.0 + n % 4) for n, row in unasked)


def frozen(store: Store, count: int = 20) -> None:
    rows = interactions(count, conversation_id=None)
    store.interactions.add(rows)
    store.reviews.add(Review(task="support", interaction_id=row.id, queue="anchor", probability=0.1) for row in rows)


def a_round(**fields: Any) -> AnchorRound:
    values = {"task": "support", "judge": "gpt-4o", "version": "v", "rubric": RUBRIC, "scores": {"a": 4.0}}
    return AnchorRound(**(values | fields))


def test_a_calibrated_judge_passes_and_its_figures_are_shown(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(auto_annotate=False, judge=JudgePolicy(model="gpt-4o"))
    judged(store, labelled=40, volunteered=16)

    annotate(instance)

    check, figures = latest(instance, "judge_calibrated"), metadata(instance)
    assert check.passed
    assert check.partition == "support"
    assert figures["quality"] == check.description
    assert figures["quality"].endswith("calibrated on 40 audit labels)")
    assert figures["audit_labels"] == 40
    assert figures["answers_with_feedback"] == 16
    assert figures["kappa_with_feedback"] == 1.0
    assert figures["kappa_of_a_constant"] == 0.0
    assert latest(instance, "judge_drift").passed
    assert latest(instance, "judge_gamed").description.startswith("not enough")


def test_an_uncalibrated_judge_is_a_warning_and_fails_nothing(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(auto_annotate=False, judge=JudgePolicy(model="gpt-4o"))
    judged(store, labelled=12)

    annotate(instance)

    check = latest(instance, "judge_calibrated")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "3.50, uncalibrated: 12 of 30 audit labels"


def test_a_drifted_judge_fails_its_check_with_the_evidence(
    a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance
) -> None:
    a_task(auto_annotate=False, judge=JudgePolicy(model="gpt-4o"))
    judged(store)
    evidence = {"alarms": ["gpt-4o scores the anchors 0.30 higher than on 2026-03-01"], "shift": {"p": 0.001}}
    store.anchors.add(a_round(alarm=True, evidence=evidence))

    annotate(instance)

    check = latest(instance, "judge_drift")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.description == evidence["alarms"][0]
    assert check.metadata["evidence"].value == evidence


def test_what_was_spent_on_what_is_shown(a_task: Callable[..., str], store: Store, instance: dg.DagsterInstance) -> None:
    a_task(auto_annotate=False, judge=JudgePolicy(model="gpt-4o", budget_usd=10.0))
    key = AccountKey("support", "probes", period_of("month", utc_now()))
    store.accounts.reserve(key, "w", 30_000)
    store.accounts.settle(key, "w", reserved_micro_usd=30_000, spent_micro_usd=20_000)

    annotate(instance)

    rows = {row.data["purpose"]: row.data for row in metadata(instance)["spend_by_purpose"].records}
    assert rows["probes"] == {"purpose": "probes", "spent_usd": 0.02, "unknown_usd": 0.0, "reserved_usd": 0.0, "limit_usd": 0.5}
    assert rows["annotation"]["limit_usd"] == 5.0


async def test_what_was_judged_is_drawn_from_for_people(store: Store, instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("task", ["support"])
    async with stub_endpoint(lambda *_: FIVES) as stub:
        judge = JudgePolicy(model="gpt-4o", base_url=stub.base_url, audit_rate=1.0, anchors=1, admission="off")
        store.tasks.register(TaskPolicy(task="support", judge=judge))
        store.interactions.add(interactions(12, model="another-model"))
        await asyncio.to_thread(annotate, instance)

    assert len(store.reviews.ids("support", "audit")) == 12
    assert len(store.reviews.ids("support", "anchor")) == 1


async def test_the_job_judges_the_anchors_anew_and_tells_the_check(store: Store, instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("task", ["support"])
    job = defs.resolve_job_def("anchors")
    async with stub_endpoint(lambda *_: FIVES) as stub:
        judge = JudgePolicy(model="gpt-4o", base_url=stub.base_url)
        store.tasks.register(TaskPolicy(task="support", judge=judge))
        frozen(store)
        earlier = dict.fromkeys(store.reviews.ids("support", "anchor"), 4.0)
        store.anchors.add(a_round(scores=earlier, created_at=utc_now() - timedelta(days=8)))
        await asyncio.to_thread(job.execute_in_process, instance=instance, partition_key="support")
        asked = stub.calls
        await asyncio.to_thread(job.execute_in_process, instance=instance, partition_key="support")

    assert asked == stub.calls == 20
    newest = store.anchors.latest("support")
    assert newest is not None
    assert newest.alarm
    assert newest.scores == dict.fromkeys(earlier, 5.0)
    check = latest(instance, "judge_drift")
    assert (check.passed, check.partition) == (False, "support")
    assert "scores the anchors 1.00 higher" in check.description


async def test_anchors_are_not_judged_without_money_for_probes(store: Store, instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("task", ["support"])
    async with stub_endpoint(lambda *_: FIVES) as stub:
        judge = JudgePolicy(model="gpt-4o", base_url=stub.base_url, budget_usd=0.0)
        store.tasks.register(TaskPolicy(task="support", judge=judge))
        frozen(store)
        job = defs.resolve_job_def("anchors")
        result = await asyncio.to_thread(job.execute_in_process, instance=instance, partition_key="support")

    assert result.success
    assert (stub.calls, store.anchors.latest("support")) == (0, None)


def asked_tonight(instance: dg.DagsterInstance) -> list[str] | str:
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=NIGHT, resources={"store": StoreResource()}
    ) as context:
        found = anchors_when_due(context)
    if isinstance(found, dg.SkipReason):
        return str(found.skip_message)
    return [f"{request.partition_key}: {request.tags['continuum/why']}" for request in found]  # type: ignore[union-attr]


def test_the_night_asks_for_the_anchors_that_are_due(
    store: Store, home_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    home_instance.add_dynamic_partitions("task", ["support", "empty"])
    judge = JudgePolicy(model="gpt-4o", base_url="http://127.0.0.1:1/v1")
    for task in ("support", "empty"):
        store.tasks.register(TaskPolicy(task=task, judge=judge), now=lambda: NIGHT - timedelta(days=1))
    assert asked_tonight(home_instance) == "empty: 0 anchors are frozen; support: 0 anchors are frozen"
    frozen(store)

    assert asked_tonight(home_instance) == ["support: gpt-4o has not judged the anchors by this rubric"]

    store.tasks.register(TaskPolicy(task="support", judge=judge, auto_annotate=False))
    assert asked_tonight(home_instance) == "empty: 0 anchors are frozen; support: no judge is asked by itself"

    store.tasks.register(TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4o")))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "support: model 'gpt-4o' has neither an endpoint nor a key" in asked_tonight(home_instance)


def test_evidence_as_metadata_is_json() -> None:
    found = shown({"words": "quiet", "witnesses": [{"name": "people"}], "nothing": None})

    assert json.loads(json.dumps(found["witnesses"].value)) == [{"name": "people"}]
    assert found.keys() == {"words", "witnesses"}
