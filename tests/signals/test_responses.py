import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from continuum.records import Message
from continuum.signals.decorator import capture
from tests.builders import assistant, user
from tests.signals.conftest import Kept, Provider

TOOLS: Any = [{"type": "function", "name": "find_order", "parameters": {"type": "object", "properties": {}}, "strict": False}]


def async_client(provider: Provider) -> Any:
    return AsyncOpenAI(base_url=provider.base_url, api_key="test", max_retries=0)


def sync_client(provider: Provider) -> Any:
    return OpenAI(base_url=provider.base_url, api_key="test", max_retries=0)


async def test_a_response_is_captured_with_its_instructions_its_tokens_and_its_cost(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            response = await client.responses.create(model="gpt-4o-mini", instructions="Be kind.", input=text)
            return response.output_text

        assert await handle("Hi") == "You said: Hi"

    found = kept.one()
    assert found.messages == (Message(role="system", content="Be kind."), user("Hi"))
    assert found.response == assistant("You said: Hi")
    assert (found.provider_response_id, found.model) == ("resp_1", "gpt-4o-mini")
    assert (found.input_tokens, found.output_tokens, found.cached_tokens, found.reasoning_tokens) == (100, 10, 40, 4)
    assert found.cost_usd == pytest.approx(60 * 0.15e-6 + 40 * 0.075e-6 + 10 * 0.6e-6)
    assert found.tags == {}


def test_the_calls_of_tools_and_what_they_gave_become_chat_messages(provider: Provider, kept: Kept) -> None:
    asked: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "Where is order 7?"}]}]
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> str:
            first = client.responses.create(model="gpt-4o-mini", input=asked, tools=TOOLS)
            result = {"type": "function_call_output", "call_id": first.output[1].call_id, "output": "shipped"}
            return client.responses.create(model="gpt-4o-mini", input=[*asked, *first.output, result]).output_text

        handle("ignored, the model was asked something else")

    found = kept.one()
    assert [message.role for message in found.messages] == ["user", "assistant", "tool"]
    assert found.messages[0] == user("Where is order 7?")
    assert found.messages[1].action == 'find_order({"number":7})'
    assert (found.messages[2].content, found.messages[2].tool_call_id) == ("shipped", "call_1")
    assert (found.input_tokens, found.output_tokens) == (200, 20)


