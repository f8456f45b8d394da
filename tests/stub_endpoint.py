"""A real HTTP server on loopback that answers chat completions as a test tells it to."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Reply = web.Response | dict[str, Any] | str
"""A whole response, a JSON body, or the words of an answer."""


@dataclass
class StubEndpoint:
    """What the server saw, and where it is."""

    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return len(self.bodies)


@asynccontextmanager
async def stub_endpoint(reply: Callable[[int, dict[str, Any]], Reply | Awaitable[Reply]]) -> AsyncIterator[StubEndpoint]:
    """Serve while the block runs; `reply` gets the number of the call, from 1, and its body."""
    stub = StubEndpoint()

    async def chat(request: web.Request) -> web.Response:
        stub.bodies.append(await request.json())
        stub.keys.append(request.headers["Authorization"])
        stub.headers.append(request.headers)
        answer = reply(stub.calls, stub.bodies[-1])
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, str):
            answer = completion(answer)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stub.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield stub
    finally:
        await runner.cleanup()


@contextmanager
def stub_in_thread(reply: Callable[[int, dict[str, Any]], Reply | Awaitable[Reply]]) -> Iterator[StubEndpoint]:
    """The same in a thread with a loop of its own, for those who ask from a loop or a process of their own."""
    ready, found = threading.Event(), list[tuple[StubEndpoint, asyncio.AbstractEventLoop, asyncio.Event]]()

    async def serve() -> None:
        async with stub_endpoint(reply) as stub:
            stop = asyncio.Event()
            found.append((stub, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(30)
    (stub, loop, stop) = found[0]
    try:
        yield stub
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


def completion(text: str | None, *, given: int = 100, said: int = 20, finish: str = "stop") -> dict[str, Any]:
    """A chat completion in OpenAI form."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "stub",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": given, "completion_tokens": said, "total_tokens": given + said},
    }


def error(status: int, message: str = "no", *, param: str | None = None, **headers: str) -> web.Response:
    """An error in OpenAI form."""
    body = {"error": {"message": message, "type": "error", "param": param, "code": None}}
    return web.json_response(body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})


def scores(**by_criterion: int) -> str:
    """A judge's answer."""
    return json.dumps({name: {"reason": "because", "score": score} for name, score in by_criterion.items()})
