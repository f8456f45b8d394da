"""An OpenAI-compatible server on loopback, which also plays the gateway: it says which deployment answered."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from continuum.records import Interaction
from continuum.spool.spool import flush
from continuum.store.database import Store

CALL = {"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": 7}'}}


@dataclass
class Provider:
    """What the server was sent, and where it is."""

    base_url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    served_by: dict[str, str] = field(
        default_factory=lambda: {"x-continuum-deployment": "deployment-1", "x-continuum-variant": "canary"}
    )
    """What it says of itself in the headers of its answers, as the gateway does."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer the last user message; model `broken` fails, tools are called where there are any."""
        body = await request.json()
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if body["model"] == "broken":
            return web.json_response({"error": {"message": "out of order"}}, status=400)
        words = f"You said: {body['messages'][-1]['content']}"
        served = self.served_by
        about = {"id": f"chatcmpl-{len(self.requests)}", "created": 0, "model": "gpt-4-0613"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        if body.get("stream"):
            return await self.stream(request, about, words, usage, served, calls=bool(body.get("tools")))
        message = {"role": "assistant", "content": None, "tool_calls": [CALL]} if body.get("tools") else said(words)
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        whole = {**about, "object": "chat.completion", "choices": [choice], "usage": usage}
        return web.json_response(whole, headers=served)

    async def stream(
        self,
        request: web.Request,
        about: dict[str, Any],
        words: str,
        usage: dict[str, int],
        served: dict[str, str],
        *,
        calls: bool,
    ) -> web.StreamResponse:
        """The same answer in pieces."""
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **served})
        await response.prepare(request)
        if calls:
            pieces: list[dict[str, Any]] = [
                {"tool_calls": [{"index": 0, **CALL, "function": {"name": "find_order", "arguments": ""}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": '{"number"'}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": ": 7}"}}]},
            ]
        else:
            pieces = [{"content": piece} for piece in words.split(" ")]
        for piece in pieces:
            choice = {"index": 0, "delta": piece, "finish_reason": None}
            chunk = {**about, "object": "chat.completion.chunk", "choices": [choice]}
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await asyncio.sleep(0.005)
        last = {**about, "object": "chat.completion.chunk", "choices": [], "usage": usage}
        await response.write(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())
        return response


def said(words: str) -> dict[str, Any]:
    """An assistant's message."""
    return {"role": "assistant", "content": words}


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A server in a thread of its own, so that the synchronous client can wait for it."""
    found = Provider()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", found.answer)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        found.base_url = f"http://127.0.0.1:{port}/v1"
        return runner

    def serve() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(20)
    yield found
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)


class Kept:
    """What the store holds once everything captured has been written."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> list[Interaction]:
        """The interactions of task `support`, whatever their status."""
        assert flush(20)
        return list(self.store.interactions.scan("support", status=None))

    def one(self) -> Interaction:
        """The only one there is."""
        (found,) = self.all()
        return found


@pytest.fixture
def kept(store: Store) -> Kept:
    """What was captured in this test."""
    return Kept(store)
