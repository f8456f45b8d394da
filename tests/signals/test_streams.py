import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from continuum.signals.current import interaction
from continuum.signals.decorator import capture
from tests.builders import assistant, user
from tests.signals.conftest import Kept


@capture(task="support")
async def tell(message: str) -> AsyncIterator[str]:
    for word in ("It ", "arrives ", "on Monday."):
        await asyncio.sleep(0.002)
        yield word


@capture(task="support")
def tell_sync(message: str) -> Iterator[str]:
    yield from ("It ", "arrives ", "on Monday.")


async def test_an_asynchronous_stream_is_captured_whole(kept: Kept) -> None:
    assert [word async for word in tell("when?")] == ["It ", "arrives ", "on Monday."]

    found = kept.one()
    assert found.id == interaction.id
    assert found.messages == (user("when?"),)
    assert found.response == assistant("It arrives on Monday.")
    assert found.status == "ok"
    assert found.time_to_first_chunk_ms is not None
    assert found.latency_ms is not None
    assert 0 < found.time_to_first_chunk_ms < found.latency_ms


def test_a_synchronous_stream_is_captured_whole(kept: Kept) -> None:
    assert list(tell_sync("when?")) == ["It ", "arrives ", "on Monday."]

    assert kept.one().response == assistant("It arrives on Monday.")


def test_a_stream_that_nobody_reads_is_no_interaction(kept: Kept) -> None:
    tell_sync("when?")

    assert kept.all() == []


async def test_a_stream_left_early_is_cancelled_and_keeps_what_was_said(kept: Kept) -> None:
    stream = tell("when?")
    assert await anext(stream) == "It "
    await stream.aclose()  # type: ignore[attr-defined]

    found = kept.one()
    assert (found.status, found.response) == ("cancelled", assistant("It "))
    assert found.error is not None
    assert found.error.startswith("GeneratorExit")


def test_a_synchronous_stream_left_early_is_cancelled_too(kept: Kept) -> None:
    for _ in tell_sync("when?"):
        break
    gc.collect()

    assert (kept.one().status, kept.one().response) == ("cancelled", assistant("It "))


async def test_a_stream_that_fails_keeps_what_was_said_before(kept: Kept) -> None:
    @capture(task="support")
    async def fail(message: str) -> AsyncIterator[str]:
        yield "It "
        raise OSError("line cut")

    with pytest.raises(OSError, match="line cut"):
        [word async for word in fail("when?")]

    found = kept.one()
    assert (found.status, found.error, found.response) == ("error", "OSError: line cut", assistant("It "))


async def test_a_stream_cancelled_while_it_waits_is_cancelled(kept: Kept) -> None:
    @capture(task="support")
    async def stall(message: str) -> AsyncIterator[str]:
        yield "It "
        await asyncio.sleep(60)

    async def consume() -> None:
        async for _ in stall("when?"):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (kept.one().status, kept.one().response) == ("cancelled", assistant("It "))


async def test_the_body_of_a_stream_runs_inside_its_interaction_and_its_consumer_does_not(kept: Kept) -> None:
    @capture(task="support")
    async def inner(message: str) -> str:
        return message

    @capture(task="support")
    async def stream(message: str) -> AsyncIterator[str]:
        yield interaction.id
        await inner("from the body")
        yield interaction.id

    seen = []
    async for word in stream("go"):
        seen.append(word)
        await inner("from the consumer")

    parents = {one.messages[0].text: one.parent_id for one in kept.all()}
    assert seen[0] == seen[1]
    assert parents == {"go": None, "from the body": seen[0], "from the consumer": None}


async def test_two_streams_read_in_turns_do_not_mix(kept: Kept) -> None:
    @capture(task="support")
    async def stream(name: str) -> AsyncIterator[str]:
        for _ in range(3):
            yield f"{name}={interaction.id} "

    first, second = stream("a"), stream("b")
    for _ in range(3):
        await anext(first)
        await anext(second)
    for one in (first, second):
        with pytest.raises(StopAsyncIteration):
            await anext(one)

    assert all(one.response == assistant(f"{one.messages[0].text}={one.id} " * 3) for one in kept.all())
    assert len(kept.all()) == 2


def test_what_is_sent_thrown_and_returned_passes_through(kept: Kept) -> None:
    @capture(task="support")
    def talk(message: str) -> Generator[str, Any, str]:
        heard = yield "ready"
        try:
            yield f"heard {heard}"
        except KeyError:
            yield "caught"
        return "the end"

    stream = talk("go")
    assert next(stream) == "ready"
    assert stream.send("you") == "heard you"
    assert stream.throw(KeyError("x")) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(stream)

    assert stop.value.value == "the end"
    assert kept.one().response == assistant("readyheard youcaught")


async def test_what_is_sent_and_thrown_passes_through_asynchronously(kept: Kept) -> None:
    @capture(task="support")
    async def talk(message: str) -> Any:
        heard = yield "ready"
        try:
            yield f"heard {heard}"
        except KeyError:
            yield "caught"

    stream: Any = talk("go")
    assert [await anext(stream), await stream.asend("you"), await stream.athrow(KeyError("x"))] == [
        "ready",
        "heard you",
        "caught",
    ]
    assert [rest async for rest in stream] == []
    assert kept.one().response == assistant("readyheard youcaught")


async def test_a_stream_that_a_function_returns_is_captured_to_its_end(kept: Kept) -> None:
    async def words() -> AsyncIterator[str]:
        yield "one "
        yield "two"

    @capture(task="support")
    async def handle(message: str) -> AsyncIterator[str]:
        return words()

    assert [word async for word in await handle("count")] == ["one ", "two"]
    assert kept.one().response == assistant("one two")


def test_a_stream_read_from_several_threads_is_one_interaction(kept: Kept) -> None:
    stream = tell_sync("when?")
    words: list[str] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: words.append(next(stream)))  # type: ignore[call-overload]
        thread.start()
        thread.join()
    list(stream)

    assert words == ["It ", "arrives ", "on Monday."]
    assert kept.one().response == assistant("It arrives on Monday.")


def test_chunks_that_are_not_text_are_kept_as_lines(kept: Kept) -> None:
    @capture(task="support")
    def events(message: str) -> Iterator[object]:
        yield {"event": "start"}
        yield b"raw "
        yield {"choices": [{"delta": {"content": "ignored, it is a model's chunk"}}]}

    list(events("go"))

    assert kept.one().response is not None
