import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from continuum.records import Message
from continuum.signals.current import context, interaction
from continuum.signals.decorator import capture
from continuum.signals.openai_hook import is_gateway
from tests.builders import assistant, user
from tests.signals.conftest import Kept, Provider

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": "find_order", "parameters": {"type": "object", "properties": {}}}}]


def async_client(provider: Provider, **options: Any) -> Any:
    return AsyncOpenAI(base_url=provider.base_url, api_key="test", max_retries=0, **options)


def sync_client(provider: Provider) -> Any:
    return OpenAI(base_url=provider.base_url, api_key="test", max_retries=0)


async def test_the_first_snippet_of_the_readme(provider: Provider, kept: Kept) -> None:
    from continuum import feedback

    client = async_client(provider)

    @capture(task="support", model="gpt-4")
    async def handle_inquiry(user_message: str) -> str:
        response = await client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": user_message}])
        return response.choices[0].message.content

    async with client:
        answer = await handle_inquiry("I was billed twice")
    await feedback.record(
        interaction_id=interaction.id,
        score=4.5,  # 1-5 rating
        label="good",
        comment="Correctly identified the billing issue",
    )

    assert answer == "You said: I was billed twice"
    found = kept.one()
    assert found.messages == (user("I was billed twice"),)
    assert found.response == assistant("You said: I was billed twice")
    assert (found.model, found.provider_response_id) == ("gpt-4-0613", "chatcmpl-1")
    assert (found.input_tokens, found.output_tokens) == (100, 10)
    assert found.cost_usd == pytest.approx(100 * 30e-6 + 10 * 60e-6)
    assert found.tags == {}
    (said,) = kept.store.feedback.of([found])[found.id]
    assert (said.score, said.label, said.kind) == (4.5, "good", "explicit")


