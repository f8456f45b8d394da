import asyncio
import gc
import logging
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.chat.completions import Completions

from continuum.errors import ConfigurationError
from continuum.signals import instrument
from continuum.signals.client import client as client_of
from continuum.signals.current import context, interaction
from continuum.signals.decorator import capture
from continuum.signals.instrument import instrument_openai, uninstrument_openai
from continuum.signals.stats import capture_stats
from continuum.spool.users import hashed_user, user_key
from tests.builders import assistant, user
from tests.signals.conftest import Kept, Provider

ASKED: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    yield
    uninstrument_openai()


def async_client(provider: Provider) -> Any:
    return AsyncOpenAI(base_url=provider.base_url, api_key="test", max_retries=0)


def sync_client(provider: Provider) -> Any:
    return OpenAI(base_url=provider.base_url, api_key="test", max_retries=0)


async def test_a_call_without_a_decorator_is_an_interaction_of_the_contexts_task(provider: Provider, kept: Kept) -> None:
    instrument_openai()
    async with async_client(provider) as client:
        with context(task="support", conversation_id="c1", user_id="u1"):
            answer = await client.chat.completions.create(model="gpt-4", messages=ASKED)

    found = kept.one()
    assert answer.choices[0].message.content == "You said: Hi"
    assert found.id == interaction.id
    assert (found.messages, found.response) == ((user("Hi"),), assistant("You said: Hi"))
    assert (found.conversation_id, found.user_id) == ("c1", hashed_user("u1", user_key()))
    assert (found.input_tokens, found.model, found.parent_id) == (100, "gpt-4-0613", None)
    assert found.cost_usd == pytest.approx(100 * 30e-6 + 10 * 60e-6)
    assert found.latency_ms is not None
    assert found.latency_ms > 0


def test_the_synchronous_client_and_the_responses_api_are_captured_too(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")
    with sync_client(provider) as client:
        client.responses.create(model="gpt-4o-mini", input="Hi")
        client.chat.completions.create(model="gpt-4", messages=ASKED)

    assert [one.provider_response_id for one in kept.all()] == ["resp_1", "chatcmpl-2"]


def test_the_contexts_task_stands_above_the_one_given_for_all(provider: Provider, kept: Kept) -> None:
    instrument_openai("other")
    with sync_client(provider) as client, context(task="support"):
        client.chat.completions.create(model="gpt-4", messages=ASKED)

    assert kept.one().task == "support"


async def test_a_client_made_for_a_task_brings_it(provider: Provider, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_GATEWAY_URL", provider.base_url)
    instrument_openai()
    async with client_of("support") as client:
        await client.chat.completions.create(model="gpt-4", messages=ASKED)

    assert provider.headers[0]["x-continuum-interaction-id"] == kept.one().id
    assert kept.one().variant == "canary"


def test_a_call_that_belongs_to_no_task_is_counted_and_told_once(
    provider: Provider, kept: Kept, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("continuum.signals.tallies._tallies.untasked", 0)
    instrument_openai()
    with sync_client(provider) as client, caplog.at_level(logging.WARNING, instrument.__name__):
        client.chat.completions.create(model="gpt-4", messages=ASKED)
        client.chat.completions.create(model="gpt-4", messages=ASKED)

    assert kept.all() == []
    assert capture_stats().untasked == 2
    assert [record.message.split(";")[1] for record in caplog.records] == [
        " name one with continuum.context(task=...) or instrument_openai(task)"
    ]


async def test_inside_a_captured_function_a_call_belongs_to_it(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            answer = await client.chat.completions.create(model="gpt-4", messages=ASKED)
            return answer.choices[0].message.content

        await handle("Hi")

    assert kept.one().response == assistant("You said: Hi")


async def test_inside_a_function_that_is_left_out_a_call_is_left_out(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")
    async with async_client(provider) as client:

        @capture(task="support", sample_rate=0)
        async def handle(text: str) -> str:
            await client.chat.completions.create(model="gpt-4", messages=ASKED)
            return text

        await handle("Hi")

    assert kept.all() == []


async def test_a_stream_ends_its_interaction_when_it_ends(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")
    async with async_client(provider) as client:
        stream = await client.chat.completions.create(model="gpt-4", messages=ASKED, stream=True)
        assert kept.all() == []
        chunks = [chunk async for chunk in stream]

    found = kept.one()
    assert len(chunks) == 4
    assert (found.status, found.response, found.input_tokens) == ("ok", assistant("Yousaid:Hi"), 100)
    assert found.latency_ms is not None
    assert found.time_to_first_chunk_ms is not None
    assert found.time_to_first_chunk_ms < found.latency_ms


def test_a_stream_that_is_dropped_is_cancelled(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")
    with sync_client(provider) as client:
        stream = client.responses.create(model="gpt-4o-mini", input="Hi", stream=True)
        next(event for event in stream if event.type == "response.output_text.delta")
        stream.close()
        del stream
        gc.collect()

    assert (kept.one().status, kept.one().response) == ("cancelled", assistant("You "))


async def test_an_error_and_a_cancellation_are_interactions_too(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")
    async with async_client(provider) as client:
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model="broken", messages=ASKED)
        with pytest.raises(asyncio.TimeoutError):
            async with asyncio.timeout(0):
                await client.chat.completions.create(model="gpt-4", messages=ASKED)

    first, second = kept.all()
    assert (first.status, first.messages) == ("error", (user("Hi"),))
    assert (second.status, second.error, second.response) == ("cancelled", "CancelledError", None)


def test_a_raw_and_an_unread_response_are_captured(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")
    with sync_client(provider) as client:
        client.chat.completions.with_raw_response.create(model="gpt-4", messages=ASKED)
        with client.chat.completions.with_streaming_response.create(model="gpt-4", messages=ASKED) as response:
            assert response.parse().choices[0].message.content == "You said: Hi"

    assert [one.response for one in kept.all()] == 2 * [assistant("You said: Hi")]


async def test_parallel_calls_are_interactions_of_their_own(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")

    async def ask(number: int) -> str:
        asked: Any = [{"role": "user", "content": f"question {number}"}]
        await client.chat.completions.create(model="gpt-4", messages=asked)
        return interaction.id

    async with async_client(provider) as client:
        ids = await asyncio.gather(*(ask(number) for number in range(8)))

    found = {one.id: one for one in kept.all()}
    assert [found[id].messages for id in ids] == [(user(f"question {number}"),) for number in range(8)]


def test_doing_it_twice_captures_once_and_undoing_it_captures_nothing(provider: Provider, kept: Kept) -> None:
    uninstrument_openai()
    own = Completions.create
    instrument_openai("support")
    instrument_openai("support")
    with sync_client(provider) as client:
        client.chat.completions.create(model="gpt-4", messages=ASKED)
        uninstrument_openai()
        client.chat.completions.create(model="gpt-4", messages=ASKED)

    assert kept.one().provider_response_id == "chatcmpl-1"
    assert Completions.create is own


def test_after_undoing_it_decorated_functions_are_captured_as_before(provider: Provider, kept: Kept) -> None:
    instrument_openai("support")
    uninstrument_openai()
    with sync_client(provider) as client:
        capture(lambda text: client.chat.completions.create(model="gpt-4", messages=ASKED), task="support")("Hi")

    assert kept.one().provider_response_id == "chatcmpl-1"


def test_a_bad_task_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="task name"):
        instrument_openai("no good!")
    with pytest.raises(ConfigurationError, match="task name"):
        context(task="no good!")
