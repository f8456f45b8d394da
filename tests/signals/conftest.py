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
        usage: dict[str, Any] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        if body["model"] == "thinker":
            usage |= {"prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 4}}
        if body.get("stream"):
            return await self.stream(request, about, words, usage, served, calls=bool(body.get("tools")))
        message = {"role": "assistant", "content": None, "tool_calls": [CALL]} if body.get("tools") else said(words)
        choice = {"index": 0, "finish_reason": "length" if body.get("max_tokens") == 1 else "stop", "message": message}
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

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer by the responses API; model `short` is cut off, `shy` refuses, `broken` fails, tools are called."""
        body = await request.json()
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if body["model"] == "broken":
            return web.json_response({"error": {"message": "out of order"}}, status=400)
        response = self.response(body)
        if not body.get("stream"):
            return web.json_response(response, headers=self.served_by)
        stream = web.StreamResponse(headers={"content-type": "text/event-stream", **self.served_by})
        await stream.prepare(request)
        for number, event in enumerate(events_of(response)):
            data = json.dumps(event | {"sequence_number": number})
            await stream.write(f"event: {event['type']}\ndata: {data}\n\n".encode())
            await asyncio.sleep(0.002)
        return stream

    def response(self, body: dict[str, Any]) -> dict[str, Any]:
        """The whole response to a request."""
        asked = body["input"] if isinstance(body["input"], str) else "that"
        words = {"type": "output_text", "text": f"You said: {asked}", "annotations": []}
        part = {"type": "refusal", "refusal": "I would rather not."} if body["model"] == "shy" else words
        thought = {"type": "reasoning", "id": "rs_1", "summary": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "find_order", "arguments": '{"number": 7}'}
        short = body["model"] == "short"
        return {
            **{"id": f"resp_{len(self.requests)}", "object": "response", "created_at": 0, "model": "gpt-4o-mini"},
            **{"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {}, "error": None},
            "output": [thought, call | {"status": "completed"} if body.get("tools") else message],
            "status": "incomplete" if short else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if short else None,
            "usage": {
                **{"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
                "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 4},
            },
        }


def events_of(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A response as the events of a stream."""
    begun = response | {"status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    for index, item in enumerate(response["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        yield {"type": "response.output_item.added", **at, "item": item | ({"content": []} if item["type"] == "message" else {})}
        for number, part in enumerate(item.get("content", [])):
            inside = {**at, "content_index": number}
            kind, text = ("output_text", part["text"]) if "text" in part else ("refusal", part["refusal"])
            empty = {"type": kind, "text": "", "annotations": []} if kind == "output_text" else {"type": kind, "refusal": ""}
            yield {"type": "response.content_part.added", **inside, "part": empty}
            for piece in text.split(" "):
                yield {"type": f"response.{kind}.delta", **inside, "delta": f"{piece} ", "logprobs": []}
        if item["type"] == "function_call":
            yield {"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]}
        yield {"type": "response.output_item.done", **at, "item": item}
    ending = "incomplete" if response["status"] == "incomplete" else "completed"
    yield {"type": f"response.{ending}", "response": response}


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
        app.router.add_post("/openai/deployments/{name}/chat/completions", found.answer)
        app.router.add_post("/v1/responses", found.respond)
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
