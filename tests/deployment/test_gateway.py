import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from sqlalchemy import create_engine, text

from continuum import capture, context, interaction
from continuum.config import Settings
from continuum.deployment.door import Limits
from continuum.deployment.gateway import Gateway, announcement
from continuum.deployment.handle import Deployment
from continuum.deployment.routing import RouteTable
from continuum.errors import ConfigurationError
from continuum.records import Interaction
from continuum.serving_records import DeploymentEvent, DeploymentRecord
from continuum.spool.spool import flush
from continuum.spool.users import hashed_user, user_key
from continuum.store.database import Store, open_store
from tests.deployment.provider import Provider

QUESTION = {"model": "gpt-4", "messages": [{"role": "user", "content": "Where is my order?"}]}


@pytest.fixture
async def gateway(store: Store, settings: Settings) -> AsyncIterator[Gateway]:
    async with Gateway(store, settings, default_task="support") as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def deploy_row(store: Store, base_url: str, traffic: float) -> Deployment:
    """A deployment without a checkpoint behind it, for tests of the gateway alone."""
    record = DeploymentRecord(
        task="support",
        checkpoint_id="c",
        model="support-v1",
        stable_model="production",
        backend_url=base_url,
        traffic=traffic,
        ramp_schedule=(0.05, 0.25, 1.0),
    )
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="test", action="deploy", to_traffic=traffic))
    return Deployment(record, store=store)


async def routes_are_read(gateway: Gateway, store: Store) -> None:
    """Wait until the gateway routes as the store says."""
    async with asyncio.timeout(10):
        while gateway.routes.routes != RouteTable.of(store.deployments.serving()).routes:
            await asyncio.sleep(0.02)


