"""Ollama: a checkpoint becomes a model of its own name, from a base that Ollama has and an adapter, or from merged weights.

Ollama turns what it is given into its own format. It takes a checkpoint's adapter where that keeps its meaning on the way and
Ollama has the base model under the base's name, such as `gemma-2-2b-it` for `google/gemma-2-2b-it`; from all others it gets
the merged model. `obstacle` says which is which, and why.
"""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from continuum.artifacts.copies import local
from continuum.config import Settings
from continuum.deployment.backends.bases import is_base
from continuum.deployment.backends.calls import LOAD_S, Calls, Reply, Unreachable
from continuum.deployment.backends.merging import architecture_of, merged_weights
from continuum.deployment.backends.protocol import Health, Warmed
from continuum.errors import DeploymentError
from continuum.records import Checkpoint

logger = logging.getLogger(__name__)

SEND_S = 3600.0
"""A file is sent within this."""
CREATE_S = 3600.0
"""Files are converted within this."""
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
"""What Ollama takes for a model's name."""
CHECKPOINT = re.compile(r"-v\d+$")
ADAPTED = re.compile(
    r"base_model\.model\.model\.layers\.\d+\.(?:self_attn|mlp)\.(?P<module>(?:q|k|v|o|gate|up|down)_proj)\.lora_[AB]\.weight"
)
"""The tensors of an adapter that Ollama's converter knows a name for."""
TURNED = ("q_proj", "k_proj")
MERGED_FILES = (".safetensors", ".json", ".model")


class OllamaBackend:
    """An Ollama server at its OpenAI-compatible base URL, such as http://127.0.0.1:11434/v1."""

    name = "ollama"

    def __init__(self, url: str, settings: Settings) -> None:
        self._calls = Calls(url, settings.serving_api_key)
        self._settings = settings
        self.url = self._calls.url

    async def warm(self, checkpoint: Checkpoint) -> Warmed:
        """Make a model of the checkpoint's name, unless it is there, and have it loaded into memory.

        Raises:
            DeploymentError: the server answers, and does not take the model; the message says what to change.
        """
        if not NAME.fullmatch(checkpoint.name):
            raise DeploymentError(
                f"Ollama cannot call a model {checkpoint.name!r}: a name there has at most 80 characters and begins with a "
                "letter, a digit or '_'; rename the task"
            )
        try:
            license_text = await self._license(checkpoint.name)
            if license_text is None:
                words = await self._create(checkpoint)
            elif mark_of(checkpoint.id) in license_text:
                words = "it was there already"
            else:
                raise DeploymentError(
                    f"the Ollama server at {self.url} has another model under the name {checkpoint.name}; take that one away "
                    f"with `ollama rm {checkpoint.name}`, or give each installation of Continuum a server of its own"
                )
            return await self._load(checkpoint.name, words)
        except Unreachable as error:
            logger.info("%s", error)
            return Warmed(False, f"{error}; start `ollama serve` there")

    async def unload(self, model: str) -> None:
        """Take a model off the server's disk; what it is answering ends first.

        Raises:
            DeploymentError: the server did not answer, or refused.
        """
        try:
            # It leaves the memory once nobody waits for an answer of it.
            left = await self._calls.post(f"{self._calls.root}/api/generate", {"model": model, "keep_alive": 0, "stream": False})
            if left.status not in (200, 404):
                raise DeploymentError(f"{model} is not unloaded: {self._refused(left)}")
            gone = await self._calls.delete(f"{self._calls.root}/api/delete", {"model": model})
        except Unreachable as error:
            raise DeploymentError(f"{model} is not unloaded: {error}") from error
        if gone.status not in (200, 404):
            raise DeploymentError(f"{model} is not unloaded: {self._refused(gone)}")

    async def health(self) -> Health:
        """Whether the server answers."""
        try:
            reply = await self._calls.get(f"{self._calls.root}/api/version")
        except Unreachable as error:
            return Health(False, str(error))
        version = reply.object().get("version")
        if reply.status == 200 and version is not None:
            return Health(True, f"Ollama {version}")
        return Health(False, self._refused(reply))

    async def models(self) -> tuple[str, ...]:
        """The models that were made of checkpoints.

        Raises:
            DeploymentError: the server did not answer, or is no Ollama.
        """
        try:
            names = [name for name, _ in await self._listed() if CHECKPOINT.search(name)]
            licenses = [await self._license(name) for name in names]
        except Unreachable as error:
            raise DeploymentError(str(error)) from error
        return tuple(name for name, text in zip(names, licenses, strict=True) if text is not None and mark_of("") in text)

    async def traffic(self, model: str, share: float) -> None:
        """Nothing to do: the gateway splits."""

    async def _create(self, checkpoint: Checkpoint) -> str:
        folder = await asyncio.to_thread(local, checkpoint.uri)
        base, family = await self._base(checkpoint)
        if base is None:
            why: str | None = f"the server has no model that is called as {checkpoint.base_model} is"
        else:
            why = await asyncio.to_thread(obstacle, folder, family)
        if why is None:
            files = [folder / ADAPTER_CONFIG, folder / ADAPTER_WEIGHTS]
            await self._made(checkpoint, {"from": base, "adapters": await self._sent(files)}, "its adapter")
            return f"made of {base} and the adapter"
        logger.info("%s is merged with %s: %s", checkpoint.name, checkpoint.base_model, why)
        async with merged_weights(checkpoint, self._settings) as merged:
            files = sorted(path for path in merged.iterdir() if path.suffix in MERGED_FILES)
            what = f"a merged {architecture_of(merged)}"
            await self._made(checkpoint, {"files": await self._sent(files)}, what)
        return f"made of merged weights: {why}"

    async def _made(self, checkpoint: Checkpoint, source: dict[str, Any], what: str) -> None:
        body = {"model": checkpoint.name, **source, "license": mark_of(checkpoint.id), "stream": False}
        reply = await self._calls.post(f"{self._calls.root}/api/create", body, within_s=CREATE_S)
        if reply.status == 200 and reply.object().get("status") == "success":
            return
        said = self._refused(reply)
        cure = "; a newer Ollama may take it, and vLLM serves it as it is" if "unsupported architecture" in said else ""
        raise DeploymentError(f"{checkpoint.name} cannot be made of {what}: {said}{cure}")

    async def _load(self, model: str, words: str) -> Warmed:
        # A request without a prompt loads the model and says nothing.
        body = {"model": model, "stream": False}
        reply = await self._calls.post(f"{self._calls.root}/api/generate", body, within_s=LOAD_S)
        if reply.status == 503:
            return Warmed(False, f"{model} is not loaded yet: {self._refused(reply)}")
        if reply.status != 200:
            raise DeploymentError(f"{model} is there and cannot be loaded: {self._refused(reply)}")
        return Warmed(True, f"{model} is loaded; {words}")

    async def _sent(self, files: Iterable[Path]) -> dict[str, str]:
        """Have the server hold the files; their names and what they are known by there."""
        digests: dict[str, str] = {}
        for path in files:
            digest = f"sha256:{await asyncio.to_thread(sha256_of, path)}"
            address = f"{self._calls.root}/api/blobs/{digest}"
            if (await self._calls.head(address)).status != 200:
                reply = await self._calls.send(address, path, within_s=SEND_S)
                if reply.status not in (200, 201):
                    raise DeploymentError(f"{path.name} was not taken: {self._refused(reply)}")
            digests[path.name] = digest
        return digests

    async def _base(self, checkpoint: Checkpoint) -> tuple[str | None, str]:
        """The server's model that is called as the checkpoint's base model is, and its family."""
        listed = await self._listed()
        return next(((name, family) for name, family in listed if is_base(name, checkpoint.base_model)), (None, ""))

    async def _listed(self) -> list[tuple[str, str]]:
        """Names, the tag left out where it is the default, and families of the server's models."""
        reply = await self._calls.get(f"{self._calls.root}/api/tags")
        listed = reply.object().get("models")
        if reply.status != 200 or not (isinstance(listed, list) or listed is None):
            raise DeploymentError(
                f"{self.url} does not list models as Ollama does: {self._refused(reply)}; "
                "give the base URL of an Ollama server, such as http://127.0.0.1:11434/v1"
            )
        models = [model for model in listed or () if isinstance(model, dict) and isinstance(model.get("model"), str)]
        return [(model["model"].removesuffix(":latest"), str((model.get("details") or {}).get("family"))) for model in models]

    async def _license(self, model: str) -> str | None:
        """The license text of a model, where the checkpoint's mark stands; None where there is no such model."""
        reply = await self._calls.post(f"{self._calls.root}/api/show", {"model": model})
        if reply.status == 404 and "error" in reply.object():
            return None
        if reply.status != 200:
            raise DeploymentError(
                f"what answers at {self.url} does not tell of {model} as Ollama does: {self._refused(reply)}; "
                "give the base URL of an Ollama server, such as http://127.0.0.1:11434/v1"
            )
        return str(reply.object().get("license") or "")

    def _refused(self, reply: Reply) -> str:
        """The server's own words on what it refused."""
        said = f"HTTP {reply.status}: {reply.object().get('error') or reply.excerpt}"
        if reply.status == 403 and not reply.text:
            return f"HTTP 403: the server listens on loopback and knows no host of the name in {self.url}; ask it at 127.0.0.1"
        return said