def test_the_synchronous_client_is_captured_with_its_tool_calls(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> Any:
            return client.chat.completions.create(model="gpt-4", messages=ASKED, tools=TOOLS)

        response = handle("ignored, the model was asked something else")

    assert response.choices[0].message.tool_calls[0].function.name == "find_order"
    found = kept.one()
    assert found.messages == (Message(role="system", content="Be kind."), user("Hi"))
    assert found.response is not None
    assert found.response.action == 'find_order({"number":7})'


def test_a_structured_answer_is_captured(provider: Provider, kept: Kept) -> None:
    class Anything(BaseModel):
        pass

    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> Any:
            return client.chat.completions.parse(model="gpt-4", messages=ASKED)

        handle("hello")

    assert kept.one().response is not None
    assert kept.one().provider_response_id == "chatcmpl-1"


async def test_a_raw_response_is_captured_and_stays_raw(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            raw = await client.chat.completions.with_raw_response.create(model="gpt-4", messages=ASKED)
            return raw.parse().choices[0].message.content + raw.headers["x-continuum-variant"]

        assert await handle("hello") == "You said: Hicanary"

    found = kept.one()
    assert found.response == assistant("You said: Hi")
    assert found.tags == {"returned": "You said: Hicanary"}
    assert found.variant is None


async def test_a_stream_is_put_together_while_the_application_reads_it(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> AsyncIterator[str]:
            stream = await client.chat.completions.create(model="gpt-4", messages=ASKED, stream=True)
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content

        assert [word async for word in handle("hello")] == ["You", "said:", "Hi"]

    found = kept.one()
    assert found.response == assistant("Yousaid:Hi")
    assert (found.input_tokens, found.output_tokens, found.model) == (100, 10, "gpt-4-0613")
    assert found.time_to_first_chunk_ms is not None
    assert found.latency_ms is not None
    assert found.time_to_first_chunk_ms < found.latency_ms
    assert found.tags == {}


def test_a_streamed_tool_call_is_put_together(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> int:
            stream = client.chat.completions.create(model="gpt-4", messages=ASKED, tools=TOOLS, stream=True)
            return sum(1 for _ in stream)

        assert handle("hello") == 4

    found = kept.one()
    assert found.response is not None
    assert found.response.action == 'find_order({"number":7})'
    assert found.response.tool_calls is not None
    assert found.response.tool_calls[0].id == "call_1"


async def test_a_returned_stream_ends_the_call_when_it_ends(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> Any:
            return await client.chat.completions.create(model="gpt-4", messages=ASKED, stream=True)

        stream = await handle("hello")
        assert isinstance(stream, openai.AsyncStream)
        assert kept.all() == []
        assert len([chunk async for chunk in stream]) == 4

    found = kept.one()
    assert (found.response, found.status) == (assistant("Yousaid:Hi"), "ok")
    assert found.latency_ms is not None
    assert found.latency_ms > 10


def test_a_returned_stream_that_is_dropped_is_cancelled(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> Any:
            return client.chat.completions.create(model="gpt-4", messages=ASKED, stream=True)

        stream = handle("hello")
        next(stream)
        stream.close()
        del stream
        gc.collect()

    found = kept.one()
    assert (found.status, found.response) == ("cancelled", assistant("You"))
    assert found.error == "the stream was dropped before its end"


async def test_an_error_of_the_provider_rises_as_the_clients_own(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            response = await client.chat.completions.create(model="broken", messages=ASKED)
            return response.choices[0].message.content

        with pytest.raises(openai.BadRequestError, match="out of order"):
            await handle("hello")

    found = kept.one()
    assert (found.status, found.response, found.model) == ("error", None, "broken")
    assert found.error is not None
    assert found.error.startswith("BadRequestError")
    assert len(found.messages) == 2


async def test_a_fallback_after_a_failed_call_is_the_answer(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            try:
                await client.chat.completions.create(model="broken", messages=ASKED)
            except openai.OpenAIError:
                return "Sorry, try again."
            return "unreachable"

        await handle("hello")

    found = kept.one()
    assert (found.status, found.response) == ("ok", assistant("Sorry, try again."))


async def test_of_several_calls_the_last_is_the_answer_and_all_are_paid_for(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            first = await client.chat.completions.create(model="gpt-4", messages=ASKED, tools=TOOLS)
            called = first.choices[0].message
            result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "shipped"}
            second = await client.chat.completions.create(model="gpt-4", messages=[*ASKED, called, result])
            return second.choices[0].message.content

        assert await handle("hello") == "You said: shipped"

    found = kept.one()
    assert [message.role for message in found.messages] == ["system", "user", "assistant", "tool"]
    assert found.messages[2].action == 'find_order({"number":7})'
    assert found.response == assistant("You said: shipped")
    assert (found.input_tokens, found.output_tokens) == (200, 20)
    assert found.cost_usd == pytest.approx(2 * (100 * 30e-6 + 10 * 60e-6))


async def test_what_goes_on_in_the_background_after_the_call_is_no_part_of_it(
    provider: Provider, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_GATEWAY_URL", provider.base_url)
    async with async_client(provider) as client:

        async def later(go: asyncio.Event) -> None:
            await go.wait()
            await client.chat.completions.create(model="gpt-4", messages=ASKED)

        @capture(task="support")
        async def handle(text: str, go: asyncio.Event) -> Any:
            return [asyncio.create_task(later(go)), "started"]

        go = asyncio.Event()
        task, _ = await handle("hello", go)
        go.set()
        await task

    assert "x-continuum-interaction-id" not in provider.headers[0]
    assert kept.one().provider_response_id is None


async def test_parallel_captured_calls_do_not_mix(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            response = await client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": text}])
            return response.choices[0].message.content

        await asyncio.gather(*(handle(f"question {n}") for n in range(10)))

    found = kept.all()
    assert len(found) == 10
    assert all(one.response == assistant(f"You said: {one.messages[0].text}") for one in found)


async def test_outside_a_captured_call_the_client_is_left_alone(provider: Provider, kept: Kept) -> None:
    capture(lambda message: message, task="other")("the hook is installed by now")
    async with async_client(provider) as client:
        response = await client.chat.completions.create(model="gpt-4", messages=ASKED)

    assert response.choices[0].message.content == "You said: Hi"
    assert kept.all() == []


async def test_ids_never_go_to_anyone_but_the_gateway(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> None:
            await client.chat.completions.create(model="gpt-4", messages=ASKED)

        with context(conversation_id="c1", user_id="u1"):
            await handle("hello")

    assert not any(name.startswith("x-continuum") for name in provider.headers[0])
    assert "x-stainless-raw-response" not in provider.headers[0]
    assert (kept.one().deployment_id, kept.one().variant) == (None, None)


@pytest.mark.parametrize("stream", [False, True])
async def test_towards_the_gateway_the_call_names_itself_and_learns_who_answered(
    provider: Provider, kept: Kept, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setenv("CONTINUUM_GATEWAY_URL", provider.base_url.replace("127.0.0.1", "localhost"))
    async with async_client(provider, default_headers={"x-mine": "1"}) as client:

        @capture(task="support")
        async def handle(text: str) -> Any:
            answer = await client.chat.completions.create(
                model="gpt-4", messages=ASKED, stream=stream, extra_headers={"x-also-mine": "2"}
            )
            return [chunk async for chunk in answer] if stream else answer

        with context(conversation_id="c 1", user_id="Zoë"):
            answer = await handle("hello")

    found = kept.one()
    sent = provider.headers[0]
    assert sent["x-continuum-interaction-id"] == found.id
    assert sent["x-continuum-task"] == "support"
    assert sent["x-continuum-conversation-id"] == "c%201"
    assert sent["x-continuum-user-id"] == "Zo%C3%AB"
    assert (sent["x-mine"], sent["x-also-mine"]) == ("1", "2")
    assert (found.deployment_id, found.variant) == ("deployment-1", "canary")
    assert stream or answer.choices[0].message.content == "You said: Hi"


@pytest.mark.parametrize(
    ("asked", "yes"),
    [
        ("http://127.0.0.1:8787/v1/", True),
        ("http://localhost:8787/v1", True),
        ("http://127.0.0.1:8788/v1", False),
        ("https://127.0.0.1:8787/v1", False),
        ("http://127.0.0.1:8787/other", False),
        ("https://api.openai.com/v1", False),
        ("http://127.0.0.1.evil.example:8787/v1", False),
        ("http://user@evil.example:8787/v1", False),
    ],
)
def test_only_the_gateways_own_address_is_the_gateway(asked: str, yes: bool) -> None:
    assert is_gateway(asked) is yes


def test_capturing_without_the_client_does_not_load_it() -> None:
    program = """
import sys
from continuum.signals.decorator import capture
assert capture(lambda message: message, task="t")("hi") == "hi"
sys.exit("openai" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_importing_the_decorator_loads_nothing_heavy() -> None:
    program = """
import sys
import continuum.signals.decorator, continuum.signals.current, continuum.feedback, continuum.signals.client
import continuum.signals.importer, continuum.signals.summary
sys.exit(", ".join({"openai", "sqlalchemy", "numpy", "aiohttp", "genai_prices", "alembic"} & set(sys.modules)) or 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_cached_and_reasoning_tokens_are_counted(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:
        capture(lambda text: client.chat.completions.create(model="thinker", messages=ASKED), task="support")("Hi")

    found = kept.one()
    assert (found.input_tokens, found.output_tokens, found.cached_tokens, found.reasoning_tokens) == (100, 10, 40, 4)


def test_an_answer_that_was_cut_off_says_why(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:
        capture(lambda text: client.chat.completions.create(model="gpt-4", messages=ASKED, max_tokens=1), task="support")("Hi")

    assert kept.one().tags == {"finish_reason": "length"}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unread_response_is_captured_as_it_is_read(provider: Provider, kept: Kept, stream: bool) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> int:
            unread = client.chat.completions.with_streaming_response.create(model="gpt-4", messages=ASKED, stream=stream)
            async with unread as response:
                return len([part async for part in response.iter_bytes()])

        assert await handle("Hi") > 0

    found = kept.one()
    assert (found.status, found.response) == ("ok", assistant("Yousaid:Hi" if stream else "You said: Hi"))
    assert found.input_tokens == 100


def test_an_unread_response_that_is_not_read_is_no_answer(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> str:
            with client.chat.completions.with_streaming_response.create(model="gpt-4", messages=ASKED) as response:
                return response.headers["x-continuum-variant"]

        assert handle("Hi") == "canary"

    assert kept.one().response == assistant("canary")


def test_the_clients_own_helper_for_streams_is_captured(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> str:
            with client.chat.completions.stream(model="gpt-4", messages=ASKED) as stream:
                return "".join(event.delta for event in stream if event.type == "content.delta")

        assert handle("Hi") == "Yousaid:Hi"

    assert kept.one().response == assistant("Yousaid:Hi")
    assert "stream_options" not in provider.requests[0]


def test_the_client_for_azure_is_captured(provider: Provider, kept: Kept) -> None:
    endpoint = provider.base_url.removesuffix("/v1")
    client: Any = AzureOpenAI(azure_endpoint=endpoint, api_key="test", api_version="2024-10-21", max_retries=0)
    with client:
        capture(lambda text: client.chat.completions.create(model="gpt-4", messages=ASKED), task="support")("Hi")

    assert (kept.one().response, kept.one().provider_response_id) == (assistant("You said: Hi"), "chatcmpl-1")


async def test_a_call_that_is_left_out_tells_the_gateway_to_leave_it_out(
    provider: Provider, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_GATEWAY_URL", provider.base_url)
    async with async_client(provider) as client:

        @capture(task="support", sample_rate=0.0)
        async def handle(text: str) -> Any:
            return await client.chat.completions.create(model="gpt-4", messages=ASKED)

        assert (await handle("Hi")).choices[0].message.content == "You said: Hi"

    assert kept.all() == []
    assert provider.headers[0]["x-continuum-sampled"] == "0"
    assert "x-continuum-interaction-id" not in provider.headers[0]