async def store_is_missed(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    """Wait until the gateway has tried to read the routes in vain."""
    async with asyncio.timeout(10):
        while (await health(client, gateway))["store"] == "ok":
            await asyncio.sleep(0.02)


async def health(client: aiohttp.ClientSession, gateway: Gateway) -> dict[str, Any]:
    async with client.get(gateway.base_url.removesuffix("/v1") + "/healthz") as response:
        return await response.json()


async def ask(client: aiohttp.ClientSession, gateway: Gateway, body: Any = QUESTION, **headers: str) -> aiohttp.ClientResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await client.post(f"{gateway.base_url}/chat/completions", json=body, headers=named)
    await response.read()
    return response


async def the_interaction(store: Store, gateway: Gateway, response: aiohttp.ClientResponse) -> Interaction:
    assert await gateway.flush()
    found = store.interactions.get(response.headers["x-continuum-interaction-id"])
    assert found is not None
    return found


# --- an application that knows nothing of this -----------------------------------------------------------------------


class UnchangedApp:
    """An application that was written before there was a gateway; only its environment names one."""

    def __init__(self) -> None:
        self.client = AsyncOpenAI(max_retries=0)

    async def answer(self, user: str, question: str) -> str | None:
        completion = await self.client.chat.completions.create(
            model="gpt-4", user=user, messages=[{"role": "user", "content": question}]
        )
        return completion.choices[0].message.content

    async def answer_in_pieces(self, question: str) -> str:
        stream = await self.client.chat.completions.create(
            model="gpt-4", stream=True, messages=[{"role": "user", "content": question}]
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


@pytest.fixture
async def app(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UnchangedApp]:
    monkeypatch.setenv("OPENAI_BASE_URL", gateway.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-app")
    unchanged = UnchangedApp()
    yield unchanged
    await unchanged.client.close()


async def test_the_traffic_of_an_unchanged_app_shifts_from_nothing_to_a_quarter_to_all(
    app: UnchangedApp, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    users = [f"user-{n}" for n in range(60)]

    async def moved() -> set[str]:
        answers = await asyncio.gather(*(app.answer(user, "Where is my order?") for user in users))
        assert set(answers) <= {"production says hello", "tuned says hello"}
        return {user for user, answer in zip(users, answers, strict=True) if answer == "tuned says hello"}

    assert await moved() == set()
    deployment = deploy_row(store, tuned.base_url, 0.25)
    await routes_are_read(gateway, store)
    quarter = await moved()
    assert 5 <= len(quarter) <= 28
    assert await moved() == quarter, "whoever has a model keeps it"
    deployment.go_live(actor="test")
    await routes_are_read(gateway, store)
    assert await moved() == set(users)
    await deployment.rollback()
    await routes_are_read(gateway, store)
    assert await moved() == set()

    assert await gateway.flush()
    counted = store.interactions.counts_by("support", "model")
    assert counted == {"gpt-4": 2 * 60 + 2 * (60 - len(quarter)), "support-v1": 60 + 2 * len(quarter)}


async def test_a_stream_passes_through_piece_by_piece_and_is_captured_whole(
    app: UnchangedApp, gateway: Gateway, store: Store, production: Provider
) -> None:
    production.pause_s = 0.05
    assert (await app.answer_in_pieces("Where is my order?")).split() == ["production", "says", "hello"]
    assert await gateway.flush()
    (found,) = store.interactions.scan("support")
    assert found.response is not None
    assert found.response.text.split() == ["production", "says", "hello"]
    assert found.provider_response_id == "chatcmpl-s"
    assert (found.input_tokens, found.output_tokens) == (7, 3)
    assert found.time_to_first_chunk_ms is not None
    assert found.latency_ms is not None
    assert found.time_to_first_chunk_ms + 100 < found.latency_ms


async def test_a_decorated_call_through_the_gateway_is_one_interaction(
    gateway: Gateway, store: Store, tuned: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    monkeypatch.setenv("CONTINUUM_GATEWAY_URL", gateway.base_url)
    async with AsyncOpenAI(base_url=gateway.base_url, api_key="sk-of-the-app") as client:

        @capture(task="support", model="gpt-4")
        async def answer(question: str) -> str | None:
            messages: Any = [{"role": "user", "content": question}]
            return (await client.chat.completions.create(model="gpt-4", messages=messages)).choices[0].message.content

        with context(conversation_id="c-1"):
            assert await answer("Where is my order?") == "tuned says hello"
        captured = interaction.id
    assert await gateway.flush()
    await asyncio.to_thread(flush)
    (found,) = store.interactions.scan("support")
    assert (found.id, found.conversation_id) == (captured, "c-1")
    assert (found.deployment_id, found.variant, found.model) == (deployment.id, "canary", "support-v1")


# --- what is captured ------------------------------------------------------------------------------------------------


async def test_what_production_answers_is_captured_with_its_cost(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store
) -> None:
    response = await ask(
        client, gateway, {**QUESTION, "model": "gpt-4o"}, x_continuum_conversation_id="c-1", x_continuum_user_id="Zo%C3%AB"
    )
    found = await the_interaction(store, gateway, response)
    assert response.headers.get("x-continuum-variant") is None
    assert (found.task, found.model, found.source, found.status) == ("support", "gpt-4o", "gateway", "ok")
    assert (found.conversation_id, found.user_id) == ("c-1", hashed_user("Zoë", user_key()))
    assert [message.text for message in found.conversation] == ["Where is my order?", "production says hello"]
    assert (found.input_tokens, found.output_tokens) == (1000, 500)
    assert found.cost_usd == pytest.approx(1000 * 2.5e-6 + 500 * 10e-6)
    assert (found.deployment_id, found.variant) == (None, "stable")


async def test_what_a_tuned_model_answers_says_which_deployment_and_which_arm(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store, tuned: Provider
) -> None:
    deployment = deploy_row(store, tuned.base_url, 1.0)
    await routes_are_read(gateway, store)
    response = await ask(client, gateway)
    found = await the_interaction(store, gateway, response)
    assert response.headers["x-continuum-deployment"] == deployment.id
    assert response.headers["x-continuum-variant"] == "canary"
    assert tuned.requests[0]["model"] == "support-v1"
    assert tuned.requests[0]["messages"] == QUESTION["messages"]
    assert (found.deployment_id, found.variant, found.model) == (deployment.id, "canary", "support-v1")
    assert found.tags == {}


async def test_the_id_that_a_decorated_call_sends_is_the_one_it_is_stored_under(
    client: aiohttp.ClientSession, gateway: Gateway, store: Store
) -> None:
    response = await ask(client, gateway, x_continuum_interaction_id="mine-1")
    assert response.headers["x-continuum-interaction-id"] == "mine-1"
    assert (await the_interaction(store, gateway, response)).id == "mine-1"


async def test_the_header_names_the_task(client: aiohttp.ClientSession, gateway: Gateway, store: Store) -> None:
    found = await the_interaction(store, gateway, await ask(client, gateway, x_continuum_task="billing"))
    assert found.task == "billing"
    assert "billing" in store.tasks.names()


async def test_feedback_sent_to_the_gateway_is_stored(client: aiohttp.ClientSession, gateway: Gateway, store: Store) -> None:
    said = {"interaction_id": "i-1", "score": 4.5, "label": "good", "comment": "quick\x00", "idempotency_key": "once"}
    for _ in range(2):
        async with client.post(f"{gateway.base_url}/feedback", json=said) as response:
            assert response.status == 202
    assert await gateway.flush()
    (kept,) = store.feedback.of([Interaction(id="i-1", task="support")])["i-1"]
    assert (kept.score, kept.label, kept.comment) == (4.5, "good", "quick\ufffd")


@pytest.mark.parametrize(
    "said",
    [
        {"score": 4},
        {"interaction_id": "i", "score": 9},
        {"interaction_id": "i", "id": "forged"},
        {"interaction_id": "zz"},
        {"interaction_id": " ", "score": 4},
        {"interaction_id": "i", "label": " "},
        {"interaction_id": "i", "score": float("nan"), "label": "good"},
        {"interaction_id": "i", "score": True},
        {"interaction_id": "i", "score": 10**400},
        {"interaction_id": "i", "score": 4, "kind": ["explicit"]},
        [],
        "text",
    ],
    ids=lambda said: str(said)[:60],
)
async def test_feedback_that_makes_no_sense_is_refused(client: aiohttp.ClientSession, gateway: Gateway, said: Any) -> None:
    async with client.post(f"{gateway.base_url}/feedback", json=said) as response:
        assert response.status == 400
        assert "feedback" in (await response.json())["error"]["message"]


async def test_what_an_upstream_says_in_the_gateways_own_headers_does_not_reach_the_app(
    client: aiohttp.ClientSession, gateway: Gateway, production: Provider
) -> None:
    production.answer_headers = {"X-Continuum-Deployment": "forged", "X-Continuum-Interaction-Id": "forged", "x-other": "kept"}

    response = await ask(client, gateway)

    assert response.headers["x-other"] == "kept"
    assert "forged" not in response.headers.values()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_gateway_that_is_told_to_stop_answers_what_has_begun_and_stores_it(
    client: aiohttp.ClientSession, production: Provider, store: Store, number: signal.Signals
) -> None:
    production.pause_s = 1.0
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from continuum.cli import main; main()", "gateway", "--port", "0", "--task", "support"),
        env=os.environ | {"CONTINUUM_UPSTREAM_BASE_URL": production.base_url, "CONTINUUM_UPSTREAM_API_KEY": "sk-upstream"},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        said = (await process.stdout.readline()).decode()
        base_url = said.removeprefix("the gateway serves at ").partition(";")[0]
        asked = asyncio.create_task(client.post(f"{base_url}/chat/completions", json=QUESTION))
        while not production.requests:
            await asyncio.sleep(0.02)
        process.send_signal(number)
        response = await asked
        answer = await response.json()
        await process.wait()

    assert answer["choices"][0]["message"]["content"] == "production says hello"
    assert process.returncode == 0
    assert [kept.status for kept in store.interactions.scan("support", status=None)] == ["ok"]
    assert f"upstream {production.base_url}; default task support (not registered yet" in said
    assert "sk-upstream" not in said


def test_what_a_gateway_says_of_itself_holds_no_key() -> None:
    here = "http://127.0.0.1:8787/v1"
    upstream = "https://bob:sk-1@api.example.com/v1?key=sk-2"

    assert announcement(here, None, None, []) == (
        f"the gateway serves at {here}; no upstream: set CONTINUUM_UPSTREAM_BASE_URL; no default task: requests name theirs"
    )
    assert announcement(here, upstream, "support", ["support"]) == (
        f"the gateway serves at {here}; upstream https://api.example.com/v1; default task support"
    )


# --- when something is down ------------------------------------------------------------------------------------------


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
    deployment = deploy_row(store, tuned.base_url, 1.0)
    deployment.go_live(actor="test")
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


# --- hostile requests --------------------------------------------------------------------------------------------------


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
    response = await ask(client, gateway, body, x_continuum_deployment=tuned.base_url, Host="evil.example")
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
        (b"[" * 100_000, 400),
        (b'{"messages": []}', 400),
        (b'{"messages": "hello"}', 400),
        (b'{"model": "gpt-4"}', 400),
        (b'{"messages": ["' + b"x" * 300_000 + b'"]}', 413),
    ],
    ids=["torn", "empty", "a list", "not UTF-8", "a deep nest", "no messages", "words", "nothing", "huge"],
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
