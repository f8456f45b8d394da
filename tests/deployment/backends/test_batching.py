"""Adapters come and go while others are asked; the batches themselves are tested in `tests/deployment/test_local_server.py`."""

import asyncio

import pytest

from continuum.deployment.backends.batching import Adapter, HotModel
from tests.builders import user
from tests.deployment.test_local_server import ScriptedEngine, adapter


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


async def asked(model: HotModel, of: Adapter, text: str = "hello") -> str:
    return (await model.answer([user(text)], of, max_new_tokens=8)).message.text


async def test_what_an_adapter_was_asked_is_answered_before_it_is_unloaded(engine: ScriptedEngine) -> None:
    model = HotModel(engine, linger_s=0.05)
    await model.load(adapter("v1"))
    waiting = asyncio.create_task(asked(model, adapter("v1")))
    await asyncio.sleep(0)
    await model.unload("v1")
    assert await waiting == "v1 was asked: hello"
    assert engine.adapters == ()


async def test_it_is_gone_also_when_the_one_who_asked_has_gone(engine: ScriptedEngine) -> None:
    model = HotModel(engine, linger_s=0.05)
    await model.load(adapter("v1"))
    waiting = asyncio.create_task(asked(model, adapter("v1")))
    await asyncio.sleep(0)
    waiting.cancel()
    await model.unload("v1")
    assert engine.adapters == ()


async def test_unloading_does_not_wait_for_what_others_were_asked(engine: ScriptedEngine) -> None:
    model = HotModel(engine, linger_s=30)
    await asyncio.gather(model.load(adapter("v1")), model.load(adapter("v2")))
    waiting = asyncio.create_task(asked(model, adapter("v2")))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await model.unload("v1")
    assert engine.adapters == ("v2",)
    waiting.cancel()


async def test_adapters_swapped_under_load_lose_no_answer(engine: ScriptedEngine) -> None:
    model = HotModel(engine, linger_s=0.001)

    async def swap() -> None:
        for _ in range(20):
            await model.load(adapter("v2"))
            await model.unload("v2")

    async def ask(number: int) -> str:
        await asyncio.sleep(number / 1000)
        return await asked(model, adapter(f"v{number % 3}"), f"{number}")

    *answers, _ = await asyncio.gather(*(ask(number) for number in range(100)), swap())
    assert answers == [f"v{number % 3} was asked: {number}" for number in range(100)]
