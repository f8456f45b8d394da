"""The server of tuned models: OpenAI-compatible, each base model held once, adapters loaded as they are asked for.

A model's name is its checkpoint's, `<task>-v<n>`. Adapters come from the store alone, verified against the hashes that
training wrote; no request can name a folder.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from pydantic import ValidationError

from continuum.artifacts.copies import local
from continuum.deployment.backends.batching import Adapter, Engine, EngineAnswer, HotModel
from continuum.deployment.serving import BadRequest, Handler, errors_as_json, listen, read_object
from continuum.ids import new_id
from continuum.loopback import is_loopback, is_strangers
from continuum.records import Checkpoint, Message

if TYPE_CHECKING:
    from continuum.store.database import Store

MODEL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,120}")
MAX_BODY_BYTES = 16 * 2**20
DEFAULT_MAX_TOKENS = 96
LONGEST_ANSWER = 1024
"""Tokens; a request that asks for more gets this."""
DRAIN_S = 10.0


def open_local_model(base_model: str) -> Engine:
    """The engine of a base model; torch starts here.

    Raises:
        MissingExtra: the training extra is not installed.
    """
    from continuum.errors import MissingExtra

    try:
        from continuum.models.local import LocalModel
    except ImportError as error:
        raise MissingExtra.of(error, "Serving tuned models") from error
    return LocalModel(base_model)


class LocalServer:
    """One server, serving while its context is open.

    Args:
        store: where checkpoints are looked up by the name that a request gives.
        port: 0 for a free one.
        open_engine: makes the engine of a base model, once for each.
    """

    def __init__(
        self,
        store: "Store",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        open_engine: Callable[[str], Engine] = open_local_model,
    ) -> None:
        self.base_url = ""
        """Where an OpenAI client finds the server, once it serves."""
        self._store = store
        self._address = (host, port)
        self._open_engine = open_engine
        self._models: dict[str, HotModel] = {}
        self._known: dict[str, tuple[str, Adapter]] = {}
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[errors_as_json, self._guarded], client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._complete),
                web.post("/v1/load_lora_adapter", self._load),
                web.post("/v1/unload_lora_adapter", self._unload),
                web.get("/v1/models", self._list),
                web.get("/health", self._health),
            ]
        )
        self._runner, self.base_url = await listen(app, *self._address, drain_s=DRAIN_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_loopback(self._address[0]) and is_strangers(request.headers.get("host")):
            raise BadRequest(
                "this server is asked by this machine's own names only, for a page from elsewhere may have a name of its own "
                "point here; ask 127.0.0.1 or localhost",
                status=403,
            )
        return await handler(request)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await read_object(request, "request")
        conversation, max_tokens = read_conversation(body), longest_answer(body)
        model, adapter = await self._find(body.get("model"))
        answer = await model.answer(conversation, adapter, max_new_tokens=max_tokens)
        completion = completion_of(adapter.name, answer, max_tokens)
        if body.get("stream") is not True:
            return web.json_response(completion)
        options = body.get("stream_options")
        wants_usage = isinstance(options, Mapping) and options.get("include_usage") is True
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        await response.prepare(request)
        for chunk in chunks_of(completion, with_usage=wants_usage):
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _load(self, request: web.Request) -> web.Response:
        """As vLLM's route, but for the path: the folder is the one that the store names."""
        body = await read_object(request, "request")
        model, adapter = await self._find(body.get("lora_name"))
        await model.load(adapter)
        return web.Response(text=f"Success: LoRA adapter '{adapter.name}' added successfully.")

    async def _unload(self, request: web.Request) -> web.Response:
        body = await read_object(request, "request")
        base, adapter = self._known.pop(str(body.get("lora_name")), (None, None))
        if base is None or adapter is None:
            raise BadRequest(f"no adapter {body.get('lora_name')!r:.130} is loaded", status=404)
        await self._models[base].unload(adapter.name)
        return web.Response(text=f"Success: LoRA adapter '{adapter.name}' removed successfully.")

    async def _list(self, request: web.Request) -> web.Response:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "continuum", "parent": base}
            for base, model in self._models.items()
            for name in model.adapters
        ]
        return web.json_response({"object": "list", "data": models})

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "bases": len(self._models)})

    async def _find(self, name: Any) -> tuple[HotModel, Adapter]:
        if not isinstance(name, str) or not MODEL_NAME.fullmatch(name):
            raise BadRequest(f"model {name!r:.130} is not the name of a checkpoint, such as 'support-v1'", status=404)
        if not self._has(name):
            async with self._opening:
                if not self._has(name):
                    self._known[name] = await self._open(name)
        base, adapter = self._known[name]
        return self._models[base], adapter

    def _has(self, name: str) -> bool:
        # A copy of what lies at a URL may have made room for others; it is fetched again.
        return name in self._known and self._known[name][1].folder.is_dir()

    async def _open(self, name: str) -> tuple[str, Adapter]:
        checkpoint = await asyncio.to_thread(self._store.checkpoints.get, name)
        if checkpoint is None or checkpoint.name != name:
            raise BadRequest(f"there is no checkpoint {name!r} in this server's store", status=404)
        base = checkpoint.base_model
        adapter = await asyncio.to_thread(verified, checkpoint)
        if base not in self._models:
            self._models[base] = HotModel(await asyncio.to_thread(self._open_engine, base))
        return base, adapter


