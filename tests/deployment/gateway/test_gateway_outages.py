import asyncio
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import create_engine, text

from continuum.config import Settings
from continuum.deployment.gateway.gateway import Gateway
from continuum.serving_records import DeploymentState
from continuum.store.database import Store, open_store
from tests.builders import an_interaction
from tests.deployment.asking import QUESTION, ask, deploy_row, routes_are_read, store_is_missed, the_interaction
from tests.deployment.provider import Provider


async def test_while_the_tuned_model_is_down_production_answers_and_the_record_says_why(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    await tuned.stop()
    response = await ask(client, gateway)
    assert response.status == 200
    assert (await response.json())["choices"][0]["message"]["content"] == "production says hello"
    assert response.headers["x-continuum-variant"] == "stable"
    found = await the_interaction(store, gateway, response)
    assert (found.variant, found.model) == ("stable", "gpt-4")
    assert found.tags["fell_back_from"] == "support-v1"


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500])
@pytest.mark.parametrize("stream", [False, True])
async def test_whatever_a_tuned_model_cannot_answer_production_gets(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider, status: int, stream: bool
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    tuned.status = status
    response = await ask(client, gateway, {**QUESTION, "stream": stream})
    assert response.status == 200
    assert "production" in await response.text()


async def test_a_stream_that_breaks_off_is_not_finished_by_another_model_nor_passed_off_as_whole(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider, production: Provider
) -> None:
    deployment = deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    tuned.breaks_after = 2
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(client, gateway, {**QUESTION, "stream": True})
    assert production.requests == []
    assert await gateway.flush()
    (found,) = store.interactions.scan("support", status="error")
    assert (found.deployment_id, found.variant) == (deployment.id, "canary")
    assert found.error == "support-v1 broke off its answer"
    assert found.response is not None
    assert found.response.text.split() == ["tuned", "says"]


async def test_a_stream_that_breaks_before_its_first_piece_is_answered_by_production(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    tuned.breaks_after = 0
    assert "production" in await (await ask(client, gateway, {**QUESTION, "stream": True})).text()


async def test_an_error_of_production_reaches_the_app_as_it_is_and_is_captured_as_one(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, production: Provider
) -> None:
    production.status = 429
    response = await ask(client, gateway)
    assert response.status == 429
    found = await the_interaction(store, gateway, response)
    assert (found.status, found.response) == ("error", None)


async def test_when_nobody_answers_the_app_is_told_in_its_own_form(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, production: Provider
) -> None:
    await production.stop()
    response = await ask(client, gateway)
    assert response.status == 502
    assert "production cannot be reached" in (await response.json())["error"]["message"]
    assert (await the_interaction(store, gateway, response)).status == "error"


async def test_where_nobody_answers_the_failure_is_also_that_of_the_model_whose_turn_it_was(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, production: Provider, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    await production.stop()
    await tuned.stop()
    response = await ask(client, gateway)
    assert response.status == 502
    found = await the_interaction(store, gateway, response)
    assert (found.status, found.tags["fell_back_from"]) == ("error", "support-v1")


async def test_without_a_production_model_the_message_says_what_to_set(
    client: aiohttp.ClientSession, store: Store, settings: Settings
) -> None:
    alone = settings.model_copy(update={"upstream_base_url": None})
    async with Gateway(store, alone, default_task="support") as gateway:
        response = await ask(client, gateway)
    assert response.status == 503
    assert "CONTINUUM_UPSTREAM_BASE_URL" in (await response.json())["error"]["message"]


async def test_an_app_that_goes_away_in_the_middle_leaves_what_it_was_told(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, production: Provider
) -> None:
    production.says, production.pause_s = "word " * 200, 0.01
    async with client.post(f"{gateway.base_url}/chat/completions", json={**QUESTION, "stream": True}) as response:
        await response.content.readany()
        response.close()
    async with asyncio.timeout(10):
        while not (found := list(store.interactions.scan("support", status="cancelled"))):
            await asyncio.sleep(0.05)
    assert found[0].response is not None
    assert 0 < len(found[0].response.text) < 1000


async def test_rolling_back_under_traffic_fails_no_request(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    deployment = deploy_row(store, tuned.base_url, 1.0, state=DeploymentState.LIVE)
    await routes_are_read(gateway, store)
    answers: list[str] = []
    stop = asyncio.Event()

    async def keep_asking(user: str) -> None:
        while not stop.is_set():
            response = await ask(client, gateway, {**QUESTION, "user": user})
            answers.append((await response.json())["choices"][0]["message"]["content"])

    asking = [asyncio.create_task(keep_asking(f"u{n}")) for n in range(8)]
    await asyncio.sleep(0.3)
    await deployment.rollback(reason="complaints")
    await routes_are_read(gateway, store)
    rolled_back_at = len(answers) + len(asking)  # each may have one question on its way
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*asking)
    assert answers[0] == "tuned says hello"
    assert set(answers[rolled_back_at:]) == {"production says hello"}
    assert set(answers) == {"tuned says hello", "production says hello"}


# --- the store ---------------------------------------------------------------------------------------------------------


async def test_while_the_store_is_down_the_last_known_route_serves_on(
    client: aiohttp.ClientSession, store: Store, settings: Settings, home: Path, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    async with Gateway(store, settings, default_task="support") as gateway:
        home.rename(home.with_name("unmounted"))
        store.close()
        await store_is_missed(client, gateway)
        response = await ask(client, gateway)
        assert (await response.json())["choices"][0]["message"]["content"] == "tuned says hello"
        await tuned.stop()
        response = await ask(client, gateway)
        assert (await response.json())["choices"][0]["message"]["content"] == "production says hello"


@pytest.mark.slow
async def test_routes_and_captures_on_postgres_until_the_database_goes_away(
    client: aiohttp.ClientSession, postgres_url: str, settings: Settings, tuned: Provider
) -> None:
    admin = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg2://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE gateway_test"))
    store = open_store(postgres_url.replace("/postgres?", "/gateway_test?"))
    async with Gateway(store, settings, default_task="support") as gateway:
        deployment = deploy_row(store, tuned.base_url, 1.0)
        await routes_are_read(gateway, store)
        response = await ask(client, gateway, {**QUESTION, "messages": [{"role": "user", "content": "nul \x00 and \ud800"}]})
        found = await the_interaction(store, gateway, response)
        assert (found.deployment_id, found.variant) == (deployment.id, "canary")
        assert found.messages[0].text == "nul \ufffd and \ufffd"
        with admin.connect() as connection:
            connection.execute(text("DROP DATABASE gateway_test WITH (FORCE)"))
        await store_is_missed(client, gateway)
        response = await ask(client, gateway)
        assert response.headers["x-continuum-variant"] == "canary"
        assert (await response.json())["choices"][0]["message"]["content"] == "tuned says hello"
    store.close()
    admin.dispose()


async def test_what_a_dead_gateway_left_on_disk_is_stored_by_the_next_one_before_any_request(
    store: Store, settings: Settings
) -> None:
    left = an_interaction()
    draft = {**left.model_dump(mode="json"), "started_ns": int(left.started_at.timestamp() * 1e9)}
    program = (
        "import json, os, sys\n"
        "from continuum.errors import StoreError\n"
        "from continuum.spool.spool import Spool\n"
        "def down(): raise StoreError('it is away')\n"
        "assert Spool(down).take(json.loads(sys.argv[1]), redact='off')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, json.dumps(draft)], check=False, timeout=60)
    assert store.interactions.get(left.id) is None
    async with Gateway(store, settings, default_task="support"), asyncio.timeout(20):
        while store.interactions.get(left.id) is None:
            await asyncio.sleep(0.02)
