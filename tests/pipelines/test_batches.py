"""The sensor of batches: a glance each minute, and one run for each batch that has ended."""

import asyncio
from datetime import datetime, timedelta

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run
from pydantic import SecretStr

from continuum.annotation.batches import Look, submit_backlog
from continuum.ids import new_id
from continuum.judging.model_judge import EndpointJudge
from continuum.models.endpoint import EndpointModel
from continuum.models.pricing import Price
from continuum.policy import TaskPolicy
from continuum.store.database import Store
from continuum.timespan import utc_now
from continuum_pipelines.batches import BATCH_TAG, STATE_TAG, batch_collection, poll_batches, run_for, runs_of
from continuum_pipelines.explaining import Reason
from continuum_pipelines.resources.store import StoreResource
from tests.builders import interactions
from tests.stub_batch import StubBatch, stub_batch
from tests.stub_endpoint import scores

FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)


async def left(store: Store, stub: StubBatch) -> str:
    """A backlog at the provider; the id of its batch."""
    store.interactions.add(interactions(5))
    model = EndpointModel("judge", base_url=stub.base_url, api_key=SecretStr("key"), price=Price(2.0, 8.0))
    return (await submit_backlog(store, TaskPolicy(task="support"), EndpointJudge(model))).batches[0]


async def tick(instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    """As Dagster does it: in a thread without a loop of its own."""

    def look() -> dg.SensorResult | dg.SkipReason:
        with dg.build_sensor_context(instance=instance, resources={"store": StoreResource()}) as context:
            return poll_batches(context)  # pyright: ignore[reportReturnType]

    return await asyncio.to_thread(look)


def told(result: dg.SensorResult | dg.SkipReason) -> str:
    skipped = result if isinstance(result, dg.SkipReason) else result.skip_reason
    return str(skipped.skip_message) if skipped else ""


async def test_without_a_batch_nobody_is_asked(store: Store, instance: dg.DagsterInstance) -> None:
    assert "no backlog is at a batch endpoint" in told(await tick(instance))


async def test_a_batch_that_has_ended_is_settled_by_a_run_of_its_own(
    store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", "key")
    async with stub_batch(lambda _: FOURS) as stub:
        batch = await left(store, stub)
        waiting = [told(await tick(instance)) for _ in range(2)]
        assert waiting == [f"{batch}: in_progress", f"{batch}: finalizing"]

        result = await tick(instance)
        assert isinstance(result, dg.SensorResult)
        (request,) = result.run_requests or []
        assert (request.run_key, request.tags) == (f"batch:{batch}:completed:0", {BATCH_TAG: batch, STATE_TAG: "completed"})
        assert store.annotations.count("support") == 0  # A glance settles nothing.

        ran = await asyncio.to_thread(
            batch_collection.execute_in_process,
            run_config=request.run_config,
            resources={"store": StoreResource()},
            instance=instance,
        )
        assert ran.success
        assert store.annotations.count("support") == 5
        assert "no backlog" in told(await tick(instance))


async def test_a_provider_that_does_not_answer_is_told_of(store: Store, instance: dg.DagsterInstance) -> None:
    async with stub_batch(lambda _: FOURS) as stub:
        batch = await left(store, stub)

    assert f"{batch}: {stub.base_url} " in told(await tick(instance))


def test_a_batch_has_one_run_at_a_time_and_after_one_that_changed_nothing_the_next_waits(instance: dg.DagsterInstance) -> None:
    look, now = Look("one", "completed", due=True), utc_now()

    def asked(look: Look, at: datetime) -> dg.RunRequest | Reason:
        return run_for(look, runs_of(instance, [look.batch]).get(look.batch, ()), at)

    assert isinstance(asked(look, now), dg.RunRequest)

    tags = {BATCH_TAG: "one", STATE_TAG: "completed"}
    run = instance.add_run(dg.DagsterRun(job_name="batch_collection", run_id=new_id(), status=Run.STARTED, tags=tags))
    assert asked(look, now) == Reason("one: completed, a run is under way", "with a run under way", 1)

    instance.delete_run(run.run_id)
    instance.add_run(dg.DagsterRun(job_name="batch_collection", run_id=new_id(), status=Run.FAILURE, tags=tags))
    waits = asked(look, now + timedelta(minutes=1))
    assert isinstance(waits, Reason)
    assert "1 runs changed nothing, the next is in" in waits.words
    again = asked(look, now + timedelta(minutes=3))
    assert isinstance(again, dg.RunRequest)
    assert again.run_key == "batch:one:completed:1"
    assert isinstance(asked(Look("one", "ended", due=True), now + timedelta(minutes=1)), dg.RunRequest)


def test_the_runs_of_many_batches_are_read_at_once_and_told_apart(instance: dg.DagsterInstance) -> None:
    for batch, count in (("one", 2), ("two", 1)):
        for _ in range(count):
            instance.add_run(dg.DagsterRun(job_name="batch_collection", run_id=new_id(), tags={BATCH_TAG: batch}))
    found = runs_of(instance, ["one", "two", "three"])
    assert {batch: len(records) for batch, records in found.items()} == {"one": 2, "two": 1}
    assert runs_of(instance, []) == {}