def test_a_response_that_calls_a_tool_has_it_in_its_message(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:
        capture(lambda text: client.responses.create(model="gpt-4o-mini", input=text, tools=TOOLS), task="support")("Hi")

    found = kept.one().response
    assert found is not None
    assert (found.content, found.action) == (None, 'find_order({"number":7})')
    assert found.tool_calls is not None
    assert found.tool_calls[0].id == "call_1"


def test_a_structured_response_is_captured(provider: Provider, kept: Kept) -> None:
    class Anything(BaseModel):
        words: str = ""

    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> Any:
            return client.responses.parse(model="gpt-4o-mini", input=text, tools=TOOLS, text_format=Anything)

        handle("hello")

    assert kept.one().provider_response_id == "resp_1"
    assert kept.one().messages == (user("hello"),)


@pytest.mark.parametrize("tools", [[], TOOLS], ids=["words", "tools"])
async def test_a_stream_of_events_is_put_together(provider: Provider, kept: Kept, tools: Any) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> AsyncIterator[str]:
            async for event in await client.responses.create(model="gpt-4o-mini", input=text, tools=tools, stream=True):
                if event.type == "response.output_text.delta":
                    yield event.delta

        words = [word async for word in handle("Hi")]

    found = kept.one()
    assert found.response is not None
    assert words == ([] if tools else ["You ", "said: ", "Hi "])
    assert found.response.action == ('find_order({"number":7})' if tools else "You said: Hi")
    assert (found.provider_response_id, found.cached_tokens, found.reasoning_tokens) == ("resp_1", 40, 4)
    assert found.latency_ms is not None
    assert found.time_to_first_chunk_ms is not None
    assert 0 < found.time_to_first_chunk_ms < found.latency_ms


def test_the_clients_own_helper_for_streams_is_captured(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> str:
            with client.responses.stream(model="gpt-4o-mini", input=text) as stream:
                return stream.get_final_response().output_text

        assert handle("Hi") == "You said: Hi"

    assert kept.one().response == assistant("You said: Hi")
    assert kept.one().input_tokens == 100


async def test_the_asynchronous_helper_for_streams_is_captured(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            async with client.responses.stream(model="gpt-4o-mini", input=text) as stream:
                return (await stream.get_final_response()).output_text

        await handle("Hi")

    assert kept.one().response == assistant("You said: Hi")


def test_a_stream_that_is_dropped_keeps_what_was_said(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:
        stream = capture(lambda text: client.responses.create(model="gpt-4o-mini", input=text, stream=True), task="support")("Hi")
        for event in stream:
            if event.type == "response.output_text.delta":
                break
        stream.close()
        del stream
        gc.collect()

    found = kept.one()
    assert (found.status, found.response, found.model) == ("cancelled", assistant("You "), "gpt-4o-mini")
    assert (found.provider_response_id, found.input_tokens, found.cost_usd) == ("resp_1", None, None)


async def test_a_raw_response_stays_raw(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> Any:
            return await client.responses.with_raw_response.create(model="gpt-4o-mini", input=text)

        raw = await handle("Hi")

    assert raw.parse().output_text == "You said: Hi"
    assert kept.one().response == assistant("You said: Hi")


@pytest.mark.parametrize("stream", [False, True])
def test_an_unread_response_is_captured_as_it_is_read(provider: Provider, kept: Kept, stream: bool) -> None:
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> str:
            unread = client.responses.with_streaming_response.create(model="gpt-4o-mini", input=text, stream=stream)
            with unread as response:
                return "".join(line for line in response.iter_lines())

        text = handle("Hi")

    assert "response.completed" in text if stream else '"object": "response"' in text
    found = kept.one()
    assert (found.response, found.cached_tokens) == (assistant("You said: Hi"), 40)


async def test_an_unread_response_may_be_parsed_by_the_client_itself(provider: Provider, kept: Kept) -> None:
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> str:
            unread = client.responses.with_streaming_response.create(model="gpt-4o-mini", input=text)
            async with unread as response:
                return (await response.parse()).output_text

        assert await handle("Hi") == "You said: Hi"

    assert kept.one().provider_response_id == "resp_1"


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_kept_as_one(provider: Provider, kept: Kept, stream: bool) -> None:
    with sync_client(provider) as client:
        answer = capture(lambda text: client.responses.create(model="shy", input=text, stream=stream), task="support")("Hi")
        assert not stream or list(answer)

    found = kept.one().response
    assert found is not None
    assert (found.content, found.model_extra) == (None, {"refusal": "I would rather not."})


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_that_was_cut_off_says_why(provider: Provider, kept: Kept, stream: bool) -> None:
    with sync_client(provider) as client:
        answer = capture(lambda text: client.responses.create(model="short", input=text, stream=stream), task="support")("Hi")
        assert not stream or list(answer)

    assert (kept.one().status, kept.one().tags) == ("ok", {"finish_reason": "length"})


def test_what_the_provider_remembers_is_named(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:

        @capture(task="support")
        def handle(text: str) -> None:
            client.responses.create(model="gpt-4o-mini", input=text, previous_response_id="resp_0", conversation="conv_1")

        handle("Hi")

    assert kept.one().tags == {"previous_response_id": "resp_0"}
    assert kept.one().conversation_id == "conv_1"


def test_an_error_of_the_provider_rises_as_the_clients_own(provider: Provider, kept: Kept) -> None:
    with sync_client(provider) as client:
        with pytest.raises(openai.BadRequestError, match="out of order"):
            capture(lambda text: client.responses.create(model="broken", input=text), task="support")("Hi")

    assert (kept.one().status, kept.one().messages) == ("error", (user("Hi"),))


@pytest.mark.parametrize("stream", [False, True])
async def test_towards_the_gateway_the_call_names_itself(
    provider: Provider, kept: Kept, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setenv("CONTINUUM_GATEWAY_URL", provider.base_url)
    async with async_client(provider) as client:

        @capture(task="support")
        async def handle(text: str) -> Any:
            answer = await client.responses.create(model="gpt-4o-mini", input=text, stream=stream)
            return [event async for event in answer][-1].response if stream else answer

        assert (await handle("Hi")).output_text == "You said: Hi"

    found = kept.one()
    assert provider.headers[0]["x-continuum-interaction-id"] == found.id
    assert (found.deployment_id, found.variant) == ("deployment-1", "canary")


@pytest.mark.slow
def test_an_app_that_never_asks_for_responses_does_not_load_them() -> None:
    program = """
import sys, openai
from continuum.signals.decorator import capture
client = openai.OpenAI(base_url="http://127.0.0.1:1", api_key="test", max_retries=0)
capture(lambda text: text, task="t")("hi")
loaded = "openai.resources.responses.responses" in sys.modules
client.chat, client.responses
wrapped = client.responses.create.__func__.__code__.co_filename.endswith("openai_hook.py")
sys.exit(f"loaded {loaded}, wrapped {wrapped}" if loaded or not wrapped else 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