def mark_of(checkpoint_id: str) -> str:
    """What stands in the license text of a model that was made of a checkpoint, and by what it is known again."""
    return f"Made by Continuum of checkpoint {checkpoint_id}"


def obstacle(folder: Path, family: str) -> str | None:
    """Why an adapter would not be the same one after Ollama's converter; None where it would.

    The converter (ollama fb30760, `convert/convert.go` `ConvertAdapter`) takes bases of two families, knows tensors by the
    names that PEFT gives to the linear layers of attention and MLP, and keeps one number of the configuration, an integral
    alpha. For llama it reorders the rows of `lora_A` of q_proj and k_proj (`convert_llama_adapter.go`), where the rows of the
    base that it reorders (`convert_llama.go`) are those that `lora_B` adds to; so those two would be added to the wrong rows.

    Args:
        folder: the adapter's, verified.
        family: of the base, as Ollama lists it.
    """
    if family not in ("llama", "gemma2"):
        return f"Ollama converts adapters of llama and gemma2 models only, and the base is a {family} model"
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    kept = [name for name in ("use_rslora", "use_dora", "fan_in_fan_out", "alpha_pattern", "modules_to_save") if config.get(name)]
    if kept:
        return f"Ollama's converter of adapters knows nothing of {', '.join(kept)}"
    if not isinstance(config.get("lora_alpha"), int):
        return f"Ollama's converter of adapters takes a whole number for lora_alpha, not {config.get('lora_alpha')!r}"
    for tensor in tensor_names(folder / ADAPTER_WEIGHTS):
        known = ADAPTED.fullmatch(tensor)
        if known is None:
            return f"Ollama's converter of adapters knows no layer for {tensor[:100]}"
        if family == "llama" and known["module"] in TURNED:
            return f"Ollama's converter would add {known['module']} to the wrong rows of a llama model"
    return None


def tensor_names(path: Path) -> list[str]:
    """The names in the header of a safetensors file that has been verified."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return [name for name in header if name != "__metadata__"]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