def verified(checkpoint: Checkpoint) -> Adapter:
    """A checkpoint's adapter, once its files are known to be what training wrote.

    Raises:
        StoreError: a file is missing or was altered.
    """
    from continuum.provenance.artifacts import verify_artifact

    verify_artifact(checkpoint.uri, checkpoint.manifest)
    return Adapter(checkpoint.name, local(checkpoint.uri))


def read_conversation(body: Mapping[str, Any]) -> list[Message]:
    """The messages of a request.

    Raises:
        BadRequest: they are not messages, or more than one answer is asked for.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("the request has no messages; it must be a chat completion, with a list of messages")
    if body.get("n") not in (None, 1):
        raise BadRequest(f"n is {body['n']!r:.20}; this server gives one answer a request")
    try:
        return [Message.model_validate(message) for message in messages]
    except ValidationError as error:
        raise BadRequest(f"the messages are not in OpenAI form: {error.errors()[0]['msg']}") from error


def longest_answer(body: Mapping[str, Any]) -> int:
    """The longest answer a request allows, in tokens.

    Raises:
        BadRequest: it is not a positive whole number.
    """
    given = (body.get("max_completion_tokens"), body.get("max_tokens"), DEFAULT_MAX_TOKENS)
    asked = next(value for value in given if value is not None)
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 1:
        raise BadRequest(f"max_tokens is {asked!r:.20}; it must be a whole number above 0")
    return min(asked, LONGEST_ANSWER)


def completion_of(model: str, answer: EngineAnswer, max_tokens: int) -> dict[str, Any]:
    """An answer as a chat completion."""
    written, usage = answer.message, answer.usage
    cut = usage.output_tokens >= max_tokens
    return {
        "id": f"chatcmpl-{new_id()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"content": None} | written.to_openai(),
                "finish_reason": "tool_calls" if written.tool_calls else "length" if cut else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    }


def chunks_of(completion: dict[str, Any], *, with_usage: bool) -> list[dict[str, Any]]:
    """A completion as the chunks of a stream: the answer comes word by word, once it is there."""
    head = {name: completion[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = completion["choices"][0]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\S+\s*|\s+", choice["message"]["content"] or "")]
    calls = choice["message"].get("tool_calls")
    if calls:
        deltas.append({"tool_calls": [{"index": n, **call} for n, call in enumerate(calls)]})
    ends = [*[(delta, None) for delta in deltas], ({}, choice["finish_reason"])]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in ends]
    return [*chunks, {**head, "choices": [], "usage": completion["usage"]}] if with_usage else chunks
