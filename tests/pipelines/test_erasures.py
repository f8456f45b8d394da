"""Erasures under Dagster: what the sensor starts and says, and that its runs lead the line back into service."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from continuum.erasing.finding import Request
from continuum.erasure import forget
from continuum.records import Checkpoint
from continuum.store.database import Store
from continuum.store.erasures import Change
from continuum_pipelines.definitions import defs
from continuum_pipelines.erasures import quarantined_models
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from tests.builders import an_interaction


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Callable[[], dg.SensorResult | dg.SkipReason]:
    """One tick of the sensor."""

    def look_once() -> dg.SensorResult | dg.SkipReason:
        with dg.build_sensor_context(instance=instance, resources={"store": StoreResource()}) as context:
            result = quarantined_models(context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result

    return look_once


def quarantined(store: Store, task: str, *ids: str) -> None:
    for number, one in enumerate(ids, start=1):
        store.checkpoints.add(Checkpoint(id=one, task=task, version=number, base_model="b", uri="u", dataset_id="d"))
        store.erasures.note_change("e", "checkpoint", one, task, Change("files", {}, {}), state="quarantined", reason="r")


def test_nothing_is_started_where_nothing_waits(tick, a_task: Callable[..., str]) -> None:
    a_task()

    found = tick()

    assert isinstance(found, dg.SkipReason)
    assert "0 models" in (found.skip_message or "")


def test_a_task_whose_models_are_quarantined_gets_one_run(tick, store: Store, a_task: Callable[..., str]) -> None:
    a_task()
    quarantined(store, "support", "c1", "c2")
    quarantined(store, "elsewhere", "c3")

    first, again = tick(), tick()

    assert isinstance(first, dg.SensorResult)
    assert isinstance(again, dg.SensorResult)
    [request] = first.run_requests or []
    assert request.partition_key == "support"
    assert [one.run_key for one in again.run_requests or []] == [request.run_key]


def test_the_job_says_what_became_of_each_model(store: Store, instance: dg.DagsterInstance, a_task: Callable[..., str]) -> None:
    a_task()

    done = defs.get_job_def("rebuilding").execute_in_process(
        instance=instance, partition_key="support", resources={"store": StoreResource(), "tracker": TrackerResource()}
    )

    assert done.success
    said = [entry.user_message for entry in instance.all_logs(done.run_id)]
    assert "support: nothing waits to be trained anew" in said


async def test_what_dagster_shows_of_a_verdict_loses_the_quote_and_keeps_the_rest(
    store: Store, home_instance: dg.DagsterInstance, home: Path
) -> None:
    said = "My neighbour Theodora keeps seven grey geese behind the old mill"
    store.tasks.ensure("support")
    store.interactions.add([an_interaction(said, id="call-117", user_id="jane")])
    metadata = {"report": dg.MetadataValue.md(f"| worst | {said} |"), "example": "call-117", "items": 5}
    event = dg.AssetMaterialization("guard_verdict", partition="support", metadata=metadata)
    home_instance.report_runless_asset_event(event)

    receipt = await forget(Request(user="jane"), store=store)

    assert receipt.troubles == ()
    found = home_instance.get_latest_materialization_event(dg.AssetKey("guard_verdict"))
    assert found is not None
    shown = found.asset_materialization
    assert shown is not None
    assert shown.metadata["report"].value == "[erased]"
    assert shown.metadata["items"].value == 5
    assert str(shown.metadata["example"].value).startswith("erased-")
    files = [path for path in (home / "dagster").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"Theodora" in path.read_bytes()]
