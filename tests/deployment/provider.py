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
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._complete),
                web.post("/v1/completions", self._complete_text),
                web.post("/v1/responses", self._respond),
                web.post("/v1/embeddings", self._embed),
                web.get("/v1/models", self._models),
            ]
        )
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

    async def _noted(self, request: web.Request) -> dict[str, Any]:
        body = await request.json()
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return body

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        await self._noted(request)
        return web.json_response({"object": "list", "data": [{"index": 0, "embedding": [0.5, 0.25]}]})

    async def _complete_text(self, request: web.Request) -> web.StreamResponse:
        body = await self._noted(request)
        head = {"id": "cmpl-1", "object": "text_completion", "model": body["model"]}
        usage = {"prompt_tokens": 5, "completion_tokens": 3}
        if not body.get("stream"):
            return web.json_response({**head, "choices": [{"index": 0, "text": self.says}], "usage": usage})
        chunks = [{**head, "choices": [{"index": 0, "text": word + " "}]} for word in self.says.split()]
        return await self._sent(request, [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"])

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        body = await self._noted(request)
        if self.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.status)
        said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": self.says}]}
        whole = {"id": "resp-1", "object": "response", "status": "completed", "model": body["model"], "output": [said]}
        whole["usage"] = {"input_tokens": 9, "output_tokens": 4}
        if not body.get("stream"):
            return web.json_response(whole)
        events: list[dict[str, Any]] = [{"type": "response.created", "response": {**whole, "output": []}}]
        events += [{"type": "response.output_text.delta", "delta": word + " "} for word in self.says.split()]
        events += [{"type": "response.completed", "response": whole}]
        return await self._sent(request, [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])

    async def _sent(self, request: web.Request, pieces: list[str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece.encode())
            await asyncio.sleep(self.pause_s)
        return response

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
