"""A vLLM server as its sources have it: release 0.33.0, whose wheel is on PyPI; where main differs, at commit 00153c8b7.

Paths are below `vllm/` of that release. The engine is left out: an adapter's files are read and checked as the engine does,
and a completion says which adapter it was asked of. What each refusal says was compared with a server of release 0.32.0
that ran on a CPU.
"""

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.deployment.backends.contract import ContractServer, Refused

ErrorBody = dict[str, Any]


def error(message: str, kind: str, status: int, param: str | None = None) -> Refused:
    """entrypoints/serve/engine/protocol.py `ErrorResponse`, made by entrypoints/serve/exception_handling/error_response.py."""
    return Refused(status, {"error": {"message": message, "type": kind, "param": param, "code": status}})


def engine_error(words: str) -> Refused:
    """API server, engine and worker are processes of their own; v1/engine/core.py and v1/executor/multiproc_executor.py wrap."""
    wrapped = f"Worker failed with error '{words}', please check the stack trace above for the root cause"
    return error(f"Call to add_lora method failed: {wrapped}", "InternalServerError", 500)


class Vllm(ContractServer):
    """Knobs are plain attributes, named as the flags of `vllm serve` are.

    Args:
        base: what `vllm serve` was started with: the `root` of the base model's card.
        modules: `--lora-modules`, loaded when it starts.
    """

    def __init__(self, base: str = "tiny", modules: dict[str, str] | None = None) -> None:
        super().__init__()
        self.base = base
        self.served_model_name: str | None = None
        self.runtime_updating = True
        self.enable_lora = True
        self.max_lora_rank = 16
        self.api_key: str | None = None
        self.engine_dead = False
        self.loses_unloads = False
        self.adapters = dict(modules or {})

    def routes(self) -> list[web.RouteDef]:
        """The runtime routes are there only where the environment allows them.

        entrypoints/serve/lora/api_router.py `attach_router`: returns at once without VLLM_ALLOW_RUNTIME_LORA_UPDATING.
        """
        routes = [
            web.get("/health", self._health),
            web.get("/v1/models", self._models),
            web.post("/v1/chat/completions", self._chat),
        ]
        if self.runtime_updating:
            routes += [
                web.post("/v1/load_lora_adapter", self._load),
                web.post("/v1/unload_lora_adapter", self._unload),
            ]
        return routes

    def check(self, request: web.Request) -> None:
        """entrypoints/serve/middleware/authenticate.py: guarded are /v1, /v2, /inference, /cohere; /health is not."""
        given = request.headers.get("authorization", "").partition(" ")
        if self.api_key is None or not request.path.startswith(("/v1", "/v2", "/inference", "/cohere")):
            return
        if given[0].lower() != "bearer" or given[2] != self.api_key:
            raise Refused(401, {"error": "Unauthorized"})

    def not_found(self) -> web.Response:
        """Starlette's own answer: the handler in exception_handling/register.py is for FastAPI's HTTPException, its subclass."""
        return web.json_response({"detail": "Not Found"}, status=404)

    async def _health(self, request: web.Request) -> web.Response:
        """entrypoints/serve/instrumentator/health.py: an empty 200, or 503 when the engine is dead."""
        return web.Response(status=503 if self.engine_dead else 200)

    async def _models(self, request: web.Request) -> web.Response:
        """entrypoints/openai/models/serving.py `show_available_models`; cards as serve/engine/protocol.py `ModelCard`."""
        base = self.served_model_name or self.base
        cards = [card(base, root=self.base, parent=None)]
        cards += [card(name, root=path, parent=base) for name, path in self.adapters.items()]
        return web.json_response({"object": "list", "data": cards})

    async def _load(self, request: web.Request) -> web.Response:
        """entrypoints/serve/lora/api_router.py and entrypoints/openai/models/serving.py `load_lora_adapter`."""
        body = await self._read(request, required=("lora_name", "lora_path"))
        name, path = body["lora_name"], body["lora_path"]
        if not name or not path:
            raise error("Both 'lora_name' and 'lora_path' must be provided.", "InvalidUserInput", 400)
        if name == (self.served_model_name or self.base):
            raise error(f"The lora adapter '{name}' conflicts with a served base model.", "InvalidUserInput", 400)
        if name in self.adapters and body.get("load_inplace") is not True:
            words = "already been loaded. If you want to load the adapter in place, set 'load_inplace' to True."
            raise error(f"The lora adapter '{name}' has {words}", "InvalidUserInput", 400)
        self._engine_adds(name, path)
        self.adapters[name] = path
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: web.Request) -> web.Response:
        """entrypoints/openai/models/serving.py `unload_lora_adapter`; main asks the engine too, and says 500 when that fails."""
        body = await self._read(request, required=("lora_name",))
        name = body["lora_name"]
        if not name:
            raise error("'lora_name' needs to be provided to unload a LoRA adapter.", "InvalidUserInput", 400)
        if name not in self.adapters:
            raise error(f"The lora adapter '{name}' cannot be found.", "NotFoundError", 404)
        if self.loses_unloads:
            raise error(f"Failed to remove lora adapter '{name}' from the engine.", "InternalServerError", 500)
        del self.adapters[name]
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        """entrypoints/openai/chat_completion/api_router.py; an unknown name as serve/engine/serving.py `_check_model` says."""
        body = await self._read(request, required=("messages",))
        model, base = body.get("model"), self.served_model_name or self.base
        if model and model != base and model not in self.adapters:
            raise error(f"The model `{model}` does not exist. Valid aliases: {base}.", "NotFoundError", 404, "model")
        return await completion(request, body, model or base, f"{model or base} was asked: {body['messages'][-1]['content']}")

    def _engine_adds(self, name: str, path: str) -> None:
        """v1/worker/lora_model_runner_mixin.py, lora/worker_manager.py `_load_adapter`, lora/peft_helper.py `validate_legal`."""
        if not self.enable_lora:
            raise engine_error("LoRA is not enabled. Use --enable-lora to enable LoRA.")
        try:
            config = json.loads((Path(path) / "adapter_config.json").read_text())
            (Path(path) / "adapter_model.safetensors").read_bytes()
        except FileNotFoundError as missing:
            raise error(f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError", 404) from missing
        wrong = ["vLLM only supports modules_to_save being None."] if config.get("modules_to_save") else []
        wrong += ["vLLM does not yet support DoRA."] if config.get("use_dora") else []
        rank = max([config["r"], *config.get("rank_pattern", {}).values()])
        if rank > self.max_lora_rank:
            wrong.append(f"LoRA rank {rank} is greater than max_lora_rank {self.max_lora_rank}.")
        wrong += ["Adapter bias is not supported."] if config.get("bias", "none") != "none" else []
        if wrong:
            raise engine_error(" ".join(wrong))

    async def _read(self, request: web.Request, required: tuple[str, ...]) -> dict[str, Any]:
        """entrypoints/serve/utils/api_utils.py `validate_json_request`, then pydantic; both answer 400.

        serve/lora/protocol.py: plain models, which pass over a field that they do not have.
        """
        if request.headers.get("content-type", "").lower().split(";")[0] != "application/json":
            raise error("Unsupported Media Type: Only 'application/json' is allowed", "Bad Request", 400)
        try:
            body = await request.json()
        except ValueError as wrong:
            raise error("1 validation error: JSON decode error", "Bad Request", 400, "body") from wrong
        for field in required:
            if not isinstance(body, dict) or field not in body:
                raise error(f"1 validation error: Field required: {field}", "Bad Request", 400, f"body.{field}")
            if field != "messages" and not isinstance(body[field], str):
                raise error(f"1 validation error: Input should be a valid string: {field}", "Bad Request", 400, f"body.{field}")
        return body


def card(name: str, *, root: str, parent: str | None) -> dict[str, Any]:
    """A model as it is listed."""
    fields = {"id": name, "object": "model", "created": 1, "owned_by": "vllm", "root": root, "parent": parent}
    return fields | {"max_model_len": 2048 if parent is None else None, "permission": []}


async def completion(request: web.Request, body: dict[str, Any], model: str, said: str) -> web.StreamResponse:
    """A chat completion, in pieces where that was asked for."""
    head = {"id": "chatcmpl-1", "created": 1, "model": model}
    if body.get("stream") is not True:
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    pieces = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": word + " "}, None) for word in said.split()),
        ({}, "stop"),
    ]
    for delta, end in pieces:
        choice = {"index": 0, "delta": delta, "finish_reason": end}
        chunk = {**head, "object": "chat.completion.chunk", "choices": [choice]}
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response
