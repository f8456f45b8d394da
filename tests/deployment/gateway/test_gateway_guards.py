"""Keys, breakers, shadows and counts in a gateway that serves: a real one, before real servers."""

import asyncio
import re
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from continuum.config import Settings
from continuum.deployment.gateway.gateway import Gateway
from continuum.deployment.routing import RouteTable
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from tests.deployment.provider import Provider

QUESTION = {"model": "gpt-4", "messages": [{"role": "user", "content": "Where is my order?"}]}


async def deployed(store: Store, gateway: Gateway, base_url: str, **fields: Any) -> DeploymentRecord:
    """A deployment that the gateway routes to."""
    values = {"task": "support", "checkpoint_id": "c", "model": "support-v1", "stable_model": "production"}
    record = DeploymentRecord.model_validate(values | {"backend_url": base_url} | fields)
    event = DeploymentEvent(deployment_id=record.id, actor="test", action="deploy")
    await asyncio.to_thread(store.deployments.add, record, event)
    async with asyncio.timeout(10):
        while gateway.routes.routes != RouteTable.of(store.deployments.serving()).routes:
            await asyncio.sleep(0.02)
    return record


async def ask(client: aiohttp.ClientSession, gateway: Gateway, user: str = "ada", **headers: str) -> tuple[int, str]:
    """A status, and who said what."""
    body = QUESTION | {"user": user}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.post(f"{gateway.base_url}/chat/completions", json=body, headers=named) as response:
        answer = await response.json()
    return response.status, answer["choices"][0]["message"]["content"] if response.status == 200 else answer["error"]["message"]


async def counts(client: aiohttp.ClientSession, gateway: Gateway, **headers: str) -> tuple[int, str]:
    async with client.get(gateway.base_url.removesuffix("/v1") + "/metrics", headers=headers) as response:
        return response.status, await response.text()


async def test_a_key_that_is_made_and_revoked_while_the_gateway_serves_opens_and_closes_it(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, production: Provider
) -> None:
    assert (await ask(client, gateway))[0] == 200
    key = (await asyncio.to_thread(store.gateway_keys.create, "web-app", tasks=["support"])).secret.get_secret_value()
    async with asyncio.timeout(10):
        while (await ask(client, gateway))[0] != 401:
            await asyncio.sleep(0.02)

    bearer = f"Bearer {key}"
    assert (await ask(client, gateway, authorization=bearer))[0] == 200
    assert (await ask(client, gateway, authorization=bearer, x_continuum_task="billing"))[0] == 403
    assert (await ask(client, gateway, authorization=bearer + "x"))[0] == 401
    assert (await counts(client, gateway))[0] == 401
    asked = len(production.requests)
    await asyncio.to_thread(store.gateway_keys.revoke, "web-app")
    async with asyncio.timeout(10):
        while (await ask(client, gateway, authorization=bearer))[0] != 401:
            await asyncio.sleep(0.02)

    assert all(key not in str(headers) for headers in production.headers)
    assert len(production.requests) >= asked


async def test_without_keys_a_page_from_elsewhere_cannot_ask_by_a_name_that_it_had_point_here(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, production: Provider
) -> None:
    status, words = await ask(client, gateway, host="evil.example:8787")
    assert status == 403
    assert "localhost" in words
    assert (await counts(client, gateway, host="evil.example"))[0] == 403
    async with client.post(f"{gateway.base_url}/feedback", json={}, headers={"host": "evil.example"}) as response:
        assert response.status == 403
    assert production.requests == []
    assert [(await ask(client, gateway, host=name))[0] for name in ("localhost:8787", "app.internal", "gateway")] == [200] * 3

    # A key is what such a page does not have, and a proxy on this machine may hand on the name that it was asked by.
    key = (await asyncio.to_thread(store.gateway_keys.create, "web-app")).secret.get_secret_value()
    async with asyncio.timeout(10):
        while (await ask(client, gateway, host="evil.example"))[0] != 401:
            await asyncio.sleep(0.02)
    assert (await ask(client, gateway, authorization=f"Bearer {key}", host="gateway.example"))[0] == 200


async def test_who_has_no_key_is_told_that_whatever_else_is_wrong(
    client: aiohttp.ClientSession, store: Store, settings: Settings
) -> None:
    anyones = store.gateway_keys.create("ops").secret.get_secret_value()
    supports = store.gateway_keys.create("web-app", tasks=["support"]).secret.get_secret_value()
    async with Gateway(store, settings, default_task="support") as gateway:
        for path in ("chat/completions", "responses", "embeddings", "models"):
            for authorization, status in (("", 401), (f"Bearer {anyones}", 400), (f"Bearer {supports}", 403)):
                headers = {"x-continuum-task": "no task", "authorization": authorization}
                method = "GET" if path == "models" else "POST"
                async with client.request(method, f"{gateway.base_url}/{path}", json=QUESTION, headers=headers) as response:
                    assert response.status == status, path


async def test_the_list_of_models_takes_a_key_for_any_task(
    client: aiohttp.ClientSession, store: Store, settings: Settings
) -> None:
    key = store.gateway_keys.create("web-app", tasks=["billing"]).secret.get_secret_value()
    async with Gateway(store, settings, default_task="support") as gateway:
        async with client.get(f"{gateway.base_url}/models", headers={"authorization": f"Bearer {key}"}) as response:
            assert response.status == 200
        async with client.get(f"{gateway.base_url}/models") as response:
            assert response.status == 401


