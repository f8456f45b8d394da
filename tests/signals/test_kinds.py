"""Everything a call can be: partials, objects, tasks, threads, timeouts, retries, forks."""

import asyncio
import contextvars
import functools
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from continuum.errors import ConfigurationError
from continuum.signals.current import context, interaction
from continuum.signals.decorator import capture
from continuum.signals.stats import capture_stats
from continuum.spool.spool import flush
from tests.builders import assistant, user
from tests.signals.conftest import Kept


async def shout(text: str, mark: str) -> str:
    await asyncio.sleep(0)
    return text.upper() + mark


class Desk:
    """An object that can be called."""

    def __call__(self, text: str) -> str:
        return f"desk: {text}"


class AsyncDesk:
    async def __call__(self, text: str) -> str:
        return f"desk: {text}"


class StreamingDesk:
    async def __call__(self, text: str) -> AsyncIterator[str]:
        yield text


async def test_a_partial_is_captured_as_what_it_is_a_part_of(kept: Kept) -> None:
    handle: Any = capture(functools.partial(shout, mark="!"), task="support")

    assert inspect.iscoroutinefunction(handle)
    assert handle.__name__ == "shout"
    assert await handle("hello") == "HELLO!"
    assert (kept.one().messages, kept.one().response) == ((user("hello"),), assistant("HELLO!"))


async def test_objects_that_can_be_called_are_captured(kept: Kept) -> None:
    called: Any = capture(Desk(), task="support")
    awaited: Any = capture(AsyncDesk(), task="support")
    streamed: Any = capture(StreamingDesk(), task="support")

    assert called("a") == "desk: a"
    assert await awaited("b") == "desk: b"
    assert [word async for word in streamed("c")] == ["c"]
    assert inspect.iscoroutinefunction(awaited)
    assert (called.__name__, awaited.__name__) == ("Desk", "AsyncDesk")
    assert [one.messages[0].text for one in kept.all()] == ["a", "b", "c"]


def test_a_bound_method_is_captured_without_its_object(kept: Kept) -> None:
    capture(Desk().__call__, task="support")("hello")

    assert (kept.one().messages, kept.one().tags) == ((user("hello"),), {})


def test_a_class_is_refused_where_it_is_decorated() -> None:
    with pytest.raises(ConfigurationError, match="@capture stands on the class Desk; put it on the methods"):
        capture(Desk, task="support")


def test_arguments_by_keyword_are_captured_as_those_by_position(kept: Kept) -> None:
    def handle(text: str, *, tone: str = "kind", key: str = "") -> str:
        return text

    capture(handle, task="support")(text="hello", tone="short", key="sk-1")

    assert (kept.one().messages, kept.one().tags) == ((user("hello"),), {"tone": "short"})


def test_more_arguments_than_parameters_have_numbers(kept: Kept) -> None:
    def handle(text: str, *rest: int, key: str = "") -> str:
        return text

    capture(handle, task="support")("hello", 1, 2, 3, key="sk-1")

    assert kept.one().tags == {"rest": "1", "argument 3": "2", "argument 4": "3"}


def test_wrong_arguments_are_the_functions_own_error(kept: Kept) -> None:
    @capture(task="support")
    def stream(text: str) -> Iterator[str]:
        yield text

    with pytest.raises(TypeError, match="unexpected keyword"):
        list(stream("hello", tone="short"))  # type: ignore[call-arg]

    assert kept.one().status == "error"


async def test_tasks_groups_and_threads_started_inside_know_the_call_they_belong_to(kept: Kept) -> None:
    @capture(task="support")
    async def inner(text: str) -> str:
        return text

    inner_sync = capture(lambda text: text, task="support")

    @capture(task="support")
    async def outer(text: str) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(inner("group"))
        await asyncio.create_task(inner("task"))
        await asyncio.to_thread(inner_sync, "thread")
        await asyncio.wait_for(inner("wait_for"), 5)
        with ThreadPoolExecutor(1) as pool:
            copy = contextvars.copy_context()
            await asyncio.get_running_loop().run_in_executor(pool, copy.run, inner_sync, "executor")
        return interaction.id

    id = await outer("go")

    inside = {one.messages[0].text: one.parent_id for one in kept.all() if one.id != id}
    assert inside == dict.fromkeys(("group", "task", "thread", "wait_for", "executor"), id)


async def test_tasks_started_in_the_body_of_a_stream_belong_to_it(kept: Kept) -> None:
    @capture(task="support")
    async def inner(text: str) -> str:
        return text

    @capture(task="support")
    async def stream(text: str) -> AsyncIterator[str]:
        yield interaction.id
        await asyncio.gather(inner("gathered"), asyncio.to_thread(capture(lambda text: text, task="support"), "thread"))
        yield "end"

    words = [word async for word in stream("go")]

    assert [one.parent_id for one in kept.all() if one.id != words[0]] == 2 * [words[0]]


