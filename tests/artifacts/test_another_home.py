"""A whole turn on one machine, and what another makes of it: the store and the bucket are all that they share."""

import asyncio
import json
import logging
import shutil
from pathlib import Path

import pytest
from openai import AsyncOpenAI
from typer.testing import CliRunner

from continuum.artifacts.copies import local
from continuum.cli import app
from continuum.config import load_settings
from continuum.deployment.backends.local_server import LocalServer
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.gateway.gateway import Gateway
from continuum.errors import DeploymentError
from continuum.fine_tuning import FineTuneConfig
from continuum.flywheel import turn
from continuum.gathering import gather
from continuum.policy import TaskPolicy
from continuum.provenance.lineage import lineage
from continuum.provenance.verifying import require_proof
from continuum.records import Feedback
from continuum.splits.golden import GoldenDataset
from continuum.store.database import Store
from continuum.store.retention import erase
from tests.artifacts.conftest import keys, s3
from tests.artifacts.trees import read_tree
from tests.builders import an_interaction

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("wide"), pytest.mark.timeout(600)]

RIGHT = "It takes two days."
TRAINING = FineTuneConfig(learning_rate=1e-2, epochs=4, batch_size=8, max_length=64, lora_rank=8, lora_alpha=16)


def corrected(store: Store, count: int) -> None:
    """Questions that production did not answer, and what people say the answer is."""
    rows = [an_interaction(f"order {n}: how long does it take?", "I do not know.", conversation_id=f"c{n}") for n in range(count)]
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=1.0, correction=RIGHT) for row in rows)


def run(*command: str) -> str:
    result = CliRunner().invoke(app, list(command), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


async def test_what_one_machine_has_made_another_reads_guards_and_serves(
    store: Store,
    bucket: str,
    tiny_base: Path,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="continuum")
    store.tasks.register(TaskPolicy(task="support", base_model=str(tiny_base), training=TRAINING, provider_terms_accepted=True))
    corrected(store, 240)
    report = await turn("support", store=store)
    (model,) = store.checkpoints.of("support")
    assert report.verdict is not None
    assert report.verdict.approved
    assert model.uri == f"s3://{bucket}/continuum/checkpoints/support/{model.id}"
    assert {one.uri.rpartition("/")[0] for one in store.datasets.versions("support")} == {
        f"s3://{bucket}/continuum/datasets/support"
    }
    # What was under way on this machine is gone, and so is the machine.
    assert not list(home.glob("datasets/*/*"))
    assert not list(home.glob("checkpoints/*/*"))
    assert not list(home.glob("training/*/*"))
    for place in ("datasets", "checkpoints", "training", "artifacts"):
        shutil.rmtree(home / place, ignore_errors=True)
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", load_settings().database_url.get_secret_value())
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "laptop"))

    listed = json.loads(await asyncio.to_thread(run, "dataset", "list", "--json"))
    assert [row["there"] for row in listed] == [True] * len(listed)
    training, golden = "support_training_v1", "support_golden_v1"
    assert "examples from" in await asyncio.to_thread(run, "dataset", "show", training, "--verify")
    assert "golden items" in await asyncio.to_thread(run, "dataset", "show", golden)
    await asyncio.to_thread(run, "dataset", "diff", training, training)
    await asyncio.to_thread(run, "dataset", "export", training, str(tmp_path / "taken"))
    assert read_tree(tmp_path / "taken") == read_tree(local(f"s3://{bucket}/continuum/datasets/support/{training}"))
    assert len(lineage(store, model.id).interaction_ids()) == len(store.datasets.items(model.dataset_id))
    assert "holds against" in await asyncio.to_thread(run, "proof", model.name)
    assert "holds against" in await asyncio.to_thread(run, "proof", model.uri)

    await asyncio.to_thread(run, "guard", "--candidate", model.name)
    verdict = store.verdicts.latest(model.id)
    assert verdict is not None
    assert verdict.id != report.verdict.id
    verified = require_proof(store, model)
    assert verified is not None
    assert verified.proof.verdict_id == verdict.id

    async with LocalServer(store) as server, Gateway(store, load_settings(), default_task="support") as gateway:
        deployment = await ModelDeployer(store=store, backend_url=server.base_url).deploy(model, strategy="blue_green")
        await gateway.refresh()
        async with AsyncOpenAI(base_url=gateway.base_url, api_key="none", max_retries=0) as client:
            answer = await client.chat.completions.create(
                model="any", messages=[{"role": "user", "content": "order 3: how long does it take?"}]
            )
    assert answer.model == "support-v1"
    proofs = [event.evidence["proof"] for event in store.deployments.events(deployment.id) if "proof" in event.evidence]
    assert [proof["verdict_id"] for proof in proofs] == [verdict.id]
    assert "not-to-be-shown" not in caplog.text
    assert b"not-to-be-shown" not in (home / "continuum.db").read_bytes()

    # An adapter that somebody alters in the bucket serves nowhere.
    place = f"continuum/checkpoints/support/{model.id}"
    listing = json.loads(s3().get_object(Bucket=bucket, Key=f"{place}/artifact.json")["Body"].read())
    entry = listing["files"]["adapter_model.safetensors"]
    s3().put_object(Bucket=bucket, Key=f"{place}/objects/{entry['object']}", Body=b"x" * entry["size"])
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "third"))
    with pytest.raises(DeploymentError, match=r"the file 'adapter_model\.safetensors' was altered after it was published"):
        await ModelDeployer(store=store, backend_url="http://127.0.0.1:9/v1").deploy(model, strategy="canary")


def test_what_is_erased_goes_from_the_bucket_and_the_proofs_hold(store: Store, bucket: str, home: Path) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    corrected(store, 60)
    before = GoldenDataset.from_task("support", store=store)
    gone = before.items[0]
    words = gone.messages[-1].text

    def held() -> bool:
        from io import BytesIO

        import polars

        objects = [s3().get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys(bucket) if "/objects/" in key]
        frames = [polars.read_parquet(BytesIO(one)) for one in objects if one.startswith(b"PAR1")]
        return any(words in text for frame in frames for text in frame["messages"])

    assert held()
    erase(store, [gone.interaction_id])
    assert gather(store, "support").golden_items_erased == 1

    assert not held()
    after = GoldenDataset.load(before.name, store=store)
    assert after.items == before.items[1:]
    assert not any(words.encode() in one for one in read_tree(home / "artifacts").values())
    assert gather(store, "support").golden_items_erased == 0
