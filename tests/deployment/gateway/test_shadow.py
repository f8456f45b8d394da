"""Shadows: the candidate is asked once more, beside the application's request and never in its way."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from continuum.deployment.gateway.forms import CHAT, COMPLETION, RESPONSE
from continuum.deployment.gateway.shadow import MAX_WAITING_BYTES, Shadowed, Shadows, is_drawn, shadow_body
from continuum.deployment.routing import Arm, position
from continuum.store.database import Store
from continuum.store.shadow_answers import ShadowAnswer
from tests.deployment.provider import Provider

Asking = Callable[[Arm, str, bytes], Awaitable[tuple[int, bytes]]]


@pytest.fixture
async def ask() -> AsyncIterator[Asking]:
    """Asks a real server."""
    async with aiohttp.ClientSession() as session:

        async def asked(arm: Arm, path: str, body: bytes) -> tuple[int, bytes]:
            headers = {"content-type": "application/json"}
            async with session.post(f"{arm.base_url}{path}", data=body, headers=headers) as response:
                return response.status, await response.read()

        yield asked


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
def shadows(store: Store, ask: Asking, counted: Counter[str]) -> Callable[..., Shadows]:
    """Makes the shadows of a worker that writes what was answered at once."""

    def make(asking: Asking = ask, **settings: Any) -> Shadows:
        return Shadows(store, asking, count=lambda task, outcome: counted.update([outcome]), **({"write_s": 0.02} | settings))

    return make


def asked_for(number: int, provider: Provider | None = None, **body: Any) -> Shadowed:
    arm = Arm("support-v2", None if provider is None else provider.base_url, "canary")
    question = {"model": "gpt-4", "messages": [{"role": "user", "content": f"question {number}"}], **body}
    return Shadowed("d", "support", f"i{number:04}", arm, question, len(json.dumps(question)))


async def answers(store: Store, count: int) -> list[ShadowAnswer]:
    """Wait until so many are in the store."""
    async with asyncio.timeout(10):
        while sum((await asyncio.to_thread(store.shadow_answers.counts, "d")).values()) < count:
            await asyncio.sleep(0.02)
    return list(store.shadow_answers.of("d"))


async def test_the_candidate_answers_in_its_own_name_and_its_answer_is_stored(
    store: Store, shadows: Callable[..., Shadows], tuned: Provider, counted: Counter[str]
) -> None:
    async with shadows() as open_ones:
        assert open_ones.offer(asked_for(1, tuned, temperature=0.5))
        (found,) = await answers(store, 1)

    assert (found.interaction_id, found.task, found.status) == ("i0001", "support", "ok")
    assert found.answer is not None
    assert found.answer.content == "tuned says hello"
    assert found.latency_ms is not None
    assert tuned.requests == [
        {"model": "support-v2", "messages": [{"role": "user", "content": "question 1"}], "temperature": 0.5, "stream": False}
    ]
    assert counted == {"ok": 1}


async def test_what_was_streamed_to_the_application_is_asked_for_in_one_piece(
    store: Store, shadows: Callable[..., Shadows], tuned: Provider
) -> None:
    async with shadows() as open_ones:
        open_ones.offer(asked_for(1, tuned, stream=True, stream_options={"include_usage": True}))
        (found,) = await answers(store, 1)

    assert found.status == "ok"
    assert tuned.requests[0]["stream"] is False
    assert "stream_options" not in tuned.requests[0]


async def test_an_answer_that_fails_is_stored_as_one(
    store: Store, shadows: Callable[..., Shadows], tuned: Provider, counted: Counter[str]
) -> None:
    tuned.status = 503
    async with shadows() as open_ones:
        open_ones.offer(asked_for(1, tuned))
        await tuned_is_asked(tuned, 1)
        tuned.status = 200
        await tuned.stop()
        open_ones.offer(asked_for(2, tuned))
        refused, unreachable = await answers(store, 2)

    assert (refused.status, refused.error, refused.answer) == ("error", "no", None)
    assert unreachable.status == "error"
    assert "Cannot connect" in str(unreachable.error)
    assert counted == {"error": 2}


async def tuned_is_asked(tuned: Provider, count: int) -> None:
    async with asyncio.timeout(10):
        while len(tuned.requests) < count:
            await asyncio.sleep(0.01)


async def test_a_candidate_that_takes_too_long_is_left(store: Store, shadows: Callable[..., Shadows], tuned: Provider) -> None:
    tuned.pause_s = 30
    async with shadows(answer_s=0.05) as open_ones:
        open_ones.offer(asked_for(1, tuned))
        (found,) = await answers(store, 1)

    assert found.error == "no answer within 0.05 s"


async def test_personal_data_is_taken_out_before_the_store(
    store: Store, shadows: Callable[..., Shadows], tuned: Provider
) -> None:
    tuned.says = "write to jane.doe@example.com"
    async with shadows(redactor="builtin") as open_ones:
        open_ones.offer(asked_for(1, tuned))
        (found,) = await answers(store, 1)

    assert found.answer is not None
    assert found.answer.content == "write to [EMAIL]"


async def test_a_hostile_answer_is_stored_as_text_that_every_database_takes(
    store: Store, shadows: Callable[..., Shadows]
) -> None:
    async def ask(arm: Arm, path: str, body: bytes) -> tuple[int, bytes]:
        return 200, b'{"choices": [{"message": {"role": "assistant", "content": "a\\u0000b\\ud800c"}}]}'

    async with shadows(ask) as open_ones:
        open_ones.offer(asked_for(1))
        (found,) = await answers(store, 1)

    assert found.answer is not None
    assert found.answer.content == "a\ufffdb\ufffdc"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"choices": []}', b'{"choices": [{"message": 3}]}', 10_000 * b"["])
async def test_an_answer_that_is_none_is_an_error(store: Store, shadows: Callable[..., Shadows], body: bytes) -> None:
    async def ask(arm: Arm, path: str, sent: bytes) -> tuple[int, bytes]:
        return 200, body

    async with shadows(ask) as open_ones:
        open_ones.offer(asked_for(1))
        (found,) = await answers(store, 1)

    assert (found.status, found.error) == ("error", "HTTP 200 without an answer")


# --- never in the way ------------------------------------------------------------------------------------------------


async def test_only_so_many_are_asked_at_a_time_and_only_so_many_wait(
    store: Store, shadows: Callable[..., Shadows], counted: Counter[str]
) -> None:
    under_way, most, free = 0, 0, asyncio.Event()

    async def ask(arm: Arm, path: str, body: bytes) -> tuple[int, bytes]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await free.wait()
        under_way -= 1
        return 200, b'{"choices": [{"message": {"role": "assistant", "content": "hi"}}]}'

    async with shadows(ask, at_once=2, max_waiting=5) as open_ones:
        for number in range(2):
            open_ones.offer(asked_for(number))
        while under_way < 2:
            await asyncio.sleep(0)
        taken = [open_ones.offer(asked_for(number)) for number in range(2, 12)]
        free.set()
        await answers(store, 7)

    assert taken == [True] * 5 + [False] * 5
    assert most == 2
    assert counted == {"ok": 7, "left_out": 5}


async def test_long_requests_do_not_fill_the_memory(shadows: Callable[..., Shadows], counted: Counter[str]) -> None:
    open_ones = shadows()
    long = Shadowed("d", "support", "i", Arm("support-v2", None, "canary"), {}, MAX_WAITING_BYTES // 2)

    assert [open_ones.offer(long) for _ in range(3)] == [True, True, False]
    assert counted == {"left_out": 1}


async def test_while_the_store_is_down_nothing_is_asked_and_what_was_answered_is_written_later(
    store: Store, shadows: Callable[..., Shadows], tuned: Provider, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(answers: object) -> int:
        raise OperationalError("INSERT", {}, ConnectionError("down"))

    async with shadows() as open_ones:
        with monkeypatch.context() as down:
            down.setattr(store.shadow_answers, "add", fails)
            open_ones.offer(asked_for(1, tuned))
            async with asyncio.timeout(10):
                while not open_ones.store_down:
                    await asyncio.sleep(0.01)
            assert not open_ones.offer(asked_for(2, tuned))
        (found,) = await answers(store, 1)
        async with asyncio.timeout(10):
            while not open_ones.offer(asked_for(3, tuned)):
                await asyncio.sleep(0.01)
        await answers(store, 2)

    assert found.interaction_id == "i0001"
    assert [request["messages"][0]["content"] for request in tuned.requests] == ["question 1", "question 3"]
    assert counted["ok"] == 2
    assert counted["off"] >= 1


async def test_a_candidate_that_fails_is_left_alone_for_a_while(
    store: Store, shadows: Callable[..., Shadows], counted: Counter[str]
) -> None:
    async def ask(arm: Arm, path: str, body: bytes) -> tuple[int, bytes]:
        return 500, b""

    async with shadows(ask, at_once=1) as open_ones:
        for number in range(30):
            open_ones.offer(asked_for(number))
        stored = await answers(store, 10)
        async with asyncio.timeout(10):
            while sum(counted.values()) < 30:
                await asyncio.sleep(0.01)

    assert len(stored) == 10
    assert counted == {"error": 10, "broken": 20}


async def test_what_was_answered_when_the_gateway_stops_is_still_written(
    store: Store, shadows: Callable[..., Shadows], tuned: Provider, counted: Counter[str]
) -> None:
    async with shadows(write_s=60) as open_ones:
        open_ones.offer(asked_for(1, tuned))
        async with asyncio.timeout(10):
            while not counted:
                await asyncio.sleep(0.01)

    assert store.shadow_answers.counts("d") == {"ok": 1}


async def test_what_is_lost_when_the_gateway_stops_is_counted(
    store: Store, shadows: Callable[..., Shadows], counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(answers: object) -> int:
        raise OperationalError("INSERT", {}, ConnectionError("down"))

    async def ask(arm: Arm, path: str, body: bytes) -> tuple[int, bytes]:
        if b"question 0" not in body:
            await asyncio.sleep(60)
        return 200, b'{"choices": [{"message": {"role": "assistant", "content": "hi"}}]}'

    monkeypatch.setattr(store.shadow_answers, "add", fails)
    async with shadows(ask, at_once=1, write_s=60) as open_ones:
        for number in range(4):
            open_ones.offer(asked_for(number))
        async with asyncio.timeout(10):
            while not counted:
                await asyncio.sleep(0.01)

    assert counted == {"ok": 1, "lost": 1, "left_out": 2}, "and the one under way was never answered"


# --- who is drawn ----------------------------------------------------------------------------------------------------


@given(unit=st.text(max_size=40), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_larger_share_only_adds_to_who_is_drawn(unit: str, shares: tuple[float, float]) -> None:
    small, large = sorted(shares)
    assert is_drawn("d", unit, large) or not is_drawn("d", unit, small)
    assert not is_drawn("d", unit, 0.0)
    assert is_drawn("d", unit, 1.0)


def test_the_draw_hits_its_share_and_is_not_the_one_of_the_candidates_traffic() -> None:
    users = [f"user:{number}" for number in range(20_000)]
    deployment = "0192f0c1-2345-7abc-8def-0123456789ab"
    drawn = {user for user in users if is_drawn(deployment, user, 0.25)}
    served = {user for user in users if position(deployment, user) < 0.25}

    assert len(drawn) / len(users) == pytest.approx(0.25, abs=0.01)
    assert len(drawn & served) / len(users) == pytest.approx(0.25**2, abs=0.01)


def test_a_shadow_changes_nothing_of_the_request_but_who_answers_and_how_it_is_sent() -> None:
    body = {"model": "gpt-4", "messages": [], "stream": True, "stream_options": {}, "tools": [{"type": "function"}], "seed": 1}

    assert json.loads(shadow_body(body, "support-v2")) == {
        "model": "support-v2",
        "messages": [],
        "stream": False,
        "tools": [{"type": "function"}],
        "seed": 1,
    }
    assert body["stream"] is True


async def test_a_server_that_does_not_know_a_form_says_nothing_of_its_model(
    store: Store, shadows: Callable[..., Shadows], counted: Counter[str]
) -> None:
    asked = []

    async def ask(arm: Arm, path: str, body: bytes) -> tuple[int, bytes]:
        asked.append(path)
        return 404, b'{"error": {"message": "Not Found"}}'

    async with shadows(ask) as open_ones:
        for form in (COMPLETION, RESPONSE, CHAT):
            assert open_ones.offer(replace(asked_for(len(asked)), form=form))
        (found,) = await answers(store, 1)

    assert asked == ["/completions", "/responses", "/chat/completions"]
    assert counted == {"no_route": 2, "error": 1}
    assert found.error == "Not Found"
