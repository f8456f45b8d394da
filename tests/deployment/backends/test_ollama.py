"""What Ollama is given, and what it refuses."""

from pathlib import Path

import pytest
from openai import AsyncOpenAI

from continuum.config import load_settings
from continuum.deployment.backends import open_backend
from continuum.deployment.backends.ollama import OllamaBackend, mark_of, obstacle, sha256_of
from continuum.errors import DeploymentError
from continuum.records import Checkpoint
from tests.deployment.backends.ollama_contract import Ollama
from tests.deployment.backends.rigs import a_checkpoint, lora_bytes


def an_adapter(folder: Path, version: int = 1, *modules: str, base_model: str = "google/gemma", **config: object) -> Checkpoint:
    checkpoint = a_checkpoint(folder, version, base_model=base_model, **config)
    (Path(checkpoint.uri) / "adapter_model.safetensors").write_bytes(lora_bytes(*(modules or ("q_proj", "down_proj"))))
    return checkpoint


def backend_of(server: Ollama) -> OllamaBackend:
    backend = open_backend("ollama", server.base_url, load_settings())
    assert isinstance(backend, OllamaBackend)
    return backend


async def ask(server: Ollama, model: str) -> str:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        completion = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}])
    return completion.choices[0].message.content or ""


async def test_an_adapter_that_keeps_its_meaning_is_put_on_the_base_that_is_there(tmp_path: Path) -> None:
    checkpoint = an_adapter(tmp_path)
    async with Ollama(gemma="gemma2") as server:
        warmed = await backend_of(server).warm(checkpoint)
        assert warmed.ready, warmed.words
        assert "made of gemma and the adapter" in warmed.words
        assert server.loaded == {"support-v1"}
        assert await ask(server, "support-v1") == "support-v1 of gemma and an adapter was asked: hello"

        (created,) = server.bodies("/api/create")
        weights = sha256_of(Path(checkpoint.uri) / "adapter_model.safetensors")
        assert created["from"] == "gemma"
        assert created["adapters"]["adapter_model.safetensors"] == f"sha256:{weights}"
        assert set(created["adapters"]) == {"adapter_config.json", "adapter_model.safetensors"}


async def test_what_the_server_holds_is_not_sent_or_made_again(tmp_path: Path) -> None:
    checkpoint = an_adapter(tmp_path)
    async with Ollama(gemma="gemma2") as server:
        await backend_of(server).warm(checkpoint)
        assert (await backend_of(server).warm(checkpoint)).ready
        del server.models["support-v1"]
        assert (await backend_of(server).warm(checkpoint)).ready
        sent = [asked for asked in server.asked if asked.method == "POST" and asked.path.startswith("/api/blobs/")]
        assert len(sent) == 2
        assert len(server.bodies("/api/create")) == 2


async def test_a_name_that_another_checkpoint_has_is_left_alone(tmp_path: Path) -> None:
    async with Ollama(gemma="gemma2") as server:
        backend = backend_of(server)
        await backend.warm(an_adapter(tmp_path))
        other = an_adapter(tmp_path / "other").model_copy(update={"id": "c9", "task": "Support"})
        with pytest.raises(DeploymentError, match="another model under the name Support-v1; take that one away with `ollama rm"):
            await backend.warm(other)
        assert mark_of("c1") in server.models["support-v1"].license


async def test_only_models_made_of_checkpoints_are_listed_and_a_base_is_not(tmp_path: Path) -> None:
    async with Ollama(gemma="gemma2", **{"their-own-v3": "llama"}) as server:
        backend = backend_of(server)
        assert await backend.models() == ()
        await backend.warm(an_adapter(tmp_path))
        assert await backend.models() == ("support-v1",)
        await backend.unload("support-v1")
        await backend.unload("support-v1")
        assert await backend.models() == ()
        assert server.loaded == set()
    async with Ollama() as empty:
        assert await backend_of(empty).models() == ()


async def test_a_task_that_ollama_cannot_call_a_model_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    async with Ollama(gemma="gemma2") as server:
        for task in ("-support", "x" * 90):
            with pytest.raises(DeploymentError, match="rename the task"):
                await backend_of(server).warm(an_adapter(tmp_path).model_copy(update={"task": task}))
            (Path(tmp_path) / "support-v1").rename(tmp_path / f"used-{len(task)}")
        assert server.asked == []


