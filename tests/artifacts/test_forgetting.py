"""What was forgotten is gone from a bucket too: rows of versions, weights of models, and this machine's copies of both."""

from pathlib import Path
from typing import Any

import polars

from continuum.artifacts.beside import read_beside, write_beside
from continuum.artifacts.copies import is_there
from continuum.artifacts.publishing import publish as put
from continuum.dataset import Dataset
from continuum.dataset_rows import FORMAT, fingerprint_of
from continuum.erasing.finding import Request
from continuum.erasure import forget
from continuum.provenance.artifacts import write_manifest
from continuum.records import Checkpoint
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.store.versions import publish
from continuum.tracking.tracker import FolderTracker
from tests.artifacts.conftest import keys, s3
from tests.builders import an_example, an_interaction, safetensors_bytes

CANARY = "zqx7canary"


def held(bucket: str, folder: Path) -> str:
    """All that a bucket and the files of a folder hold, Parquet as text."""
    texts = []
    for key in keys(bucket):
        body: Any = s3().get_object(Bucket=bucket, Key=key)["Body"].read()
        (folder / "one").write_bytes(body)
        texts.append(body.decode("latin-1"))
        if body[:4] == b"PAR1":
            texts.append(str(polars.read_parquet(folder / "one").to_dicts()))
    return "\n".join(texts)


async def test_a_version_and_a_model_at_a_url_lose_what_was_forgotten(
    bucket: str, store: Store, tmp_path: Path, home: Path
) -> None:
    store.tasks.ensure("support")
    examples = [an_example(f"What of {CANARY}?", interaction_id="hers"), an_example("What of mine?", interaction_id="other")]
    store.interactions.add(
        an_interaction(id=one.interaction_id, messages=one.messages, user_id=one.interaction_id) for one in examples
    )
    fingerprint = fingerprint_of("support", {}, examples)
    record = publish(
        store,
        task="support",
        kind="training",
        fingerprint=fingerprint,
        manifest={"format": FORMAT, "config": {}, "through": 0, "source_interactions": 2},
        items=[DatasetItem(interaction_id=one.interaction_id, split="train") for one in examples],
        write=lambda folder, manifest: Dataset(examples, manifest).write(folder),
    )
    adapter = tmp_path / "c1"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(safetensors_bytes(CANARY.encode()))
    manifest = write_manifest(adapter)
    uri = put(adapter, "checkpoints", "support", "c1")
    write_beside(uri, "proof.json", b"{}")
    store.checkpoints.add(
        Checkpoint(id="c1", task="support", version=1, base_model="b", uri=uri, dataset_id=fingerprint, manifest=manifest)
    )
    assert record.uri.startswith("s3://")
    assert CANARY in held(bucket, tmp_path)

    receipt = await forget(Request(user="hers"), store=store, tracker=FolderTracker(tmp_path / "runs"))

    assert receipt.troubles == ()
    assert receipt.quarantined == ("support-v1",)
    assert CANARY not in held(bucket, tmp_path)
    assert "hers" not in held(bucket, tmp_path)
    assert [one.interaction_id for one in Dataset.read(record.uri)] == ["other"]
    assert not is_there(uri)
    assert read_beside(uri, "proof.json") == b"{}"
    copies = [path for path in (home / "artifacts").rglob("*") if path.is_file()]
    assert not [path for path in copies if CANARY.encode() in path.read_bytes()]
