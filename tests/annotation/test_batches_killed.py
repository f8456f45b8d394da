"""kill -9 at any moment of a batch: every interaction judged once, charged once, nothing left reserved or lying around."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process

import pytest

from continuum.annotation.batches import collect_batches
from continuum.config import Settings, load_settings
from continuum.store.database import Store
from tests.builders import interactions
from tests.stub_batch import StubBatch, stub_batch
from tests.stub_endpoint import scores

pytestmark = pytest.mark.slow
FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)
COUNT = 230
"""More than two of the portions that are written in one transaction."""


@pytest.fixture
def settings(home) -> Settings:
    return load_settings({"CONTINUUM_HOME": str(home), "CONTINUUM_JUDGE_API_KEY": "key"})


async def process(work: str, store: Store, stub: StubBatch, steps: int = 0) -> Process:
    arguments = ("tests.annotation.batch_process", work, str(store.engine.url), stub.base_url, str(steps))
    return await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments)


async def to_the_end(store: Store, stub: StubBatch, settings: Settings) -> None:
    """Collect, and look whether the world is in order."""
    for _ in range(8):
        if not (told := await collect_batches(store, settings=settings)):
            break
        assert [stats.error for stats in told] == [None] * len(told)
    balance = store.accounts.balance("support")
    stored = store.annotations.of([one.id for one in store.interactions.scan("support")])
    assert sorted(set(stub.judged)) == sorted(stub.judged)
    assert len(stub.judged) == len(stored) == COUNT
    assert (balance.spent_micro_usd, balance.reserved_micro_usd, balance.unknown_micro_usd) == (COUNT * 180, 0, 0)
    assert (store.judgements.count(), store.judgements.count(claims=True)) == (COUNT, 0)
    assert stub.files == {}
    assert store.batches.open() == []


@pytest.mark.parametrize("route", ["POST /v1/files", "POST /v1/batches"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_process_killed_around_a_request_leaves_one_batch(
    store: Store, settings: Settings, route: str, moment: str
) -> None:
    store.interactions.add(interactions(COUNT))
    async with stub_batch(lambda _: FOURS) as stub:
        child = await process("submit", store, stub)

        async def kill(asked: str) -> None:
            if asked == route and child.returncode is None:
                os.kill(child.pid, signal.SIGKILL)
                await child.wait()

        setattr(stub, moment, kill)
        assert await child.wait() == -signal.SIGKILL
        stub.before = stub.after = None
        await to_the_end(store, stub, settings)

        assert len(stub.batches) == 1


async def test_a_process_killed_while_it_fills_a_batch_leaves_a_smaller_one_and_the_rest_in_the_backlog(
    store: Store, settings: Settings
) -> None:
    store.interactions.add(interactions(COUNT))
    async with stub_batch(lambda _: FOURS) as stub:
        assert await (await process("submit", store, stub, steps=2)).wait() == -signal.SIGKILL
        assert stub.asked == []
        assert sum(len(ids) for ids in store.batches.pending(store.batches.open()[0].id).values()) == 200

        assert await (await process("submit", store, stub)).wait() == 0
        await to_the_end(store, stub, settings)

        assert len(stub.batches) == 2


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_process_killed_while_it_settles_is_followed_by_one_that_goes_on(
    store: Store, settings: Settings, steps: int
) -> None:
    store.interactions.add(interactions(COUNT))
    async with stub_batch(lambda _: FOURS) as stub:
        await (await process("submit", store, stub)).wait()
        for _ in range(3):
            stub.move_on(stub.batches["batch_1"])
        assert await (await process("collect", store, stub, steps=steps)).wait() == -signal.SIGKILL
        assert store.accounts.balance("support").spent_micro_usd == 180 * min(100 * steps, COUNT)

        await to_the_end(store, stub, settings)


async def test_a_process_killed_while_it_deletes_files_is_followed_by_one_that_deletes_the_rest(
    store: Store, settings: Settings
) -> None:
    store.interactions.add(interactions(COUNT))
    async with stub_batch(lambda _: FOURS) as stub:
        await (await process("submit", store, stub)).wait()
        for _ in range(3):
            stub.move_on(stub.batches["batch_1"])
        child = await process("collect", store, stub)

        async def kill(asked: str) -> None:
            if asked.startswith("DELETE") and child.returncode is None:
                os.kill(child.pid, signal.SIGKILL)
                await child.wait()

        stub.after = kill
        assert await child.wait() == -signal.SIGKILL
        assert len(stub.files) == 1

        await to_the_end(store, stub, settings)


async def test_two_processes_that_go_on_with_the_same_batch_begin_it_once(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(COUNT))
    async with stub_batch(lambda _: FOURS) as stub:
        assert await (await process("submit", store, stub, steps=3)).wait() == -signal.SIGKILL
        both = [await process("collect", store, stub) for _ in range(2)]
        assert [await one.wait() for one in both] == [0, 0]
        await to_the_end(store, stub, settings)

        assert len(stub.batches) == 1
