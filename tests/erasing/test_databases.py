"""Forgetting on either database, with writers at work, and in MLflow's own."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from continuum.erasing.finding import Request
from continuum.erasure import forget
from continuum.provenance.artifacts import write_manifest
from continuum.records import Checkpoint, DatasetRecord, Feedback, Verdict, VerdictStatus
from continuum.store.database import Store, open_store
from continuum.store.learning import DatasetItem
from continuum.store.loading import load
from tests.builders import NOON, an_interaction, safetensors_bytes


@pytest.fixture
def store(either_store: Store) -> Store:
    """An empty store on each of the two databases."""
    return either_store


async def test_rows_members_and_evidence_are_erased_and_the_others_stay(store: Store) -> None:
    store.tasks.ensure("support")
    store.interactions.add([an_interaction(f"Question {n}?", id=f"i{n}", user_id="jane" if n else "joe") for n in range(3)])
    store.interactions.add([an_interaction(id="inside", parent_id="i1", near_repeat_of="i2", user_id="joe")])
    store.feedback.add([Feedback(id="f", interaction_id="i1", score=5), Feedback(id="g", interaction_id="i0", score=1)])
    store.commitments.make(["i0", "i1"])
    record = DatasetRecord(id="d", task="support", kind="control", name="d", version=1, uri="nowhere", manifest={"first": "i1"})
    store.datasets.add(record, [DatasetItem(interaction_id=one, split="train") for one in ("i0", "i1")])
    store.verdicts.add(
        Verdict(
            id="v",
            task="support",
            checkpoint_id="c",
            baseline="production",
            golden_id="g",
            status=VerdictStatus.APPROVED,
            approved=True,
            evidence={"items": [{"id": "i1", "scores": {"t": [1.0, 0.0]}}]},
        )
    )

    receipt = await forget(Request(user="jane"), store=store)

    assert receipt.troubles == ()
    assert [one.id for one in store.interactions.scan("support")] == ["i0", "inside"]
    inside = store.interactions.get("inside")
    assert inside is not None
    assert (inside.parent_id or "").startswith("erased-")
    assert (inside.near_repeat_of or "").startswith("erased-")
    members = [item.interaction_id for item in store.datasets.items("d")]
    assert members[1] == "i0" or members[0].startswith("erased-")
    assert sorted(one.startswith("erased-") for one in members) == [False, True]
    verdict = store.verdicts.get("v")
    assert verdict is not None
    assert verdict.evidence["items"][0]["id"].startswith("erased-")
    assert set(store.commitments.make(["i0"])) == {"i0"}
    with store.engine.connect() as connection:
        held = connection.execute(text("SELECT work, state FROM erasures")).one()
    assert (held.work, held.state) == (None, "done")


@pytest.mark.timeout(90)
def test_who_was_writing_when_the_refusal_came_is_found_and_erased(postgres_url: str) -> None:
    import asyncio

    store, writer = open_store(postgres_url), open_store(postgres_url)
    store.tasks.ensure("support")
    [earlier] = store.erasures.hashed(["earlier"], "interaction")
    store.erasures.refuse("earlier", {earlier: "interaction"}, before=None)
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with writer.engine.begin() as connection:
            load(connection, [an_interaction(id="under-way", user_id="jane")], arrived_at=NOON)
            begun.set()
            assert go_on.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(30)
    # The refusal waits for the writer, who is let go once it does.
    releaser = threading.Thread(target=lambda: _when_waited_for(writer, go_on))
    releaser.start()

    asyncio.run(forget(Request(user="jane"), store=store))
    thread.join()
    releaser.join()

    assert store.interactions.get("under-way") is None
    store.close()
    writer.close()


def _when_waited_for(store: Store, go_on: threading.Event) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'erased_ids'::regclass"
    for _ in range(1000):
        with store.engine.connect() as connection:
            if connection.execute(text(waiting)).scalar_one():
                break
    go_on.set()


@pytest.mark.slow
def test_what_mlflow_keeps_of_a_training_is_deleted_and_the_other_run_is_not(tmp_path: Path) -> None:
    from continuum.tracking.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker(f"sqlite:///{tmp_path / 'mlflow.db'}", artifacts=tmp_path / "mlartifacts")
    logged = []
    for version in (1, 2):
        folder = tmp_path / f"c{version}"
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(b"weights %d" % version))
        fields = {"id": f"c{version}", "task": "support", "version": version, "base_model": "b", "dataset_id": "d"}
        checkpoint = Checkpoint.model_validate(fields | {"uri": str(folder), "manifest": write_manifest(folder)})
        logged.append(tracker.log_training(checkpoint, files={"forgetting.md": "what she said"}))

    for _ in range(2):  # the second time there is nothing left
        tracker.erase_training("support", logged[1].run_id, logged[1].version)

    left = sorted(path.name for path in (tmp_path / "mlartifacts").rglob("*") if path.is_file() and logged[1].run_id in str(path))
    assert left == []
    kept = {path.name for path in (tmp_path / "mlartifacts").rglob("*") if path.is_file()}
    assert kept == {"adapter_model.safetensors", "manifest.json", "forgetting.md"}
