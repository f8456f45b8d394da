"""A Text Generation Inference server as its sources have it: main at db931fcf4 (January 2026, after which it is archived).

Instead of a model, each text and adapter have tokens and log-probabilities of their own, which are always the same.
"""

import json
import random
from typing import Any

from aiohttp import web

from tests.deployment.backends.contract import ContractServer, Refused
from tests.deployment.backends.vllm_contract import completion

KNOWN_PARAMETERS = {
    "best_of", "temperature", "repetition_penalty", "frequency_penalty", "top_k", "top_p", "typical_p", "do_sample",
    "max_new_tokens", "return_full_text", "stop", "truncate", "watermark", "details", "decoder_input_details", "seed",
    "top_n_tokens", "grammar", "adapter_id",
}  # fmt: skip
"""router/src/lib.rs `GenerateParameters`; serde passes over others, and this server fails the test that sends one."""


class Tgi(ContractServer):
    """Knobs are plain attributes.

    Args:
        base: `--model-id`.
        adapters: the names in LORA_ADAPTERS; server/text_generation_server/utils/adapter.py `parse_lora_adapters` splits
            `name=path` pairs at commas.
    """

    def __init__(self, base: str = "tiny", adapters: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.base = base
        self.adapters = adapters
        self.healthy = True
        self.overloaded = False
        self.api_key: str | None = None
        self.jitter = 0.0
        """By how much log-probabilities differ from one time to the next, as on a busy GPU."""
        self.shift = 0.05
        """By how much an adapter moves them."""
        self.changes_tokens = False
        self.drifts = False
        """Whether the base model's tokens change from one time to the next."""
        self.refuses_unknown = False
        """As LoRAX, of which TGI's adapters come, does; TGI itself does not."""
        self._noise = random.Random(0)

    def routes(self) -> list[web.RouteDef]:
        """router/src/server.rs, lines 2202-2244."""
        return [
            web.post("/generate", self._generate),
            web.post("/v1/chat/completions", self._chat),
            web.get("/info", self._info),
            web.get("/health", self._health),
            web.get("/v1/models", self._models),
        ]

    def check(self, request: web.Request) -> None:
        """router/src/server.rs, lines 2213-2236: a key is asked for on the routes that generate, an empty 401 else."""
        guarded = request.path in ("/generate", "/v1/chat/completions")
        if self.api_key and guarded and request.headers.get("authorization", "").lower() != f"bearer {self.api_key}".lower():
            raise Refused(401)

    async def _health(self, request: web.Request) -> web.Response:
        """router/src/server.rs `health`."""
        if not self.healthy:
            raise Refused(503, {"error": "unhealthy", "error_type": "healthcheck"})
        return web.Response()

    async def _info(self, request: web.Request) -> web.Response:
        """router/src/lib.rs `Info`: the base model and limits; of adapters it says nothing."""
        limits = {"max_concurrent_requests": 128, "max_best_of": 2, "max_stop_sequences": 4, "max_input_tokens": 1024}
        limits |= {"max_total_tokens": 2048, "validation_workers": 2, "max_client_batch_size": 4}
        named = {"model_id": self.base, "model_sha": None, "model_pipeline_tag": "text-generation"}
        built = {"router": "text-generation-router", "version": "3.3.6", "sha": None, "docker_label": None}
        return web.json_response(named | limits | built)

    async def _models(self, request: web.Request) -> web.Response:
        """router/src/server.rs `openai_get_model_info`: the base model, and nothing else."""
        card = {"id": self.base, "object": "model", "created": 0, "owned_by": self.base}
        return web.json_response({"object": "list", "data": [card]})

    async def _generate(self, request: web.Request) -> web.Response:
        """router/src/server.rs `generate`, router/src/validation.rs `validate`; answer as lib.rs `GenerateResponse`."""
        body = await self._read(request, "inputs", str)
        parameters = body.get("parameters", {})
        assert set(parameters) <= KNOWN_PARAMETERS, parameters
        if not body["inputs"]:
            raise self._invalid("`inputs` cannot be empty")
        if parameters.get("max_new_tokens") == 0:
            raise self._invalid("`max_new_tokens` must be strictly positive")
        if parameters.get("temperature") is not None and parameters["temperature"] <= 0:
            raise self._invalid("`temperature` must be strictly positive")
        # `do_sample` is false unless it is given, in parameters that are given (serde's default of a bool).
        assert parameters.get("do_sample") is False, "answers that are compared are not drawn"
        tokens = self._tokens(body["inputs"], parameters.get("adapter_id"), parameters.get("max_new_tokens", 100))
        answer: dict[str, Any] = {"generated_text": "".join(token["text"] for token in tokens)}
        if parameters.get("details"):
            head = {"finish_reason": "length", "generated_tokens": len(tokens), "seed": None, "prefill": []}
            answer["details"] = head | {"tokens": tokens}
        return web.json_response(answer)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        """router/src/lib.rs `try_into_generate`: any model but "tgi" is an adapter's name; the answer repeats the name."""
        body = await self._read(request, "messages", list)
        if self.overloaded:
            raise Refused(429, {"error": "Model is overloaded", "error_type": "overloaded"})
        model = body.get("model")
        answers = model if self._known(model) else "the base model"
        name = self.base if model in (None, "tgi") else model
        return await completion(request, body, name, f"{answers} was asked: {body['messages'][-1]['content']}")

    def _known(self, adapter: str | None) -> bool:
        """server/text_generation_server/models/flash_causal_lm.py, line 1067: a name that is not known has index 0, the base."""
        if adapter not in (None, "tgi", *self.adapters) and self.refuses_unknown:
            raise self._invalid(f"adapter {adapter} is not available")
        return adapter in self.adapters

    def _tokens(self, inputs: str, adapter: str | None, length: int) -> list[dict[str, Any]]:
        """router/src/lib.rs `Token`."""
        if self.overloaded:
            raise Refused(429, {"error": "Model is overloaded", "error_type": "overloaded"})
        known = self._known(adapter)
        drawn = random.Random(f"{inputs}{adapter if known and self.changes_tokens else ''}")
        tokens = []
        for _ in range(length):
            number, logprob = drawn.randrange(1000), -drawn.random()
            logprob += (self.shift if known else 0.0) + self.jitter * self._noise.uniform(-1, 1)
            number += self._noise.randrange(9) if self.drifts else 0
            tokens.append({"id": number, "text": f" {number}", "logprob": logprob, "special": False})
        return tokens

    def _invalid(self, words: str) -> Refused:
        """router/src/server.rs, line 2404: `InferError` as status and `ErrorResponse`."""
        return Refused(422, {"error": f"Input validation error: {words}", "error_type": "validation"})

    async def _read(self, request: web.Request, field: str, kind: type) -> dict[str, Any]:
        """axum's `Json` extractor: 415 for another type, 400 for no JSON, 422 for another shape; each as plain text."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="Expected request with `Content-Type: application/json`")
        try:
            body = json.loads(await request.read())
        except ValueError as wrong:
            raise web.HTTPBadRequest(text="Failed to parse the request body as JSON") from wrong
        if not isinstance(body, dict) or not isinstance(body.get(field), kind):
            raise web.HTTPUnprocessableEntity(text=f"Failed to deserialize the JSON body into the target type: {field}")
        return body
