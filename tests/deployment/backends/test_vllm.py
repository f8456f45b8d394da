from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from continuum.config import load_settings
from continuum.deployment.backends import open_backend
from continuum.deployment.backends.protocol import Backend
from continuum.errors import DeploymentError
from tests.deployment.backends.rigs import a_checkpoint
from tests.deployment.backends.vllm_contract import Vllm


@pytest.fixture
async def server() -> AsyncIterator[Vllm]:
    async with Vllm() as opened:
        yield opened


def before(server: Vllm, key: str | None = None) -> Backend:
    settings = load_settings().model_copy(update={"serving_api_key": SecretStr(key) if key else None})
    return open_backend("vllm", server.base_url, settings)


async def test_an_adapter_is_loaded_by_the_two_fields_that_every_release_knows(server: Vllm, tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path)
    warmed = await before(server).warm(checkpoint)
    assert warmed.words == "Success: LoRA adapter 'support-v1' added successfully."
    assert server.bodies("/v1/load_lora_adapter") == [{"lora_name": "support-v1", "lora_path": checkpoint.uri}]


async def test_one_that_is_loaded_already_is_not_loaded_again(server: Vllm, tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path)
    server.adapters["support-v1"] = checkpoint.uri
    assert (await before(server).warm(checkpoint)).ready
    assert server.bodies("/v1/load_lora_adapter") == []


async def test_what_a_server_that_started_again_has_lost_is_loaded_again(tmp_path: Path) -> None:
    server, checkpoint = Vllm(), a_checkpoint(tmp_path)
    async with server:
        backend = before(server)
        await backend.warm(checkpoint)
    server.adapters.clear()
    async with server:
        assert await backend.models() == ()
        assert (await backend.warm(checkpoint)).ready
        assert await backend.models() == ("support-v1",)


def refuses_updates(server: Vllm) -> None:
    server.runtime_updating = False


def has_no_lora(server: Vllm) -> None:
    server.enable_lora = False


def takes_rank_8(server: Vllm) -> None:
    server.max_lora_rank = 8


def asks_for_a_key(server: Vllm) -> None:
    server.api_key = "vllm-key"


def has_another_base(server: Vllm) -> None:
    server.base = "meta-llama/Llama-3.2-1B"


def serves_another_by_that_name(server: Vllm) -> None:
    server.adapters["support-v1"] = "/elsewhere/support-v1"


@pytest.mark.parametrize(
    ("is_so", "words"),
    [
        (refuses_updates, "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve tiny --enable-lora"),
        (has_no_lora, "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve tiny --enable-lora"),
        (takes_rank_8, "LoRA rank 24 is greater than max_lora_rank 8; start it with --max-lora-rank 32"),
        (asks_for_a_key, "set CONTINUUM_SERVING_API_KEY to its --api-key"),
        (has_another_base, "serves meta-llama/Llama-3.2-1B, and support-v1 was trained on tiny"),
        (serves_another_by_that_name, "serves '/elsewhere/support-v1' under the name support-v1"),
    ],
)
async def test_a_server_that_does_not_take_the_adapter_is_told_with_what_to_change(
    tmp_path: Path, is_so: Any, words: str
) -> None:
    server, checkpoint = Vllm(), a_checkpoint(tmp_path, rank=24)
    server.max_lora_rank = 32
    is_so(server)
    async with server:
        with pytest.raises(DeploymentError) as refused:
            await before(server).warm(checkpoint)
    assert words in str(refused.value)


async def test_a_folder_that_the_server_does_not_see_is_told(server: Vllm, tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path)
    (Path(checkpoint.uri) / "adapter_config.json").unlink()
    with pytest.raises(DeploymentError, match=r"sees no adapter in .*support-v1; give it the same folder under the same path"):
        await before(server).warm(checkpoint)


@pytest.mark.parametrize("adapter", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"bias": "all"}], ids=str)
async def test_an_adapter_of_a_kind_that_vllm_has_not_is_refused_in_its_words(
    server: Vllm, tmp_path: Path, adapter: dict[str, Any]
) -> None:
    with pytest.raises(DeploymentError, match="Call to add_lora method failed"):
        await before(server).warm(a_checkpoint(tmp_path, **adapter))
    assert server.adapters == {}


@pytest.mark.parametrize(
    "served",
    [
        "tiny",
        "/models/tiny",
        "/models/tiny/",
        "someone/Tiny",
        "/home/somebody/.cache/huggingface/hub/models--someone--tiny/snapshots/0123abc",
    ],
)
async def test_the_base_is_known_in_another_folder_and_as_a_hub_id(tmp_path: Path, served: str) -> None:
    async with Vllm(served) as server:
        assert (await before(server).warm(a_checkpoint(tmp_path, base_model="/srv/tiny"))).ready


async def test_a_base_whose_weights_lie_under_another_name_may_be_served_under_its_own(tmp_path: Path) -> None:
    server = Vllm("/weights/a1b2")
    server.served_model_name = "someone/tiny"
    async with server:
        assert (await before(server).warm(a_checkpoint(tmp_path, base_model="someone/tiny"))).ready


async def test_a_key_opens_the_server_and_shows_nowhere(tmp_path: Path) -> None:
    server = Vllm()
    server.api_key = "vllm-key"
    async with server:
        backend = before(server, "vllm-key")
        assert (await backend.warm(a_checkpoint(tmp_path))).ready
        with pytest.raises(DeploymentError, match="set CONTINUUM_SERVING_API_KEY"):
            await before(server).unload("support-v1")
        with pytest.raises(DeploymentError) as refused:
            await before(server, "another-key").models()
    assert "another-key" not in f"{refused.value!r} {backend!r} {vars(backend)!r}"


async def test_an_adapter_that_cannot_be_taken_away_is_told(server: Vllm, tmp_path: Path) -> None:
    await before(server).warm(a_checkpoint(tmp_path))
    server.loses_unloads = True
    with pytest.raises(DeploymentError, match="Failed to remove lora adapter"):
        await before(server).unload("support-v1")


async def test_an_adapter_of_a_server_without_the_routes_cannot_be_taken_away(tmp_path: Path) -> None:
    server = Vllm(modules={"support-v1": str(tmp_path)})
    server.runtime_updating = False
    async with server:
        await before(server).unload("support-v2")
        with pytest.raises(DeploymentError, match="start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"):
            await before(server).unload("support-v1")


async def test_a_dead_engine_is_not_healthy(server: Vllm) -> None:
    server.engine_dead = True
    health = await before(server).health()
    assert not health.up
    assert "start the server again" in health.words


async def test_a_base_model_is_none_of_the_models_that_are_served(server: Vllm, tmp_path: Path) -> None:
    await before(server).warm(a_checkpoint(tmp_path))
    assert await before(server).models() == ("support-v1",)
