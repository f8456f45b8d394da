import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from continuum import capture, context, interaction
from continuum.deployment import transitions
from continuum.deployment.gateway.alone import announcement
from continuum.deployment.gateway.gateway import Gateway
from continuum.deployment.transitions import Cause
from continuum.records import Interaction
from continuum.spool.spool import flush
from continuum.spool.users import hashed_user, user_key
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.deployment.asking import QUESTION, ask, deploy_row, routes_are_read, the_interaction
from tests.deployment.provider import Provider

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
    transitions.take_over(store, deployment.record, Cause("test", "", {}, utc_now()))
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

    assert announcement(here, None, None, []).words() == (
        f"the gateway serves at {here}; no upstream: set CONTINUUM_UPSTREAM_BASE_URL; no default task: requests name theirs"
    )
    assert announcement(here, upstream, "support", ["support"]).words() == (
        f"the gateway serves at {here}; upstream https://api.example.com/v1; default task support"
    )