async def test_a_stream_read_in_another_task_at_each_step_is_one_interaction(kept: Kept) -> None:
    @capture(task="support")
    async def stream(text: str) -> AsyncIterator[str]:
        for _ in range(3):
            yield f"{interaction.id} "

    steps = stream("go")
    words = [await asyncio.create_task(anext(steps)) for _ in range(3)]  # type: ignore[arg-type]
    with pytest.raises(StopAsyncIteration):
        await anext(steps)

    assert kept.one().response == assistant("".join(words))
    assert set(words) == {f"{kept.one().id} "}


async def test_a_timeout_inside_the_call_is_an_error_and_says_so(kept: Kept) -> None:
    @capture(task="support")
    async def handle(text: str) -> str:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
        return text

    with pytest.raises(TimeoutError):
        await handle("hello")

    assert (kept.one().status, kept.one().error) == ("error", "TimeoutError")


@pytest.mark.parametrize("how", ["timeout", "wait_for"])
async def test_a_timeout_around_the_call_cancels_it(kept: Kept, how: str) -> None:
    @capture(task="support")
    async def handle(text: str) -> str:
        await asyncio.sleep(60)
        return text

    async def timed() -> None:
        async with asyncio.timeout(0.01):
            await handle("hello")

    with pytest.raises(TimeoutError):
        await (timed() if how == "timeout" else asyncio.wait_for(handle("hello"), 0.01))

    found = kept.one()
    assert (found.status, found.error) == ("cancelled", "CancelledError")
    assert found.latency_ms is not None
    assert found.latency_ms >= 9


async def test_a_coroutine_that_is_closed_while_it_waits_is_cancelled(kept: Kept) -> None:
    @capture(task="support")
    async def handle(text: str) -> str:
        await asyncio.sleep(60)
        return text

    waiting: Any = handle("hello")
    waiting.send(None)
    contextvars.copy_context().run(waiting.close)

    assert (kept.one().status, kept.one().error) == ("cancelled", "GeneratorExit")


def retried(function: Callable[[str], Any], text: str) -> Any:
    """Call until it works, as the libraries for it do."""
    while True:
        try:
            return function(text)
        except ConnectionError:
            continue


def test_each_attempt_of_a_retry_is_an_interaction_that_says_which_it_is(kept: Kept) -> None:
    failures = iter([ConnectionError("one"), ConnectionError("two")])

    @capture(task="support")
    def handle(text: str) -> str:
        for failure in failures:
            raise failure
        return text

    retried(handle, "hello")
    handle("hello")
    handle("another question")

    first, second, third, later, other = kept.all()
    assert [one.status for one in (first, second, third)] == ["error", "error", "ok"]
    assert first.tags == {}
    assert second.tags == {"attempt": "2", "retry_of": first.id}
    assert third.tags == {"attempt": "3", "retry_of": first.id}
    assert (later.tags, other.tags) == ({}, {})


async def test_attempts_of_a_coroutine_are_known_too_and_other_questions_are_none(kept: Kept) -> None:
    @capture(task="support")
    async def handle(messages: list[dict[str, str]]) -> str:
        raise ConnectionError(messages[0]["content"])

    for text in ("hello", "hello", "something else"):
        with pytest.raises(ConnectionError):
            await handle([{"role": "user", "content": text}])

    assert [one.tags.get("attempt") for one in kept.all()] == [None, "2", None]


def test_a_forked_process_captures_under_ids_of_its_own(kept: Kept) -> None:
    handle = capture(lambda text: f"{text} {interaction.id}", task="support")
    handle("before")
    flush(20)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            words = [handle("child") for _ in range(3)]
            ok = flush(20) and capture_stats().captured == 3
            os.write(write, " ".join(words).encode() if ok else b"failed")
        finally:
            os._exit(0)
    words = [handle("parent") for _ in range(3)]
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)

    ids = [word for words in (*words, said) for word in words.split() if "-" in word]
    assert len(set(ids)) == 6
    assert {one.id for one in kept.all()} >= set(ids)
    assert len(kept.all()) == 7


def test_a_thread_of_its_own_begins_outside_of_any_call(kept: Kept) -> None:
    inner = capture(lambda text: text, task="support")

    @capture(task="support")
    def outer(text: str) -> str:
        thread = threading.Thread(target=inner, args=("alone",))
        thread.start()
        thread.join()
        return text

    with context(conversation_id="c1"):
        outer("go")

    found = {one.messages[0].text: (one.parent_id, one.conversation_id) for one in kept.all()}
    assert found == {"go": (None, "c1"), "alone": (None, None)}
