"""How a backend's server is asked: no redirect is followed, no proxy of the environment used, and every wait has an end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import SecretStr

from continuum.errors import ContinuumError

CONNECT_S = 5.0
ASK_S = 30.0
"""A question that starts no work is answered within this."""
LOAD_S = 300.0
"""A model loads from disk within this."""
MAX_REPLY_BYTES = 4 * 2**20


class Unreachable(ContinuumError):
    """No server answered at an address."""


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    text: str

    @property
    def excerpt(self) -> str:
        """The beginning of it, for a message: a server's own words, without line ends."""
        return " ".join(self.text[:400].split())

    def object(self) -> dict[str, Any]:
        """The JSON object that it is; empty when it is something else."""
        try:
            content = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}


class Calls:
    """The server at one address.

    Args:
        url: its base URL with the `/v1`.
        key: what it asks for as a bearer token, where it does.
    """

    def __init__(self, url: str, key: SecretStr | None = None) -> None:
        self.url = url.rstrip("/")
        self.root = self.url.removesuffix("/v1")
        """Where the routes are that lie beside OpenAI's."""
        self._key = key

    async def get(self, url: str, *, within_s: float = ASK_S) -> Reply:
        """Ask with GET.

        Raises:
            Unreachable: no server answered.
        """
        return await self._ask("GET", url, None, within_s)

    async def post(self, url: str, body: Mapping[str, Any], *, within_s: float = ASK_S) -> Reply:
        """Ask with POST and a JSON body.

        Raises:
            Unreachable: no server answered.
        """
        return await self._ask("POST", url, body, within_s)

    async def head(self, url: str) -> Reply:
        """Ask with HEAD.

        Raises:
            Unreachable: no server answered.
        """
        return await self._ask("HEAD", url, None, ASK_S)

    async def delete(self, url: str, body: Mapping[str, Any]) -> Reply:
        """Ask with DELETE and a JSON body.

        Raises:
            Unreachable: no server answered.
        """
        return await self._ask("DELETE", url, body, ASK_S)

    async def send(self, url: str, path: Path, *, within_s: float) -> Reply:
        """Post a file's bytes as they are, never all of them in memory.

        Raises:
            Unreachable: no server answered.
            OSError: the file cannot be read.
        """
        with path.open("rb") as content:
            return await self._ask("POST", url, None, within_s, content)

    async def _ask(
        self, method: str, url: str, body: Mapping[str, Any] | None, within_s: float, content: BinaryIO | None = None
    ) -> Reply:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=within_s, sock_connect=CONNECT_S)
        headers = {} if self._key is None else {"authorization": f"Bearer {self._key.get_secret_value()}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=False) as session,
                session.request(method, url, json=body, data=content, allow_redirects=False) as reply,
            ):
                read = bytearray()
                async for piece in reply.content.iter_any():
                    read += piece
                    if len(read) > MAX_REPLY_BYTES:
                        raise Unreachable(f"what answers at {self.url} sends more than {MAX_REPLY_BYTES} bytes")
                return Reply(reply.status, read.decode("utf-8", "replace"))
        except TimeoutError as error:
            raise Unreachable(f"the server at {self.url} did not answer within {within_s:.0f} s") from error
        except aiohttp.ClientError as error:
            raise Unreachable(_what_ails(error, self.url)) from error


def _what_ails(error: Exception, url: str) -> str:
    """What went wrong, for people; the library's own words name sockets and its settings."""
    import aiohttp

    if isinstance(error, (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch)):
        return f"the server at {url} is not to be trusted, or speaks no TLS; look at its certificate and the https"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no server answers at {url}"
    return f"the server at {url} broke off, or does not speak HTTP"