async def test_a_runner_that_does_not_take_the_model_is_an_error_and_a_full_queue_is_not(tmp_path: Path) -> None:
    checkpoint = an_adapter(tmp_path)
    async with Ollama(gemma="gemma2") as server:
        backend = backend_of(server)
        server.queue_is_full = True
        warmed = await backend.warm(checkpoint)
        assert not warmed.ready
        assert "server busy" in warmed.words
        server.queue_is_full, server.runner_fails = False, "llama runner process has terminated: exit status 2"
        with pytest.raises(DeploymentError, match="cannot be loaded: HTTP 500: llama runner process has terminated"):
            await backend.warm(checkpoint)


async def test_a_server_that_is_not_there_is_not_ready_and_one_that_is_no_ollama_is_an_error(tmp_path: Path) -> None:
    server = Ollama(gemma="gemma2")
    async with server:
        backend = backend_of(server)
        assert await backend.health() == await backend.health()
        assert (await backend.health()).up
        server.knows_host = False
        assert "ask it at 127.0.0.1" in (await backend.health()).words
    assert not (await backend.health()).up
    assert not (await backend.warm(an_adapter(tmp_path))).ready
    with pytest.raises(DeploymentError, match="not unloaded: no server answers"):
        await backend.unload("support-v1")
    with pytest.raises(DeploymentError, match="no server answers"):
        await backend.models()


def test_an_adapter_goes_as_it_is_only_where_the_converter_keeps_its_meaning(tmp_path: Path) -> None:
    def of(family: str, *modules: str, **config: object) -> str | None:
        number = len(list(tmp_path.iterdir())) + 1
        return obstacle(Path(an_adapter(tmp_path, number, *modules, **config).uri), family)

    assert of("gemma2", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj") is None
    assert of("llama", "v_proj", "o_proj", "down_proj") is None
    assert "q_proj to the wrong rows" in (of("llama", "v_proj", "q_proj") or "")
    assert "llama and gemma2 models only, and the base is a qwen2 model" in (of("qwen2") or "")
    assert "knows no layer for base_model.model.model.layers.0.mlp.in_proj" in (of("gemma2", "in_proj") or "")
    assert "use_rslora" in (of("gemma2", use_rslora=True) or "")
    assert "alpha_pattern" in (of("gemma2", alpha_pattern={"q_proj": 4}) or "")
    assert "a whole number for lora_alpha, not 0.5" in (of("gemma2", lora_alpha=0.5) or "")


@pytest.mark.slow
async def test_a_base_that_cannot_be_found_ends_in_words_and_leaves_no_files(tmp_path: Path) -> None:
    nowhere = an_adapter(tmp_path, base_model=str(tmp_path / "no-such-base"))
    async with Ollama() as server:
        with pytest.raises(DeploymentError, match=r"support-v1 cannot be merged with .*no base model"):
            await backend_of(server).warm(nowhere)
        assert server.models == {}
    assert list((load_settings().home / "merged").iterdir()) == []


@pytest.mark.slow
async def test_other_adapters_go_as_merged_weights_with_their_chat_template(tmp_path: Path) -> None:
    from tests.deployment.backends.tuned import TEMPLATE, a_tuned_llama

    checkpoint = a_tuned_llama(tmp_path)
    async with Ollama() as server:
        warmed = await backend_of(server).warm(checkpoint)
        assert warmed.ready, warmed.words
        assert "made of merged weights: the server has no model that is called" in warmed.words
        made = server.models["support-v1"]
        assert (made.family, made.template) == ("llama", TEMPLATE)
        (created,) = server.bodies("/api/create")
        assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(created["files"])
        assert "adapters" not in created
    assert list((load_settings().home / "merged").iterdir()) == []


async def test_an_architecture_that_ollama_does_not_convert_is_named(tmp_path: Path) -> None:
    async with Ollama(gemma="gemma2") as server:
        server.conversion_fails = 'unsupported architecture "Qwen3ForCausalLM"'
        with pytest.raises(DeploymentError, match=r"HTTP 500: unsupported architecture .* vLLM serves it as it is"):
            await backend_of(server).warm(an_adapter(tmp_path))
