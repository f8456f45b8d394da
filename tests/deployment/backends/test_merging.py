"""An adapter and its base become one model."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from continuum.config import load_settings
from continuum.deployment.backends.merging import FORGOTTEN_S, merge, merged_weights
from continuum.errors import ConfigurationError
from continuum.models.local import LocalModel
from tests.builders import user
from tests.deployment.backends.rigs import a_checkpoint
from tests.deployment.backends.tuned import a_tuned_llama


def test_the_merged_model_is_the_base_with_the_adapter_rounded_once(tmp_path: Path) -> None:
    checkpoint = a_tuned_llama(tmp_path)
    merge(checkpoint.base_model, Path(checkpoint.uri), tmp_path / "merged")

    base = load_file(tmp_path / "base" / "model.safetensors")
    lora = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert merged.keys() == base.keys()
    tuned = 0
    for name, weight in merged.items():
        half = f"base_model.model.{name.removesuffix('.weight')}.lora"
        expected = base[name]
        if f"{half}_A.weight" in lora:
            tuned += 1
            # alpha / r is 2
            update = 2.0 * (lora[f"{half}_B.weight"].float() @ lora[f"{half}_A.weight"].float())
            expected = (base[name].float() + update).bfloat16()
        assert weight.dtype == base[name].dtype
        assert weight.equal(expected), name
    assert tuned == 14

    asked = [((user("what is this parcel"),), (user("a parcel"),))[n] for n in (0, 1)]
    adapted = LocalModel(checkpoint.base_model)
    adapted.load_adapter("tuned", Path(checkpoint.uri))
    whole = LocalModel(tmp_path / "merged")
    assert [one.message for one in whole.answer(asked)] == [one.message for one in adapted.answer(asked, adapter="tuned")]


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    checkpoint = a_tuned_llama(tmp_path)
    other = a_tuned_llama(tmp_path / "other", hidden=32)
    with pytest.raises(ConfigurationError, match="does not fit the base model"):
        merge(checkpoint.base_model, Path(other.uri), tmp_path / "merged")


async def test_a_merge_that_nobody_waits_for_any_more_ends(tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path)
    root = load_settings().home / "merged"

    async def wait() -> None:
        async with merged_weights(checkpoint, load_settings()):
            raise AssertionError("there is no such base")

    waiting = asyncio.create_task(wait())
    while not (root.exists() and list(root.iterdir())):
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert list(root.iterdir()) == []


async def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    root = load_settings().home / "merged"
    for name, age_s in (("left", FORGOTTEN_S + 60), ("busy", FORGOTTEN_S - 3600)):
        (root / name).mkdir(parents=True)
        os.utime(root / name, (time.time() - age_s,) * 2)
    waiting = asyncio.create_task(merged_weights(a_checkpoint(tmp_path), load_settings()).__aenter__())
    while (root / "left").exists():
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [path.name for path in root.iterdir()] == ["busy"]
