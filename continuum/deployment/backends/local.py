"""The backend that comes with Continuum: its own server of the tuned models, one base held once and adapters hot.

This is the light front; the server itself is in `local_server.py`.
"""

import logging
from collections.abc import Callable

from continuum.config import Settings
from continuum.deployment.backends.calls import LOAD_S, Calls, Unreachable
from continuum.deployment.backends.protocol import Health, Warmed
from continuum.errors import DeploymentError
from continuum.records import Checkpoint

logger = logging.getLogger(__name__)


class LocalBackend:
    """How a deployer reaches the local server, which finds the adapters in the store by the name it is asked for."""

    name = "local"

    def __init__(self, url: str, settings: Settings) -> None:
        self._calls = Calls(url, settings.serving_api_key)
        self.url = self._calls.url

    async def warm(self, checkpoint: Checkpoint) -> Warmed:
        """Have the model loaded before it gets traffic; not ready when no server answers at the address.

        Raises:
            DeploymentError: the server answers, and cannot serve the model.
        """
        try:
            reply = await self._calls.post(f"{self.url}/load_lora_adapter", {"lora_name": checkpoint.name}, within_s=LOAD_S)
        except Unreachable as error:
            logger.info("%s", error)
            return Warmed(False, f"{error}; start `continuum serve` on the same store")
        if reply.status != 200:
            raise DeploymentError(
                f"the server at {self.url} cannot serve {checkpoint.name!r}: HTTP {reply.status}: {reply.excerpt}; "
                "start `continuum serve` on the same store, or point CONTINUUM_SERVING_URL at it"
            )
        return Warmed(True, reply.excerpt)

    async def unload(self, model: str) -> None:
        """Have the server forget a model; what it is answering ends first.

        Raises:
            DeploymentError: the server did not answer, or refused.
        """
        try:
            reply = await self._calls.post(f"{self.url}/unload_lora_adapter", {"lora_name": model}, within_s=LOAD_S)
        except Unreachable as error:
            raise DeploymentError(f"{model} is not unloaded: {error}") from error
        if reply.status not in (200, 404):
            raise DeploymentError(f"{model} is not unloaded: the server at {self.url} said HTTP {reply.status}: {reply.excerpt}")

    async def health(self) -> Health:
        """Whether the server answers."""
        try:
            reply = await self._calls.get(f"{self._calls.root}/health")
        except Unreachable as error:
            return Health(False, str(error))
        return Health(reply.status == 200, f"HTTP {reply.status}: {reply.excerpt}")

    async def models(self) -> tuple[str, ...]:
        """The models that are loaded.

        Raises:
            DeploymentError: the server did not answer, or not in its own form.
        """
        try:
            reply = await self._calls.get(f"{self.url}/models")
        except Unreachable as error:
            raise DeploymentError(str(error)) from error
        listed = reply.object().get("data")
        if reply.status != 200 or not isinstance(listed, list):
            raise DeploymentError(f"the server at {self.url} lists no models: HTTP {reply.status}: {reply.excerpt}")
        return tuple(str(card["id"]) for card in listed if isinstance(card, dict) and "id" in card)

    async def traffic(self, model: str, share: float) -> None:
        """Nothing to do: the gateway splits."""


async def serve_local(host: str = "127.0.0.1", port: int = 8790, *, on_ready: Callable[[str], None]) -> None:
    """Serve the tuned models of the default store until SIGTERM or Ctrl-C; what has begun is answered.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for a free one.
        on_ready: told the base URL, once it listens.
    """
    from continuum.deployment.backends.local_server import LocalServer
    from continuum.deployment.serving import stop_signal
    from continuum.store import default_store

    stop = stop_signal()
    async with LocalServer(default_store(), host=host, port=port) as server:
        on_ready(server.base_url)
        await stop.wait()
