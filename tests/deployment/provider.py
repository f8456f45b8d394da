"""A provider on loopback that says what a test tells it to, and remembers what it was asked."""

import asyncio
import json
from typing import Any, Self

from aiohttp import web


class Provider:
    """An OpenAI-compatible server; each knob is a plain attribute that a test turns."""

    def __init__(self, says: str = "production says hello") -> None:
        self.says = says
        self.status = 200
        self.breaks_after: int | None = None
        """Chunks of a stream after which the connection is cut."""
        self.pause_s = 0.0
        self.answer_headers = {"x-request-id": "req-1", "set-cookie": "a=b"}
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**30)
        app.add_routes([web.post("/v1/chat/completions", self._complete), web.get("/v1/models", self._models)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "gpt-4", "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.status != 200:
            location = {"location": "http://127.0.0.1:9/elsewhere"} if 300 <= self.status < 400 else {}
            return web.json_response({"error": {"message": "no"}}, status=self.status, headers=location)
        if body.get("stream"):
            return await self._stream(request, body)
        await asyncio.sleep(self.pause_s)
        return web.json_response(self._completion(body), headers=self.answer_headers)

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.says}
        return {
            "id": f"chatcmpl-{len(self.requests)}",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
        }

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        head = {"id": "chatcmpl-s", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        for sent, word in enumerate(self.says.split()):
            if sent == self.breaks_after:
                assert request.transport is not None
                request.transport.abort()
                return response
            chunk = {**head, "choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]}
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await asyncio.sleep(self.pause_s)
        end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        usage = {**head, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
        for chunk in (end, usage):
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response
