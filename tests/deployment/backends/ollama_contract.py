"""An Ollama server as its sources have it at fb3076099 (github.com/ollama/ollama), the file beside each route.

Weights are not run: what is stored is read and checked as the converter does, and a completion says which model was asked.
"""

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.deployment.backends.contract import ContractServer, Refused
from tests.deployment.backends.vllm_contract import completion

PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
CONVERTED = {
    *("LlamaForCausalLM", "MllamaForConditionalGeneration", "Llama4ForConditionalGeneration", "MixtralForCausalLM"),
    *("Mistral3ForConditionalGeneration", "Ministral3ForCausalLM", "GemmaForCausalLM", "Gemma2ForCausalLM"),
    *("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", "Gemma3TextModel", "Gemma3nForConditionalGeneration"),
    *("Gemma4ForCausalLM", "Gemma4ForConditionalGeneration", "Phi3ForCausalLM", "Qwen2ForCausalLM"),
    *("Qwen2_5_VLForConditionalGeneration", "Qwen3VLForConditionalGeneration", "Qwen3VLMoeForConditionalGeneration"),
    *("Olmo3ForCausalLM", "BertModel", "NomicBertModel", "NomicBertMoEModel", "CohereForCausalLM", "GptOssForCausalLM"),
    *("DeepseekOCRForCausalLM", "DeepseekV3ForCausalLM", "Glm4MoeLiteForCausalLM", "LagunaForCausalLM"),
    *("GlmOcrForConditionalGeneration", "Lfm2ForCausalLM", "Lfm2MoeForCausalLM", "Lfm2VlForConditionalGeneration"),
    *("Qwen3NextForCausalLM", "Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration"),
    *("NemotronH_Nano_VL_V2", "NemotronH_Nano_Omni_Reasoning_V3", "NemotronHForCausalLM"),
}
"""convert/convert.go `LoadModelMetadata`; Qwen3ForCausalLM and MistralForCausalLM are not among them."""


@dataclass
class Made:
    """A model: what its manifest names."""

    name: str
    family: str
    license: str = ""
    source: str = "pulled"
    template: str = ""


def refusal(status: int, message: str) -> Refused:
    """server/routes.go: `gin.H{"error": ...}`."""
    return Refused(status, {"error": message})


