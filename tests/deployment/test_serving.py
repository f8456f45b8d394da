"""The whole road with real weights: an adapter on disk, the server that loads it, the gateway, an OpenAI client."""

from pathlib import Path

import pytest
from openai import AsyncOpenAI

from continuum.config import Settings
from continuum.deployment.backends.local_server import LocalServer
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.gateway.gateway import Gateway
from continuum.models.local import LocalModel
from continuum.provenance.artifacts import write_manifest
from continuum.records import Checkpoint
from continuum.store.database import Store
from tests.builders import user

WORDS = ["the parcel comes on monday", "the refund is on its way", "where is my order", "you may send it back"]


def an_adapter(base: Path, folder: Path, seed: int) -> dict[str, str]:
    """A LoRA adapter with random weights, large enough to change every answer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(str(folder))
    return write_manifest(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks transformers for it
async def test_real_adapters_answer_through_the_gateway_as_they_do_alone(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    from continuum.training.base import build_base

    base = tmp_path / "base"
    build_base(WORDS * 8, base, vocabulary=300, hidden=32, layers=1, heads=2, length=128, steps=4)
    for version in (1, 2):
        folder = tmp_path / f"support-v{version}"
        files = an_adapter(base, folder, seed=version)
        store.checkpoints.add(
            Checkpoint(task="support", version=version, base_model=str(base), uri=str(folder), dataset_id="d", manifest=files)
        )
    alone = LocalModel(base)
    expected: dict[str, str] = {}
    for version in (1, 2):
        alone.load_adapter(f"support-v{version}", tmp_path / f"support-v{version}")
        answers = alone.answer([[user("where is my order")]], adapter=f"support-v{version}", max_new_tokens=12)
        expected[f"support-v{version}"] = answers[0].message.text
    assert len(set(expected.values())) == 2

    async with LocalServer(store) as server, Gateway(store, settings, default_task="support") as gateway:
        async with AsyncOpenAI(base_url=gateway.base_url, api_key="none", max_retries=0) as client:
            for version in (1, 2):
                checkpoint = store.checkpoints.get(f"support-v{version}")
                assert checkpoint is not None
                deployer = ModelDeployer(store=store, backend_url=server.base_url)
                deployment = await deployer.deploy(checkpoint, strategy="blue_green", unguarded=True)
                await gateway.refresh()
                completion = await client.chat.completions.create(
                    model="gpt-4", messages=[{"role": "user", "content": "where is my order"}], max_tokens=12
                )
                assert completion.model == checkpoint.name
                assert completion.choices[0].message.content == expected[checkpoint.name]
        assert await gateway.flush()
    served = store.interactions.counts_by("support", "model")
    assert served == {"support-v1": 1, "support-v2": 1}
    assert len(list(store.interactions.scan("support", deployment_id=deployment.id))) == 1
