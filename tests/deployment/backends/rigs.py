"""Backends with something behind them: the contract servers, the local server, and with `--live` a real server."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from continuum.config import load_settings
from continuum.deployment.backends import open_backend
from continuum.deployment.backends.local_server import LocalServer
from continuum.deployment.backends.protocol import Backend
from continuum.records import Checkpoint
from continuum.store.database import Store
from tests.builders import safetensors_bytes
from tests.deployment.backends.ollama_contract import Ollama
from tests.deployment.backends.tgi_contract import Tgi
from tests.deployment.backends.vllm_contract import Vllm
from tests.deployment.test_local_server import ScriptedEngine


@dataclass(frozen=True)
class Rig:
    """A backend before a server that runs, and two checkpoints for it."""

    backend: Backend
    checkpoints: tuple[Checkpoint, ...]
    lists: bool = True
    """Whether the server lists the adapters that it has."""
    forgets: bool = True
    """Whether it forgets an adapter that is unloaded."""


OpenRig = Callable[[Path, Store], AbstractAsyncContextManager[Rig]]


def a_checkpoint(folder: Path, version: int = 1, *, base_model: str = "tiny", rank: int = 16, **adapter: object) -> Checkpoint:
    """A checkpoint of `support` with the files of an adapter."""
    folder = folder / f"support-v{version}"
    folder.mkdir(parents=True)
    config = {"base_model_name_or_path": base_model, "r": rank, "lora_alpha": rank, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config | adapter))
    (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(b"weights %d" % version))
    return Checkpoint(
        id=f"c{version}",
        task="support",
        version=version,
        base_model=base_model,
        uri=str(folder),
        dataset_id="d1",
        config={"lora_rank": rank},
    )


@asynccontextmanager
async def local_rig(folder: Path, store: Store) -> AsyncIterator[Rig]:
    """The server that comes with Continuum, with a scripted engine."""
    from continuum.provenance.artifacts import write_manifest

    checkpoints = tuple(a_checkpoint(folder, version) for version in (1, 2))
    checkpoints = tuple(one.model_copy(update={"manifest": write_manifest(Path(one.uri))}) for one in checkpoints)
    for checkpoint in checkpoints:
        store.checkpoints.add(checkpoint)
    async with LocalServer(store, open_engine=ScriptedEngine) as server:
        yield Rig(open_backend("local", server.base_url, load_settings()), checkpoints)


@asynccontextmanager
async def vllm_rig(folder: Path, store: Store) -> AsyncIterator[Rig]:
    """The vLLM contract server."""
    async with Vllm() as server:
        checkpoints = tuple(a_checkpoint(folder, version) for version in (1, 2))
        yield Rig(open_backend("vllm", server.base_url, load_settings()), checkpoints)


@asynccontextmanager
async def tgi_rig(folder: Path, store: Store) -> AsyncIterator[Rig]:
    """The TGI contract server, started with both adapters."""
    async with Tgi(adapters=("support-v1", "support-v2")) as server:
        checkpoints = tuple(a_checkpoint(folder, version) for version in (1, 2))
        yield Rig(open_backend("tgi", server.base_url, load_settings()), checkpoints, lists=False, forgets=False)


@asynccontextmanager
async def ollama_rig(folder: Path, store: Store) -> AsyncIterator[Rig]:
    """The Ollama contract server, with the base there under its name and adapters that its converter takes."""
    async with Ollama(tiny="gemma2") as server:
        checkpoints = tuple(a_checkpoint(folder, version) for version in (1, 2))
        for checkpoint in checkpoints:
            (Path(checkpoint.uri) / "adapter_model.safetensors").write_bytes(lora_bytes("q_proj", "down_proj"))
        yield Rig(open_backend("ollama", server.base_url, load_settings()), checkpoints)


def lora_bytes(*modules: str) -> bytes:
    """A safetensors file with the tensors of a LoRA on these layers."""
    header: dict[str, object] = {}
    for place, module in enumerate(modules):
        part = "self_attn" if module[0] in "qkvo" else "mlp"
        tensor = {"dtype": "F32", "shape": [1, 2], "data_offsets": [8 * place, 8 * place + 8]}
        header[f"base_model.model.model.layers.0.{part}.{module}.lora_{'AB'[place % 2]}.weight"] = tensor
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8 * len(modules))


RIGS: dict[str, OpenRig] = {"local": local_rig, "vllm": vllm_rig, "tgi": tgi_rig, "ollama": ollama_rig}


def live_rig(name: str, url: str, adapters: tuple[Path, ...]) -> OpenRig:
    """A rig before a real server, for adapters that fit its base model.

    A checkpoint's name is its folder's where that ends in `-v<n>`, as a server that loads adapters when it starts knows it.
    """

    @asynccontextmanager
    async def open_live(folder: Path, store: Store) -> AsyncIterator[Rig]:
        checkpoints = tuple(live_checkpoint(adapter, number) for number, adapter in enumerate(adapters, 1))
        kind = Rig(open_backend(name, url, load_settings()), checkpoints)
        yield replace(kind, lists=False, forgets=False) if name == "tgi" else kind

    return open_live


def live_checkpoint(adapter: Path, number: int) -> Checkpoint:
    """An adapter's folder as a checkpoint."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    task, _, version = adapter.resolve().name.rpartition("-v")
    named = bool(task) and version.isdecimal()
    return Checkpoint(
        task=task if named else "conformance",
        version=int(version) if named else number,
        base_model=config["base_model_name_or_path"],
        uri=str(adapter),
        dataset_id="live",
        config={"lora_rank": config["r"]},
    )