class Ollama(ContractServer):
    """Knobs are plain attributes.

    Args:
        bases: models that are there when it starts, by name, with their families.
    """

    def __init__(self, **bases: str) -> None:
        super().__init__()
        self.models = {name.lower(): Made(name, family) for name, family in bases.items()}
        self.blobs: dict[str, bytes] = {}
        self.loaded: set[str] = set()
        self.conversion_fails: str | None = None
        self.runner_fails: str | None = None
        self.queue_is_full = False
        self.knows_host = True

    def routes(self) -> list[web.RouteDef]:
        """server/routes.go `GenerateRoutes`."""
        return [
            web.get("/api/version", self._version),
            web.get("/api/tags", self._tags),
            web.post("/api/show", self._show),
            web.post("/api/create", self._create),
            web.head("/api/blobs/{digest}", self._head_blob),
            web.post("/api/blobs/{digest}", self._create_blob),
            web.delete("/api/delete", self._delete),
            web.post("/api/generate", self._generate),
            web.post("/v1/chat/completions", self._chat),
        ]

    def not_found(self) -> web.Response:
        """gin's own."""
        return web.Response(text="404 page not found", status=404)

    def check(self, request: web.Request) -> None:
        """server/routes.go `allowedHostsMiddleware`: bound to loopback, it answers other host names with an empty 403."""
        if not self.knows_host:
            raise Refused(403)

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.0.0"})

    async def _tags(self, request: web.Request) -> web.Response:
        """`ListHandler`; entries as server/model_list_cache.go makes them. Go writes an empty list as null or []."""
        listed = [
            {
                "name": f"{made.name}:latest",
                "model": f"{made.name}:latest",
                "modified_at": "2026-08-21T18:48:22Z",
                "size": 1,
                "digest": hashlib.sha256(made.name.encode()).hexdigest(),
                "details": {"parent_model": "", "format": "gguf", "family": made.family, "families": [made.family]},
            }
            for made in self.models.values()
        ]
        return web.json_response({"models": listed or None})

    async def _show(self, request: web.Request) -> web.Response:
        """`ShowHandler`, `GetModelInfo`."""
        body = await self._read(request)
        asked = body.get("model") or body.get("name")
        if not asked:
            raise refusal(400, "model is required")
        made = self.models.get(self._name(asked, "unqualified name"))
        if made is None:
            raise refusal(404, f"model '{asked}:latest' not found")
        details = {"format": "gguf", "family": made.family, "families": [made.family]}
        fields = {
            "modelfile": "",
            "template": made.template,
            "details": details,
            "model_info": {},
            "capabilities": ["completion"],
        }
        return web.json_response({**fields, **({"license": made.license} if made.license else {})})

    async def _head_blob(self, request: web.Request) -> web.Response:
        """`HeadBlobHandler`."""
        if self._digest(request.match_info["digest"]) not in self.blobs:
            raise refusal(404, f'blob "{request.match_info["digest"]}" not found')
        return web.Response()

    async def _create_blob(self, request: web.Request) -> web.Response:
        """`CreateBlobHandler`: 200 for one that is there, 201 for a new one, 400 for other bytes than were announced."""
        wanted = self._digest(request.match_info["digest"])
        if wanted in self.blobs:
            return web.Response()
        content = await request.read()
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if found != request.match_info["digest"]:
            raise refusal(400, f'digest mismatch, expected "{request.match_info["digest"]}", got "{found}"')
        self.blobs[found] = content
        return web.Response(status=201)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        """server/create.go `CreateHandler`, `createModel`; unstreamed as routes.go `waitForStream` answers."""
        body = await self._read(request)
        if body.get("stream", True) is not False:
            raise AssertionError("the contract answers unstreamed only")
        for file, digest in (body.get("files") or {}).items():
            self._relative(file)
            if not digest:
                raise refusal(400, "invalid digest format")
        if not all((body.get("adapters") or {}).values()):
            raise refusal(400, "invalid digest format")
        name = self._name(body.get("model") or body.get("name") or "", "invalid model name")
        if self.conversion_fails:
            raise refusal(500, self.conversion_fails)
        if body.get("from"):
            base = self.models.get(self._name(body["from"], "invalid model name"))
            if base is None:
                # `parseFromModel` would pull it, and has nowhere to pull it from.
                raise refusal(500, "pull model manifest: file does not exist")
            made = Made(body["model"], base.family, base.license, base.name, base.template)
        elif body.get("files") is not None:
            made = self._converted_model(body["model"], self._files(body["files"]))
        else:
            raise refusal(400, "neither 'from' or 'files' was specified")
        if body.get("adapters") is not None:
            self._convert_adapter(made, self._files(body["adapters"]))
        made.license = "\n".join(text for text in (made.license, body.get("license") or "") if text)
        self.models[name] = made
        return web.json_response({"status": "success"})

    async def _delete(self, request: web.Request) -> web.Response:
        """`DeleteHandler`: an empty 200. `Manifest.RemoveLayers` takes the blobs along that no other model needs."""
        asked = (await self._read(request)).get("model") or ""
        if self.models.pop(self._name(asked, f'name "{asked}" is invalid'), None) is None:
            raise refusal(404, f"model '{asked}' not found")
        return web.Response()

    async def _generate(self, request: web.Request) -> web.Response:
        """`GenerateHandler`: no prompt loads the model, and no prompt with keep_alive 0 lets it go."""
        body = await self._read(request)
        asked = body.get("model") or ""
        name = self._name(asked, f"model '{asked}' not found", status=404)
        if name not in self.models:
            raise refusal(404, f"model '{asked}' not found")
        if body.get("prompt"):
            raise AssertionError("nobody asks for a text here")
        if body.get("keep_alive") == 0:
            self.loaded.discard(name)
            return web.json_response({"model": asked, "response": "", "done": True, "done_reason": "unload"})
        self._schedule(name)
        return web.json_response({"model": asked, "response": "", "done": True, "done_reason": "load"})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        """middleware/openai.go `ChatMiddleware` before `ChatHandler`; errors in OpenAI's form by openai/openai.go `NewError`."""
        try:
            body = await self._read(request)
            if not body.get("messages"):
                raise refusal(400, "[] is too short - 'messages'")
            name = self._name(body.get("model") or "", "model is required")
            if name not in self.models:
                raise refusal(404, f"model '{body['model']}' not found")
            self._schedule(name)
        except Refused as refused:
            kind = {400: "invalid_request_error", 404: "not_found_error"}.get(refused.status, "api_error")
            error = {"message": refused.content["error"], "type": kind, "param": None, "code": None}
            raise Refused(refused.status, {"error": error}) from refused
        made = self.models[name]
        said = f"{made.name} of {made.source} was asked: {body['messages'][-1]['content']}"
        return await completion(request, body, body["model"], said)

    def _schedule(self, name: str) -> None:
        """`handleScheduleError`: a full queue is 503, a runner that does not start 500."""
        if self.queue_is_full:
            raise refusal(503, "server busy, please try again.  maximum pending requests exceeded")
        if self.runner_fails:
            raise refusal(500, self.runner_fails)
        self.loaded.add(name)

    def _files(self, digests: dict[str, str]) -> dict[str, bytes]:
        """`convertModelFromFiles`, `detectModelTypeFromFiles`, `convertFromSafetensors`."""
        if not any(name.endswith(".safetensors") for name in digests):
            raise refusal(400, "unknown type")
        for name in digests:
            self._relative(name)
        try:
            return {name: self.blobs[self._digest(digest, 500)] for name, digest in digests.items()}
        except KeyError as missing:
            raise refusal(500, f"open /models/blobs/{str(missing).strip(chr(39))}: no such file or directory") from missing

    def _converted_model(self, name: str, files: dict[str, bytes]) -> Made:
        """convert/convert.go `ConvertModel`, convert/tokenizer.go, convert/reader.go; whatever fails is a 500."""
        if "config.json" not in files:
            raise refusal(500, "open config.json: no such file or directory")
        architectures = json.loads(files["config.json"]).get("architectures") or []
        if not architectures:
            raise refusal(500, "unknown architecture")
        if architectures[0] not in CONVERTED:
            raise refusal(500, f'unsupported architecture "{architectures[0]}"')
        if not {"tokenizer.model", "tokenizer.json"} & set(files):
            raise refusal(500, "unknown tokenizer format")
        template = json.loads(files.get("tokenizer_config.json", b"{}")).get("chat_template", "")
        for file, content in files.items():
            if file.endswith(".safetensors"):
                tensors(content)
        family = re.sub(r"(MoE|VL|Vl)?For.*", "", architectures[0]).lower()
        return Made(name, family, source="files", template=template)

    def _convert_adapter(self, made: Made, files: dict[str, bytes]) -> None:
        """convert/convert.go `ConvertAdapter`, `AdapterParameters`; whatever fails is a 400 here."""
        if "adapter_config.json" not in files:
            raise refusal(400, "open adapter_config.json: no such file or directory")
        alpha = json.loads(files["adapter_config.json"]).get("lora_alpha", 0)
        if not isinstance(alpha, int) or alpha < 0:
            where = "Go struct field AdapterParameters.lora_alpha of type uint32"
            raise refusal(400, f"json: cannot unmarshal number {alpha} into {where}")
        if made.family not in ("llama", "gemma2"):
            raise refusal(400, "unsupported architecture")
        for file, content in files.items():
            if file.endswith(".safetensors"):
                tensors(content)
        made.source = f"{made.source} and an adapter"

    def _name(self, name: str, invalid: str, *, status: int = 400) -> str:
        """types/model/name.go `ParseName`, `IsValid`; server/routes.go `getExistingName` looks past upper and lower case."""
        bare = name.removesuffix(":latest")
        if not PART.fullmatch(bare):
            raise refusal(status, invalid)
        return bare.lower()

    def _relative(self, file: str) -> None:
        """Go's `fs.ValidPath`."""
        if file != "." and any(part in ("", ".", "..") for part in file.split("/")):
            raise refusal(400, "file path must be relative")

    def _digest(self, digest: str, status: int = 400) -> str:
        """manifest/paths.go `BlobsPath`."""
        if not DIGEST.fullmatch(digest):
            raise refusal(status, "invalid digest format")
        return digest.replace("-", ":", 1)

    async def _read(self, request: web.Request) -> dict[str, Any]:
        """gin's `ShouldBindJSON`: the content type is not looked at; api/types.go has the types of fields."""
        raw = await request.read()
        if not raw:
            raise refusal(400, "missing request body")
        try:
            body = json.loads(raw)
        except ValueError as wrong:
            raise refusal(400, "invalid character in JSON") from wrong
        kinds = {"model": str, "from": str, "files": dict, "adapters": dict, "stream": bool, "messages": list}
        for field, kind in kinds.items():
            if body.get(field) is not None and not isinstance(body[field], kind):
                raise refusal(400, f"json: cannot unmarshal {type(body[field]).__name__} into Go struct field {field}")
        return body


def tensors(content: bytes) -> dict[str, Any]:
    """convert/reader_safetensors.go `parseSafetensors`."""
    try:
        (size,) = struct.unpack("<q", content[:8])
        header = json.loads(content[8 : 8 + size])
        assert len(content) >= 8 + size
    except (struct.error, ValueError, AssertionError) as wrong:
        raise refusal(500, "unexpected EOF") from wrong
    return header
