"""Asking a model server on an application's behalf: who is asked, what is passed on, and what counts as no answer.

Addresses and keys come from configuration and from the deployments in the store, never from a request.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import SecretStr

from continuum.deployment.answers import parse_object
from continuum.deployment.routing import PRODUCTION, Arm
from continuum.errors import ContinuumError
from continuum.spool.headers import PREFIX

PASSED_TO_UPSTREAM = ("accept", "traceparent", "tracestate", "x-request-id")
"""Headers of a request that go on; all others, `authorization` above all, stay here."""
KEPT_BACK = frozenset(
    {
        *(
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ),
        *("content-length", "content-encoding", "set-cookie", "server", "date"),
    }
)
"""Headers of an answer that belong to one hop, or that the gateway writes itself."""
VIA = "1.1 continuum"
MAX_ANSWER_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Timeouts:
    """How long an upstream may take, in seconds."""

    connect_s: float = 5.0
    idle_s: float = 120.0
    """Between two pieces of an answer, and before the first."""


DEFAULT_TIMEOUTS = Timeouts()


class UpstreamFailed(ContinuumError):
    """An upstream gave no answer, or not the whole of it."""

    def __init__(self, message: str, *, status: int = 502) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Ask:
    """One request for a completion, as the application sent it."""

    raw: bytes
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def streams(self) -> bool:
        """Whether the answer is to come in pieces."""
        return self.body.get("stream") is True


class Reply:
    """An upstream's answer of which nothing has been sent on yet.

    `body` is the whole of it, or None for a stream, of which the first piece has come.
    """

    def __init__(self, arm: Arm, response: aiohttp.ClientResponse, body: bytes | None, first: bytes = b"") -> None:
        self.arm = arm
        self.status = response.status
        self.headers = {name: value for name, value in response.headers.items() if is_passed_on(name.lower())}
        self.body = body
        self._first = first
        self._response = response

    async def pieces(self) -> AsyncIterator[bytes]:
        """A stream from its beginning.

        Raises:
            UpstreamFailed: it broke off.
        """
        piece = self._first
        while piece:
            yield piece
            piece = await _next_piece(self.arm, self._response)

    def close(self) -> None:
        """Drop the connection if it is in the middle of an answer."""
        self._response.close()


class Upstreams:
    """The model servers behind the gateway."""

    def __init__(self, session: aiohttp.ClientSession, production_url: str | None, api_key: SecretStr | None) -> None:
        self.production_url = None if production_url is None else production_url.rstrip("/")
        self._session = session
        self._api_key = api_key

    async def begin(self, arm: Arm, ask: Ask) -> Reply:
        """Ask one arm; wait for the first piece of a stream, and for the whole of any other answer.

        Raises:
            UpstreamFailed: there is none.
        """
        headers = {name: ask.headers[name] for name in PASSED_TO_UPSTREAM if name in ask.headers}
        headers |= {"content-type": "application/json", "via": VIA}
        raw = ask.raw
        if arm.model != PRODUCTION:
            raw = json.dumps({**ask.body, "model": arm.model}).encode()
        response = await self._request("POST", arm, "/chat/completions", headers=headers, data=raw)
        try:
            if ask.streams and response.status == 200:
                first = await _next_piece(arm, response)
                if not first:
                    raise UpstreamFailed(f"{arm.model} sent an empty stream")
                return Reply(arm, response, None, first)
            return Reply(arm, response, await _whole(arm, response))
        except BaseException:
            response.close()
            raise

    async def models(self) -> dict[str, Any]:
        """What production lists at /models.

        Raises:
            UpstreamFailed: it lists nothing.
        """
        production = Arm(PRODUCTION, None, "stable")
        response = await self._request("GET", production, "/models", headers={"via": VIA})
        try:
            listed = parse_object(await _whole(production, response))
        finally:
            response.close()
        if response.status != 200 or listed is None:
            raise UpstreamFailed(f"production lists no models: HTTP {response.status}")
        return listed

    async def _request(self, method: str, arm: Arm, path: str, **request: Any) -> aiohttp.ClientResponse:
        if arm.base_url is None:
            if self.production_url is None:
                raise UpstreamFailed(
                    "no production model is configured; set CONTINUUM_UPSTREAM_BASE_URL and CONTINUUM_UPSTREAM_API_KEY "
                    "for the gateway",
                    status=503,
                )
            if self._api_key is not None:
                request["headers"]["authorization"] = f"Bearer {self._api_key.get_secret_value()}"
        url = f"{arm.base_url or self.production_url}".rstrip("/") + path
        try:
            response = await self._session.request(method, url, allow_redirects=False, **request)
        except (aiohttp.ClientError, ValueError) as error:
            raise UpstreamFailed(f"{arm.model} cannot be reached: {type(error).__name__}") from error
        except TimeoutError as error:
            raise UpstreamFailed(f"{arm.model} did not answer in time", status=504) from error
        if 300 <= response.status < 400:
            response.close()
            raise UpstreamFailed(f"{arm.model} redirects, and redirects are not followed; configure the address it moved to")
        return response


def is_passed_on(name: str) -> bool:
    """Whether a header of an answer, in lower case, reaches the application; who served it is the gateway's to say."""
    return name not in KEPT_BACK and not name.startswith(PREFIX)


async def _next_piece(arm: Arm, response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError) as error:
        late = isinstance(error, TimeoutError)
        how = "did not answer in time" if late else "broke off its answer"
        raise UpstreamFailed(f"{arm.model} {how}", status=504 if late else 502) from error


async def _whole(arm: Arm, response: aiohttp.ClientResponse) -> bytes:
    pieces, size = [], 0
    while piece := await _next_piece(arm, response):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamFailed(f"{arm.model} sent more than {MAX_ANSWER_BYTES} bytes")
    return b"".join(pieces)


def open_session(timeouts: Timeouts) -> aiohttp.ClientSession:
    """The one session of a gateway: no cookies, no proxies from the environment, no limit on connections of its own."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_s, sock_read=timeouts.idle_s),
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
