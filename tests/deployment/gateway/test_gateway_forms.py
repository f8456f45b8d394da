"""All routes of the gateway, asked by OpenAI's own client where it has them."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI, NotFoundError

from continuum.config import Settings
from continuum.deployment.gateway.gateway import Gateway
from continuum.deployment.gateway.served import ARM
from continuum.records import Interaction
from continuum.spool import headers
from continuum.store.database import Store
from tests.deployment.asking import QUESTION, ask, deploy_row, routes_are_read, the_interaction
from tests.deployment.provider import Provider


@pytest.fixture
async def openai(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key="sk-app", max_retries=0) as opened:
        yield opened


async def the_only(store: Store, gateway: Gateway) -> Interaction:
    assert await gateway.flush()
    (found,) = store.interactions.scan("support")
    return found


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion_is_captured_as_the_question_and_the_answer_that_it_is(
    openai: AsyncOpenAI, gateway: Gateway, store: Store, stream: bool
) -> None:
    made: Any = await openai.completions.create(model="gpt-4", prompt="Say hello", user="ada", stream=stream)
    text = "".join([chunk.choices[0].text async for chunk in made]) if stream else made.choices[0].text
    found = await the_only(store, gateway)
    assert text.split() == ["production", "says", "hello"]
    assert [(message.role, message.text.strip()) for message in found.conversation] == [
        ("user", "Say hello"),
        ("assistant", "production says hello"),
    ]
    assert found.provider_response_id == "cmpl-1"


async def test_each_form_has_its_shadow_in_the_same_form_and_what_is_no_interaction_has_none(
    openai: AsyncOpenAI, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    deployment = deploy_row(store, tuned.base_url, 0.0, shadow=1.0)
    await routes_are_read(gateway, store)

    await openai.completions.create(model="gpt-4", prompt=["one", "two"])
    await openai.embeddings.create(model="gpt-4", input="hello")
    await openai.completions.create(model="gpt-4", prompt="Say hello")
    await openai.responses.create(model="gpt-4", input="Say hello")
    async with asyncio.timeout(10):
        while (await asyncio.to_thread(store.shadow_answers.counts, deployment.id)).get("ok") != 2:
            await asyncio.sleep(0.02)
    assert await gateway.flush()

    assert [(request.get("prompt"), request.get("input")) for request in tuned.requests] == [
        ("Say hello", None),
        (None, "Say hello"),
    ]
    assert {request["model"] for request in tuned.requests} == {"support-v1"}
    beside = {answer.interaction_id: answer.answer for answer in store.shadow_answers.of(deployment.id)}
    kept = {one.id for one in store.interactions.scan("support")}
    assert beside.keys() == kept
    assert [answer.text for answer in beside.values() if answer is not None] == ["tuned says hello"] * 2


async def test_prompts_that_are_no_single_text_pass_through_and_are_no_interaction(
    openai: AsyncOpenAI, gateway: Gateway, store: Store, production: Provider
) -> None:
    for prompt in (["one", "two"], [1, 2, 3], [[1, 2], [3]]):
        await openai.completions.create(model="gpt-4", prompt=prompt)  # type: ignore[arg-type]
    assert await gateway.flush()
    assert [request["prompt"] for request in production.requests] == [["one", "two"], [1, 2, 3], [[1, 2], [3]]]
    assert list(store.interactions.scan("support")) == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_is_captured_as_the_chat_that_it_stands_for(
    openai: AsyncOpenAI, gateway: Gateway, store: Store, stream: bool
) -> None:
    made: Any = await openai.responses.create(model="gpt-4", instructions="Be brief.", input="Hello?", stream=stream)
    events = [event.type async for event in made] if stream else []
    found = await the_only(store, gateway)
    assert events[-1:] == (["response.completed"] if stream else [])
    assert [(message.role, message.text) for message in found.conversation] == [
        ("system", "Be brief."),
        ("user", "Hello?"),
        ("assistant", "production says hello"),
    ]
    assert (found.provider_response_id, found.input_tokens, found.output_tokens) == ("resp-1", 9, 4)


async def test_a_response_is_split_like_a_chat_and_one_that_only_production_can_go_on_with_is_not(
    openai: AsyncOpenAI, gateway: Gateway, store: Store, tuned: Provider, production: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    tools: Any = [{"type": "web_search"}]
    assert (await openai.responses.create(model="gpt-4", input="Hello?")).output_text == "tuned says hello"
    only_production: list[dict[str, Any]] = [{"previous_response_id": "resp-0"}, {"conversation": "conv-1"}, {"tools": tools}]
    for asked in only_production:
        made = await openai.responses.create(model="gpt-4", input="Hello?", **asked)
        assert made.output_text == "production says hello"
    assert await gateway.flush()
    assert store.interactions.counts_by("support", "variant") == {"canary": 1, "stable": 3}
    assert tuned.requests[0]["model"] == "support-v1"


async def test_a_server_without_the_newer_route_is_not_broken_for_that(
    client: aiohttp.ClientSession, openai: AsyncOpenAI, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    tuned.status = 404
    for _ in range(15):
        assert (await openai.responses.create(model="gpt-4", input="Hello?")).output_text == "production says hello"
    tuned.status = 200
    response = await ask(client, gateway)
    assert (await response.json())["choices"][0]["message"]["content"] == "tuned says hello"


async def test_embeddings_are_productions_and_are_not_captured(
    openai: AsyncOpenAI, gateway: Gateway, store: Store, tuned: Provider, production: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    made = await openai.embeddings.create(model="e", input="words", encoding_format="float")
    assert made.data[0].embedding == [0.5, 0.25]
    assert await gateway.flush()
    assert list(store.interactions.scan("support")) == []
    assert production.headers[0]["authorization"] == "Bearer sk-upstream"


async def test_the_models_are_those_that_a_request_may_name_and_each_is_told_of(
    openai: AsyncOpenAI, client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 0.1)
    await routes_are_read(gateway, store)
    assert [model.id async for model in openai.models.list()] == ["gpt-4"]
    assert (await openai.models.retrieve("gpt-4")).id == "gpt-4"
    for name in ("support-v1", "meta-llama/Llama-3-8B", "gpt-4/../../files"):
        with pytest.raises(NotFoundError, match="production lists no model"):
            await openai.models.retrieve(name)
    async with client.get(f"{gateway.base_url}/models/gpt%2D4?verbose=1") as response:
        assert (await response.json())["id"] == "gpt-4"
    async with client.delete(f"{gateway.base_url}/models/gpt-4") as response:
        assert response.status == 405


async def test_the_gateway_says_that_it_is_ready_and_what_it_has_not_got(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    root = gateway.base_url.removesuffix("/v1")
    for method, path, status in [
        ("GET", "/readyz", 200),
        ("GET", "/healthz?verbose=1", 200),
        ("HEAD", "/healthz", 200),
        ("POST", "/healthz", 405),
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/files", 404),
        ("GET", "/", 404),
        ("DELETE", "/v1/models", 405),
    ]:
        async with client.request(method, root + path) as response:
            assert response.status == status, path


async def test_the_page_on_the_gateway_names_paths_that_are_served_and_headers_that_there_are(
    client: aiohttp.ClientSession, gateway: Gateway
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    named = set(re.findall(r"`(GET|POST) (/[\w/]+)`", page))
    assert len(named) >= 10
    for method, path in named:
        async with client.request(method, gateway.base_url.removesuffix("/v1") + path.replace("ID", "gpt-4")) as response:
            assert response.status == (200 if method == "GET" else 415), path
    known = {value for value in vars(headers).values() if isinstance(value, str) and value.startswith(headers.PREFIX)} | {ARM}
    assert set(re.findall(r"x-continuum-[a-z-]+", page)) == known - {headers.PREFIX}


@pytest.mark.parametrize("arm", ["canary", "stable", "production"])
async def test_a_key_that_may_names_the_arm_and_its_calls_are_marked(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider, arm: str
) -> None:
    may = store.gateway_keys.create("tester", may_override=True).secret.get_secret_value()
    may_not = store.gateway_keys.create("app").secret.get_secret_value()
    deploy_row(store, tuned.base_url, 0.0)
    await routes_are_read(gateway, store)
    refused = await ask(client, gateway, authorization=f"Bearer {may_not}", x_continuum_arm=arm)
    assert refused.status == 403
    response = await ask(client, gateway, authorization=f"Bearer {may}", x_continuum_arm=arm)
    says = "tuned" if arm == "canary" else "production"
    assert (await response.json())["choices"][0]["message"]["content"] == f"{says} says hello"
    assert (await the_interaction(store, gateway, response)).tags["arm_named"] == arm
    assert (await ask(client, gateway, authorization=f"Bearer {may}", x_continuum_arm="evil")).status == 400


async def test_without_keys_nobody_names_the_arm_unless_the_gateway_was_told_so(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, settings: Settings, tuned: Provider
) -> None:
    assert (await ask(client, gateway, x_continuum_arm="stable")).status == 403
    async with Gateway(store, settings, default_task="support", override=True) as open_one:
        assert (await ask(client, open_one, x_continuum_arm="stable")).status == 200
        assert (await ask(client, open_one, x_continuum_arm="canary")).status == 409
        deploy_row(store, tuned.base_url, 0.0)
        await routes_are_read(open_one, store)
        assert (await ask(client, open_one, x_continuum_arm="canary")).status == 200


async def test_beyond_loopback_the_gateway_does_not_start_without_a_key(store: Store, settings: Settings) -> None:
    everywhere = "0.0.0.0"  # noqa: S104
    with pytest.raises(ValueError, match="continuum keys create"):
        async with Gateway(store, settings, host=everywhere):
            pass
    async with Gateway(store, settings, host=everywhere, keys=False):
        pass
    store.gateway_keys.create("app")
    async with Gateway(store, settings, host=everywhere):
        pass


async def test_beyond_loopback_without_keys_the_gateway_warns_once_for_all_its_workers(
    store: Store, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    everywhere = "0.0.0.0"  # noqa: S104
    async with Gateway(store, settings, host=everywhere, keys=False):
        pass
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("continuum.deployment")]
    assert said.startswith("WARNING: listening on 0.0.0.0")
    assert "nobody is asked for a key" in said
    caplog.clear()
    store.gateway_keys.create("app")
    async with Gateway(store, settings, host=everywhere, keys=False, worker=(1, 2)), Gateway(store, settings, host=everywhere):
        pass
    async with Gateway(store, settings, keys=False):
        pass
    assert "WARNING" not in caplog.text


async def test_the_body_goes_on_as_it_came_where_the_model_need_not_change(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    odd = {**QUESTION, "model": "gpt-4", "logit_bias": {"1": -100}, "metadata": {"a": "\ud800", "big": 2**70}}
    await ask(client, gateway, odd)
    assert tuned.requests[0] == {**odd, "model": "support-v1"}