async def test_who_asks_too_often_is_told_when_to_come_again(
    client: aiohttp.ClientSession, store: Store, settings: Settings, production: Provider
) -> None:
    key = store.gateway_keys.create("web-app", requests_per_minute=3).secret.get_secret_value()
    async with Gateway(store, settings, default_task="support") as gateway:
        found = [(await ask(client, gateway, authorization=f"Bearer {key}"))[0] for _ in range(5)]
        headers = {"authorization": f"Bearer {key}"}
        async with client.post(f"{gateway.base_url}/chat/completions", json={}, headers=headers) as response:
            waits = response.headers["retry-after"]

    assert found == [200, 200, 200, 429, 429]
    assert 1 <= int(waits) <= 21
    assert len(production.requests) == 3


async def test_a_candidate_that_answers_nobody_is_taken_back_and_no_application_notices(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    record = await deployed(store, gateway, tuned.base_url, traffic=1.0, state=DeploymentState.PROMOTING)
    tuned.status = 500

    found = [await ask(client, gateway, user=f"user-{number}") for number in range(30)]
    async with asyncio.timeout(10):
        while (seen := await asyncio.to_thread(store.deployments.get, record.id)) and seen.state is DeploymentState.PROMOTING:
            await asyncio.sleep(0.02)

    assert found == [(200, "production says hello")] * 30
    assert 10 <= len(tuned.requests) < 30
    event = store.deployments.events(record.id)[-1]
    assert (event.actor, event.action, event.to_traffic) == ("gateway", "rollback", 0.0)
    assert event.evidence["errors"] == event.evidence["requests"] == 10
    assert "Where is my order" not in str(event)


async def test_what_a_failing_server_says_does_not_reach_the_evidence(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store
) -> None:
    async def quote(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": f"cannot read {await request.text()}"}})

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", quote)])
    async with TestServer(app) as quoting:
        url = str(quoting.make_url("/v1"))
        record = await deployed(store, gateway, url, traffic=1.0, state=DeploymentState.PROMOTING)
        for _ in range(12):
            async with client.post(f"{gateway.base_url}/chat/completions", json=QUESTION) as response:
                await response.read()
        async with asyncio.timeout(10):
            while len(await asyncio.to_thread(store.deployments.events, record.id)) < 2:
                await asyncio.sleep(0.02)

    evidence = store.deployments.events(record.id)[-1].evidence
    assert evidence["examples"] == ["its answer ended with an error"] * 5


async def test_a_champion_that_answers_nobody_stays_the_champion_and_is_told_of(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    record = await deployed(store, gateway, tuned.base_url, traffic=1.0, state=DeploymentState.LIVE)
    tuned.status = 500

    found = [await ask(client, gateway) for _ in range(15)]
    async with asyncio.timeout(10):
        while len(await asyncio.to_thread(store.deployments.events, record.id)) < 2:
            await asyncio.sleep(0.02)

    assert found == [(200, "production says hello")] * 15
    assert store.deployments.events(record.id)[-1].action == "breaker"
    champion = store.deployments.champion("support")
    assert champion is not None
    assert champion.id == record.id
    assert 'continuum_gateway_breakers_open{arm="stable",task="support"} 1.0' in (await counts(client, gateway))[1]


async def test_a_shadow_answers_beside_the_one_that_is_given(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    record = await deployed(store, gateway, tuned.base_url, traffic=0.0, shadow=1.0, strategy="shadow")

    found = [await ask(client, gateway, user=f"user-{number}") for number in range(3)]
    async with asyncio.timeout(10):
        while (await asyncio.to_thread(store.shadow_answers.counts, record.id)).get("ok") != 3:
            await asyncio.sleep(0.02)
    assert await gateway.flush()

    assert found == [(200, "production says hello")] * 3
    for answer in store.shadow_answers.of(record.id):
        interaction = store.interactions.get(answer.interaction_id)
        assert interaction is not None
        assert interaction.response is not None
        assert answer.answer is not None
        assert (interaction.response.content, answer.answer.content) == ("production says hello", "tuned says hello")
        assert interaction.variant == "stable"


async def test_nobody_waits_for_a_shadow_that_does_not_come(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    await deployed(store, gateway, tuned.base_url, traffic=0.0, shadow=1.0, strategy="shadow")
    tuned.pause_s = 600

    async with asyncio.timeout(60):
        found = [await ask(client, gateway, user=f"user-{number}") for number in range(3)]
        while len(tuned.requests) < 3:
            await asyncio.sleep(0.02)

    assert found == [(200, "production says hello")] * 3


async def test_requests_are_counted_by_the_tasks_that_the_store_knows(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store
) -> None:
    await ask(client, gateway)
    for number in range(3):
        await ask(client, gateway, x_continuum_task=f"made-up-{number}")
    _, text = await counts(client, gateway)

    def counted(task: str) -> int:
        found = re.findall(rf'continuum_gateway_requests_total{{arm="production",status="200",task="{task}"}} (\d+)', text)
        return int(found[0]) if found else 0

    assert counted("support") == 1, "the gateway's own task has its name from the first request on"
    assert counted("other") == 3
    assert await gateway.flush()
    async with asyncio.timeout(10):
        while not counted("made-up-0"):
            await ask(client, gateway, x_continuum_task="made-up-0")
            await asyncio.sleep(0.05)
            _, text = await counts(client, gateway)
