"""vLLM: adapters are loaded into a server that runs, through its runtime LoRA endpoints.

A started server takes adapters when it has `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True` in its environment, `--enable-lora` and
a `--max-lora-rank` that is large enough, and sees the folder of the checkpoints under the same path as Continuum. What was
loaded is gone when the server starts again; warming the checkpoint again brings it back.
"""

import asyncio
import logging
import re
from typing import Any

from continuum.artifacts.copies import local
from continuum.config import Settings
from continuum.deployment.backends.bases import is_base
from continuum.deployment.backends.calls import LOAD_S, Calls, Reply, Unreachable
from continuum.deployment.backends.protocol import Health, Warmed
from continuum.errors import DeploymentError
from continuum.records import Checkpoint

logger = logging.getLogger(__name__)

SWITCH = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
TOO_LARGE = re.compile(r"LoRA rank \d+ is greater than max_lora_rank \d+")
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` may be."""


class VllmBackend:
    """A vLLM server at an OpenAI-compatible base URL."""

    name = "vllm"

    def __init__(self, url: str, settings: Settings) -> None:
        self._calls = Calls(url, settings.serving_api_key)
        self.url = self._calls.url

    async def warm(self, checkpoint: Checkpoint) -> Warmed:
        """Load the checkpoint's adapter, unless it is loaded.

        Raises:
            DeploymentError: the server answers, and does not take the adapter; the message names the flag to set.
        """
        folder = await asyncio.to_thread(folder_of, checkpoint)
        try:
            cards = await self._cards()
            served = card_of(checkpoint.name, cards)
            if served is None:
                self._require_base(checkpoint, cards)
                reply = await self._calls.post(
                    # The two fields that every release knows.
                    f"{self.url}/load_lora_adapter",
                    {"lora_name": checkpoint.name, "lora_path": folder},
                    within_s=LOAD_S,
                )
                if reply.status == 200:
                    return Warmed(True, reply.excerpt)
                if "already been loaded" not in message_of(reply):
                    raise DeploymentError(
                        f"the vLLM server at {self.url} does not take {checkpoint.name}: {cure(reply, checkpoint, folder)}"
                    )
                # Somebody else was faster.
                served = card_of(checkpoint.name, await self._cards())
        except Unreachable as error:
            logger.info("%s", error)
            return Warmed(False, f"{error}; start `{SWITCH} vllm serve {checkpoint.base_model} --enable-lora` there")
        if served is None or served.get("root") != folder:
            found = "nothing" if served is None else repr(served.get("root"))
            raise DeploymentError(
                f"the vLLM server at {self.url} serves {found} under the name {checkpoint.name}, and the checkpoint lies in "
                f"{folder!r}; take that one away with POST {self.url}/unload_lora_adapter, or mount the checkpoints there under "
                "the same path as here"
            )
        return Warmed(True, f"{checkpoint.name} is loaded already from {folder}")

    async def unload(self, model: str) -> None:
        """Have the server forget an adapter; what has begun is answered by it to the end.

        Raises:
            DeploymentError: the server did not answer, or refused.
        """
        try:
            reply = await self._calls.post(f"{self.url}/unload_lora_adapter", {"lora_name": model})
            self._require_key(reply)
            missing = reply.status == 404
            if reply.status == 200 or (missing and card_of(model, await self._cards()) is None):
                return
        except Unreachable as error:
            raise DeploymentError(f"{model} is not unloaded: {error}") from error
        start = f"; start it with {SWITCH} in its environment" if missing else ""
        raise DeploymentError(
            f"{model} is not unloaded: the vLLM server at {self.url} said HTTP {reply.status}: {message_of(reply)}{start}"
        )

    async def health(self) -> Health:
        """Whether the server and its engine run."""
        try:
            reply = await self._calls.get(f"{self._calls.root}/health")
        except Unreachable as error:
            return Health(False, str(error))
        up = reply.status == 200
        return Health(up, "the engine answers" if up else f"HTTP {reply.status}: the engine is dead; start the server again")

    async def models(self) -> tuple[str, ...]:
        """The adapters that are loaded.

        Raises:
            DeploymentError: the server did not answer, asks for another key, or is no vLLM.
        """
        try:
            cards = await self._cards()
        except Unreachable as error:
            raise DeploymentError(str(error)) from error
        return tuple(str(card["id"]) for card in cards if card.get("parent"))

    async def traffic(self, model: str, share: float) -> None:
        """Nothing to do: the gateway splits."""

    async def _cards(self) -> list[dict[str, Any]]:
        reply = await self._calls.get(f"{self.url}/models")
        self._require_key(reply)
        listed = reply.object().get("data")
        if reply.status != 200 or not isinstance(listed, list):
            raise DeploymentError(
                f"{self.url} does not list models as vLLM does: HTTP {reply.status}: {reply.excerpt}; "
                "give the base URL of a vLLM server, such as http://127.0.0.1:8000/v1"
            )
        return [card for card in listed if isinstance(card, dict) and "id" in card]

    def _require_key(self, reply: Reply) -> None:
        if reply.status == 401:
            raise DeploymentError(f"the vLLM server at {self.url} asks for a key; set CONTINUUM_SERVING_API_KEY to its --api-key")

    def _require_base(self, checkpoint: Checkpoint, cards: list[dict[str, Any]]) -> None:
        names = [str(name) for card in cards if not card.get("parent") for name in (card["id"], card.get("root")) if name]
        if not any(is_base(name, checkpoint.base_model) for name in names):
            raise DeploymentError(
                f"the vLLM server at {self.url} serves {' or '.join(sorted(set(names))) or 'no base model'}, and "
                f"{checkpoint.name} was trained on {checkpoint.base_model}; an adapter answers nonsense on another base: start "
                f"`vllm serve {checkpoint.base_model} --enable-lora`, with `--served-model-name {checkpoint.base_model}` where "
                "its weights lie under another name"
            )


def folder_of(checkpoint: Checkpoint) -> str:
    """Where a checkpoint's files lie, as a server on the same disk finds them."""
    return str(local(checkpoint.uri).absolute())


def card_of(name: str, cards: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How a model is listed, or None."""
    return next((card for card in cards if card["id"] == name), None)


def message_of(reply: Reply) -> str:
    """The server's own words on what it refused."""
    error = reply.object().get("error")
    return str(error.get("message"))[:400] if isinstance(error, dict) else reply.excerpt


def cure(reply: Reply, checkpoint: Checkpoint, folder: str) -> str:
    """What was wrong with a load, and what to do about it."""
    said = message_of(reply)
    if "No adapter found" in said:
        return (
            f"it sees no adapter in {folder}; give it the same folder under the same path, such as `docker run -v "
            f"{folder}:{folder}:ro`"
        )
    if reply.status in (404, 405):
        return (
            "it has no route to load adapters while it runs; start it with "
            f"`{SWITCH} vllm serve {checkpoint.base_model} --enable-lora`, on a network that only Continuum reaches"
        )
    if rank := TOO_LARGE.search(said):
        return f"{rank[0]}; start it with --max-lora-rank {rank_for(checkpoint)}"
    if "--enable-lora" in said:
        return f"LoRA is not enabled; start it with `{SWITCH} vllm serve {checkpoint.base_model} --enable-lora`"
    return f"HTTP {reply.status}: {said}"


def rank_for(checkpoint: Checkpoint) -> str:
    """The least value of `--max-lora-rank` that takes a checkpoint."""
    rank = checkpoint.config.get("lora_rank")
    if not isinstance(rank, int):
        return "of at least the adapter's r"
    return str(next((value for value in RANKS if value >= rank), rank))
