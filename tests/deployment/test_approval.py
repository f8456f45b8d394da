import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.deployment.approval import approval_hook, is_asked
from continuum.deployment.serving import listen
from continuum.serving_records import DeploymentRecord

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
RECORD = DeploymentRecord(id="d1", task="support", checkpoint_id="c", model="support-v1", stable_model="production", traffic=0.05)


class Hook:
    """A webhook on loopback."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.asked: list[dict[str, Any]] = []
        self.base_url = ""

    async def post(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        assert self.answer is not None
        return await self.answer(request)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    found = Hook()
    app = web.Application()
    app.router.add_post("/secret-path", found.post)
    runner, found.base_url = await listen(app, "127.0.0.1", 0, drain_s=0)
    yield found
    await runner.cleanup()


def says(content: Any, status: int = 200) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(content, status=status)

    return answer


async def asked(hook: Hook, timeout_s: float = 5) -> tuple[bool, str]:
    address = hook.base_url.removesuffix("/v1") + "/secret-path"
    found = await approval_hook(address, timeout_s=timeout_s)(RECORD, 0.25, {"delta": 0.01})
    return found.approved, found.words


async def test_a_yes_is_a_yes_and_the_hook_is_told_what_for(hook: Hook) -> None:
    hook.answer = says({"approved": True})
    assert await asked(hook) == (True, "127.0.0.1 approved it")
    assert hook.asked == [
        {
            "deployment_id": "d1",
            "task": "support",
            "model": "support-v1",
            "from_traffic": 0.05,
            "to_traffic": 0.25,
            "evidence": {"delta": 0.01},
        }
    ]


async def test_a_yes_that_comes_in_two_pieces_is_a_yes(hook: Hook) -> None:
    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"approved": ')
        await asyncio.sleep(0.1)  # a piece of its own on the wire, which whoever reads at once has read by then
        await response.write(b"true}")
        await response.write_eof()
        return response

    hook.answer = in_pieces

    assert await asked(hook) == (True, "127.0.0.1 approved it")


async def test_an_answer_without_an_end_is_no_yes(hook: Hook) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    hook.answer = endless

    assert (await asked(hook))[0] is False


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"approved": False}, 200),
        ({"approved": "yes"}, 200),
        ({"approved": 1}, 200),
        ([True], 200),
        ("approved", 200),
        ({"approved": True}, 202),
        ({"approved": True}, 500),
    ],
    ids=str,
)
async def test_anything_else_is_no_yes(hook: Hook, content: Any, status: int) -> None:
    hook.answer = says(content, status)
    approved, words = await asked(hook)
    assert not approved
    assert "secret-path" not in words


async def test_a_hook_that_is_slow_garbled_elsewhere_or_gone_is_no_yes_and_its_path_is_told_nobody(
    hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "continuum")
    over = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.json_response({"approved": True})

    async def garbled(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"approved": tr\xff')

    async def nested(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"[" * 60_000)

    async def redirecting(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("/secret-path")

    for answer in (slow, garbled, nested, redirecting):
        hook.answer = answer
        assert (await asked(hook, timeout_s=0.2))[0] is False
    over.set()
    hook.base_url = "http://127.0.0.1:9/v1"
    assert await asked(hook) == (False, "127.0.0.1 did not answer: ClientConnectorError")
    assert "secret-path" not in caplog.text


@given(share=st.floats(0.01, 1), approved=st.floats(0, 1))
@settings(max_examples=50)
def test_a_share_that_was_approved_is_not_asked_about_again(share: float, approved: float) -> None:
    record = RECORD.model_copy(update={"approved_traffic": approved})
    assert not is_asked("none", record, share)
    assert is_asked("each_step", record, share) == (share > approved)
    assert is_asked("promotion", record, share) == (share >= 1 and share > approved)
