"""The backend that comes with Continuum: its own server of the tuned models, one base held once and adapters hot.

This is the light front; the server itself is in `local_server.py`.
"""

import logging

from continuum.errors import DeploymentError

logger = logging.getLogger(__name__)

WARM_TIMEOUT_S = 180
"""A base model loads from disk within this."""


class LocalBackend:
    """How a deployer reaches the local server, which finds the adapters in the store by the name it is asked for."""

    name = "local"

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    async def warm(self, model: str) -> bool:
        """Have the model loaded before it gets traffic; False when no server answers at the address.

        Raises:
            DeploymentError: the server answers, and cannot serve the model.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=WARM_TIMEOUT_S, sock_connect=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(f"{self.base_url}/load_lora_adapter", json={"lora_name": model}, allow_redirects=False) as reply,
            ):
                said = (await reply.text())[:300]
                if reply.status != 200:
                    raise DeploymentError(
                        f"the server at {self.base_url} cannot serve {model!r}: HTTP {reply.status}: {said}; "
                        "start `continuum serve` on the same store, or point CONTINUUM_SERVING_URL at it"
                    )
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.info("no server of tuned models answers at %s: %s", self.base_url, error)
            return False
        return True


async def serve_local(host: str = "127.0.0.1", port: int = 8790) -> None:
    """Serve the tuned models of the default store until SIGTERM or Ctrl-C; what has begun is answered."""
    from continuum.deployment.backends.local_server import LocalServer
    from continuum.deployment.serving import stop_signal
    from continuum.store import default_store

    stop = stop_signal()
    async with LocalServer(default_store(), host=host, port=port) as server:
        print(f"tuned models are served at {server.base_url}", flush=True)
        await stop.wait()
