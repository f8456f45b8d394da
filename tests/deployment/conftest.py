"""A checkpoint with real files and a real manifest, the verdict on it, and gateways before a provider on loopback."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from continuum.config import Settings, load_settings
from continuum.deployment.gateway.gateway import Gateway
from continuum.provenance.artifacts import write_manifest
from continuum.provenance.proving import prove
from continuum.records import Checkpoint, Verdict, VerdictStatus
from continuum.store.database import Store
from tests.builders import interactions, safetensors_bytes
from tests.deployment.provider import Provider
from tests.proven_line import add_dataset, add_golden

MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture
def a_checkpoint(store: Store, tmp_path: Path) -> MakeCheckpoint:
    """Makes a stored checkpoint of `support`, approved and proven unless told otherwise; `status=None`: without a verdict."""
    training = add_dataset(store, tmp_path, 1, ("i0", "i1"))
    add_golden(store, tmp_path, ("i2",))
    store.interactions.add(one.model_copy(update={"id": f"i{n}"}) for n, one in enumerate(interactions(3)))

    def make(version: int = 1, *, status: str | None = "approved", **verdict: Any) -> Checkpoint:
        folder = tmp_path / f"support-v{version}"
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(b"weights %d" % version))
        checkpoint = Checkpoint(
            task="support",
            version=version,
            base_model="tiny",
            uri=str(folder),
            dataset_id=training.id,
            manifest=write_manifest(folder),
            mlflow_version=str(version),
        )
        store.checkpoints.add(checkpoint)
        if status is not None:
            add_verdict(store, a_verdict(checkpoint, status, **verdict))
        return checkpoint

    return make


def add_verdict(store: Store, verdict: Verdict) -> None:
    """Store a verdict with its proof, as the guard does."""
    store.verdicts.add(verdict)
    prove(store, verdict)


def a_verdict(checkpoint: Checkpoint, status: str = "approved", **fields: Any) -> Verdict:
    values = {
        "task": checkpoint.task,
        "checkpoint_id": checkpoint.id,
        "baseline": "production",
        "golden_id": hashlib.sha256(b"golden").hexdigest(),
        "status": VerdictStatus(status),
        "approved": status != "blocked",
        "max_traffic": 0.05 if status == "inconclusive" else 1.0,
        "required_examples": 640 if status == "inconclusive" else None,
        "failed_checks": ("safety",) if status == "blocked" else (),
    }
    return Verdict(**(values | fields))


@pytest.fixture
async def production() -> AsyncIterator[Provider]:
    async with Provider("production says hello") as provider:
        yield provider


@pytest.fixture
async def tuned() -> AsyncIterator[Provider]:
    """The server of tuned models, played."""
    async with Provider("tuned says hello") as provider:
        yield provider


@pytest.fixture
async def gateway(store: Store, settings: Settings) -> AsyncIterator[Gateway]:
    async with Gateway(store, settings, default_task="support") as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def settings(production: Provider, home: Path) -> Settings:
    return load_settings({"CONTINUUM_HOME": str(home)}).model_copy(
        update={"upstream_base_url": production.base_url, "upstream_api_key": SecretStr("sk-upstream")}
    )
