"""What every backend does, whichever server is behind it."""

import asyncio

import pytest
from openai import AsyncOpenAI

from tests.deployment.backends.rigs import Rig


async def answer(rig: Rig, model: str) -> str:
    async with AsyncOpenAI(base_url=rig.backend.url, api_key="none", max_retries=0) as client:
        completion = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hello"}], max_tokens=8
        )
    return completion.choices[0].message.content or ""


async def test_a_checkpoint_that_is_warm_answers_under_its_name(rig: Rig) -> None:
    for checkpoint in rig.checkpoints:
        warmed = await rig.backend.warm(checkpoint)
        assert warmed.ready, warmed.words
        assert warmed.words
    for checkpoint in rig.checkpoints:
        assert await answer(rig, checkpoint.name)
    if rig.lists:
        assert set(await rig.backend.models()) >= {checkpoint.name for checkpoint in rig.checkpoints}


async def test_it_answers_as_a_stream_too(rig: Rig) -> None:
    name = rig.checkpoints[0].name
    assert (await rig.backend.warm(rig.checkpoints[0])).ready
    async with AsyncOpenAI(base_url=rig.backend.url, api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "hello"}], max_tokens=8, stream=True
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


async def test_warming_again_is_as_good_and_so_it_is_at_the_same_time(rig: Rig) -> None:
    checkpoint = rig.checkpoints[0]
    at_once = await asyncio.gather(*(rig.backend.warm(checkpoint) for _ in range(4)))
    assert [warmed.ready for warmed in (*at_once, await rig.backend.warm(checkpoint))] == [True] * 5


async def test_what_is_unloaded_is_not_listed_and_may_be_unloaded_again(rig: Rig) -> None:
    checkpoint = rig.checkpoints[0]
    await rig.backend.warm(checkpoint)
    await rig.backend.unload(checkpoint.name)
    await rig.backend.unload(checkpoint.name)
    if rig.forgets:
        assert checkpoint.name not in await rig.backend.models()
    assert (await rig.backend.warm(checkpoint)).ready


async def test_a_server_that_runs_is_healthy(rig: Rig) -> None:
    health = await rig.backend.health()
    assert health.up, health.words
    assert health.words


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
async def test_every_share_of_the_traffic_is_taken(rig: Rig, share: float) -> None:
    await rig.backend.warm(rig.checkpoints[0])
    await rig.backend.traffic(rig.checkpoints[0].name, share)
