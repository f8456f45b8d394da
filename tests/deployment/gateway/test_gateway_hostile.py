import json

import aiohttp
import pytest
from yarl import URL

from continuum.config import Settings
from continuum.deployment.gateway.gateway import Gateway
from continuum.deployment.gateway.request import Limits
from continuum.errors import ConfigurationError
from continuum.store.database import Store
from tests.deployment.asking import QUESTION, ask, deploy_row, health, routes_are_read
from tests.deployment.provider import Provider


async def test_the_app_key_stays_and_the_upstream_gets_its_own(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, production: Provider, tuned: Provider
) -> None:
    hostile = {"Authorization": "Bearer sk-of-the-app", "Cookie": "a=b", "Connection": "close, X-Secret", "X-Secret": "s"}
    await ask(client, gateway, **hostile)
    assert production.headers[0]["authorization"] == "Bearer sk-upstream"
    assert not {"cookie", "x-secret"} & production.headers[0].keys()
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    response = await ask(client, gateway, **hostile)
    assert "authorization" not in tuned.headers[0]
    assert "set-cookie" not in response.headers
    assert response.headers["x-request-id"] == "req-1"


async def test_a_request_cannot_say_where_it_is_sent(
    client: aiohttp.ClientSession, gateway: Gateway, production: Provider, tuned: Provider
) -> None:
    body = {**QUESTION, "base_url": tuned.base_url, "api_base": tuned.base_url, "model": tuned.base_url + "/chat/completions"}
    response = await ask(client, gateway, body, x_continuum_deployment=tuned.base_url, Host=str(URL(tuned.base_url).authority))
    assert response.status == 200
    assert len(production.requests) == 1
    assert tuned.requests == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (json.dumps(QUESTION).encode("utf-16"), 400),
        (json.dumps(QUESTION).encode("utf-32-le"), 400),
        (b"[" * 100_000, 400),
        (b'{"messages": []}', 400),
        (b'{"messages": "hello"}', 400),
        (b'{"model": "gpt-4"}', 400),
        (b'{"messages": ["' + b"x" * 300_000 + b'"]}', 413),
    ],
    ids=["torn", "empty", "a list", "not UTF-8", "UTF-16", "UTF-32", "a deep nest", "no messages", "words", "nothing", "huge"],
)
async def test_a_body_that_is_no_chat_completion_is_refused_in_openai_form(
    client: aiohttp.ClientSession, store: Store, settings: Settings, production: Provider, body: bytes, status: int
) -> None:
    async with Gateway(store, settings, default_task="support", limits=Limits(body_bytes=200_000)) as gateway:
        headers = {"content-type": "application/json"}
        async with client.post(f"{gateway.base_url}/chat/completions", data=body, headers=headers) as response:
            assert response.status == status
            assert (await response.json())["error"]["type"] == "invalid_request_error"
    assert production.requests == []


async def test_a_form_that_a_web_page_could_send_is_refused(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    async with client.post(f"{gateway.base_url}/chat/completions", data=json.dumps(QUESTION)) as response:
        assert response.status == 415


@pytest.mark.parametrize("task", ["../../etc", "a b", ".hidden", "x" * 101])
async def test_a_name_that_cannot_be_a_task_is_refused(client: aiohttp.ClientSession, gateway: Gateway, task: str) -> None:
    response = await ask(client, gateway, x_continuum_task=task)
    assert response.status == 400
    assert "task name" in (await response.json())["error"]["message"]


async def test_a_request_without_a_task_is_told_how_to_name_one(
    client: aiohttp.ClientSession, store: Store, settings: Settings
) -> None:
    async with Gateway(store, settings) as gateway:
        response = await ask(client, gateway)
    assert response.status == 400
    assert "x-continuum-task" in (await response.json())["error"]["message"]


async def test_a_gateway_whose_upstream_is_itself_says_so_instead_of_going_round(
    client: aiohttp.ClientSession, store: Store, settings: Settings, unused_tcp_port: int
) -> None:
    own = settings.model_copy(update={"upstream_base_url": f"http://127.0.0.1:{unused_tcp_port}/v1"})
    async with Gateway(store, own, default_task="support", port=unused_tcp_port) as gateway:
        response = await ask(client, gateway)
        async with client.get(f"{gateway.base_url}/models") as models:
            assert (models.status, "asked by itself" in await models.text()) == (502, False)
        async with client.post(f"{gateway.base_url}/embeddings", json={"model": "e", "input": "hello"}) as embedded:
            assert embedded.status == 508
    assert response.status == 508


async def test_messages_that_cannot_be_kept_are_served_and_counted(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store
) -> None:
    response = await ask(client, gateway, {"model": "gpt-4", "messages": ["not a message"]})
    assert response.status == 200
    assert await gateway.flush()
    assert (await health(client, gateway))["lost"] == 1


async def test_the_models_an_app_may_name_are_those_of_production(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    async with client.get(f"{gateway.base_url}/models") as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["gpt-4"]


async def test_a_port_that_is_taken_is_an_error_that_says_so(store: Store, settings: Settings, gateway: Gateway) -> None:
    port = int(gateway.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
    with pytest.raises(ConfigurationError, match="cannot listen"):
        async with Gateway(store, settings, port=port):
            pass


@pytest.mark.parametrize("path", ["/v1/../../etc/passwd", "/.env", "/v1/chat/completions"])
async def test_who_asks_for_what_is_not_there_is_counted_as_refused(
    client: aiohttp.ClientSession, gateway: Gateway, path: str
) -> None:
    root = gateway.base_url.removesuffix("/v1")
    async with client.get(URL(root + path, encoded=True)) as response:
        assert response.status in (404, 405)
    async with client.get(f"{root}/metrics") as response:
        assert 'continuum_gateway_refused_total{reason="no_path"} 1.0' in await response.text()
