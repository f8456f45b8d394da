"""Asking a model server on an application's behalf: who is asked, what is passed on, and what counts as no answer.

Addresses and keys come from configuration and from the deployments in the store, never from a request.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
import orjson
from aiohttp.http import HttpProcessingError
from pydantic import SecretStr

from continuum.deployment.gateway.answers import parse_object
from continuum.deployment.gateway.lines import Address, Incoming, Lines, address_of
from continuum.deployment.gateway.signed import SCHEME, Unwrapped, ask_signed
from continuum.deployment.routing import PRODUCTION_ARM, Arm
from continuum.errors import ConfigurationError, ContinuumError, DeploymentError, MissingExtra
from continuum.spool.headers import PREFIX

PASSED_TO_UPSTREAM = ("accept", "traceparent", "tracestate", "x-request-id")
"""Headers of a request that go on; all others, `authorization` and `cookie` above all, stay here."""
KEPT_BACK = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "content-length", "content-encoding"),
        *("authorization", "www-authenticate", "cookie", "set-cookie", "set-cookie2", "clear-site-data"),
        *("server", "alt-svc", "strict-transport-security", "location"),
    }
)
"""Headers of an answer that belong to one hop, or to the upstream's own dealings, or that the gateway writes itself."""
SIGNED_PATHS = ("/chat/completions", "/completions")
VIA = "1.1 continuum"
MAX_ANSWER_BYTES = 64 * 2**20
BROKEN = (aiohttp.ClientError, asyncio.IncompleteReadError, HttpProcessingError, OSError, ValueError, DeploymentError)
"""What a server that does not answer, or not in HTTP, causes."""


@dataclass(frozen=True)
class Timeouts:
    """How long an upstream may take, in seconds."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    """Until the first byte of an answer, and of a stream the first piece."""
    idle_s: float = 120.0
    """Between two pieces of an answer."""
    total_s: float = 600.0
    """For an answer that does not come as a stream, from the request on."""


DEFAULT_TIMEOUTS = Timeouts()


class UpstreamFailed(ContinuumError):
    """An upstream gave no answer, or not the whole of it."""

    def __init__(self, message: str, *, status: int = 502, answered: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """What the application is told where nobody else answers."""
        self.answered = answered
        """The HTTP status that came instead of an answer; None where none came."""


@dataclass(slots=True)
class Ask:
    """One request for an answer, as the application sent it; made for each request, and never changed."""

    path: str
    """Below the base URL."""
    raw: bytes
    body: Mapping[str, Any]
    headers: Mapping[str, str]


class Reply:
    """An upstream's answer of which nothing has been sent on yet.

    `body` is the whole of it, or None for a stream, of which the first piece has come.
    """

    __slots__ = ("_first", "_idle_s", "_incoming", "arm", "body", "headers", "status")

    def __init__(self, arm: Arm, incoming: Incoming | Unwrapped, body: bytes | None, idle_s: float, first: bytes = b"") -> None:
        self.arm = arm
        self.status = incoming.status
        self.headers = passed_on(incoming.headers)
        self.body = body
        self._first = first
        self._idle_s = idle_s
        self._incoming = incoming

    async def pieces(self) -> AsyncIterator[bytes]:
        """A stream from its beginning.

        Raises:
            UpstreamFailed: it broke off.
        """
        piece, idle_s = self._first, self._idle_s
        while piece:
            yield piece
            piece = await _next_piece(self.arm, self._incoming, idle_s)

    def close(self) -> None:
        """Drop the connection if it is in the middle of an answer."""
        self._incoming.release()


class Upstreams:
    """The model servers behind the gateway, while its event loop runs.

    Raises:
        ConfigurationError: the production model's address is none, or a key cannot stand in a header.
    """

    def __init__(
        self,
        production_url: str | None,
        api_key: SecretStr | None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        *,
        serving_api_key: SecretStr | None = None,
    ) -> None:
        self.production_url = None if production_url is None else production_url.rstrip("/")
        self._timeouts = timeouts
        self._lines = Lines(timeouts.connect_s)
        self._key = _in_a_header("CONTINUUM_UPSTREAM_API_KEY", api_key)
        self._serving_key = _in_a_header("CONTINUUM_SERVING_API_KEY", serving_api_key)
        if self.production_url is not None:
            try:
                address_of(self.production_url)
            except ValueError as error:
                raise ConfigurationError(f"CONTINUUM_UPSTREAM_BASE_URL cannot be asked: {error}") from error

    async def begin(self, arm: Arm, ask: Ask) -> Reply:
        """Ask one arm; wait for the first piece of a stream, and for the whole of any other answer.

        Raises:
            UpstreamFailed: there is none.
        """
        raw = ask.raw
        if arm.base_url is not None and ask.body.get("model") != arm.model:
            raw = _encoded({**ask.body, "model": arm.model})
        streams, idle_s = ask.body.get("stream") is True, self._timeouts.idle_s
        incoming = await self._asked("POST", arm, ask.path, raw, ask.headers, None if streams else self._timeouts.total_s)
        try:
            if streams and incoming.status == 200:
                first = await _next_piece(arm, incoming, self._timeouts.first_byte_s)
                if not first:
                    raise UpstreamFailed(f"{arm.model} sent an empty stream")
                return Reply(arm, incoming, None, idle_s, first)
            whole = incoming.rest() if type(incoming) is Incoming else None
            return Reply(arm, incoming, await _whole(arm, incoming, idle_s) if whole is None else whole, idle_s)
        except BaseException:
            incoming.release()
            raise

    async def whole(self, arm: Arm, path: str, body: bytes) -> tuple[int, bytes]:
        """Ask an arm for nobody in particular; the HTTP status and the whole of the answer.

        Raises:
            UpstreamFailed: there is none.
        """
        incoming = await self._asked("POST", arm, path, body, {}, self._timeouts.total_s)
        try:
            return incoming.status, await _whole(arm, incoming, self._timeouts.idle_s)
        finally:
            incoming.release()

    async def models(self) -> dict[str, Any]:
        """What production lists at /models.

        Raises:
            UpstreamFailed: it lists nothing.
        """
        incoming = await self._asked("GET", PRODUCTION_ARM, "/models", b"", {}, self._timeouts.total_s)
        try:
            listed = parse_object(await _whole(PRODUCTION_ARM, incoming, self._timeouts.idle_s))
        finally:
            incoming.release()
        if incoming.status != 200 or listed is None:
            raise UpstreamFailed(f"production lists no models: HTTP {incoming.status}")
        return listed

    async def model(self, name: str) -> dict[str, Any]:
        """What production lists of one model; looked up in its list, so that nothing of a name goes into an address.

        Raises:
            UpstreamFailed: it lists no such model, or nothing.
        """
        listed = (await self.models()).get("data")
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and one.get("id") == name:
                return one
        raise UpstreamFailed(f"production lists no model {name!r:.200}; GET /v1/models says which there are", status=404)

    def close(self) -> None:
        """Close the connections that wait for their next use."""
        self._lines.close()

    async def _asked(
        self, method: str, arm: Arm, path: str, body: bytes, headers: Mapping[str, str], total_s: float | None
    ) -> Incoming | Unwrapped:
        base_url, key = arm.base_url, self._serving_key
        if base_url is None:
            base_url, key = self.production_url, self._key
            if base_url is None:
                raise UpstreamFailed(
                    "no production model is configured; set CONTINUUM_UPSTREAM_BASE_URL and CONTINUUM_UPSTREAM_API_KEY "
                    "for the gateway",
                    status=503,
                )
        if base_url.startswith(SCHEME):
            return await self._asked_signed(arm, base_url, path, body, total_s)
        try:
            address = address_of(base_url)
            head = request_head(method, address, path, key) + _told(headers) + b"content-length: %d\r\n\r\n" % len(body)
            incoming = await self._lines.ask(address, head, body, self._timeouts.first_byte_s, total_s)
        except TimeoutError as error:
            raise UpstreamFailed(f"{arm.model} did not answer in time", status=504) from error
        except BROKEN as error:
            raise UpstreamFailed(f"{arm.model} cannot be reached: {type(error).__name__}") from error
        if 300 <= incoming.status < 400:
            incoming.release()
            raise UpstreamFailed(
                f"{arm.model} redirects, and redirects are not followed; configure the address it moved to",
                answered=incoming.status,
            )
        return incoming

    async def _asked_signed(self, arm: Arm, base_url: str, path: str, body: bytes, total_s: float | None) -> Unwrapped:
        if path not in SIGNED_PATHS:
            # No failure of the model's: nobody could ask it so.
            raise UpstreamFailed(f"{arm.model} stands behind SageMaker, which knows no {path}", answered=400)
        streams = (parse_object(body) or {}).get("stream") is True
        try:
            async with asyncio.timeout(total_s):
                within_s = self._timeouts.first_byte_s
                return await ask_signed(self._lines, base_url, body, streams=streams, within_s=within_s, total_s=total_s)
        except TimeoutError as error:
            raise UpstreamFailed(f"{arm.model} did not answer in time", status=504) from error
        except (DeploymentError, ConfigurationError, MissingExtra) as error:
            raise UpstreamFailed(f"{arm.model} cannot be asked: {error}") from error
        except BROKEN as error:
            raise UpstreamFailed(f"{arm.model} cannot be reached: {type(error).__name__}") from error


def _in_a_header(name: str, key: SecretStr | None) -> str | None:
    plain = None if key is None else key.get_secret_value()
    if plain is not None and not (plain.isascii() and plain.isprintable()):
        raise ConfigurationError(f"{name} holds what no header can: it must be printable ASCII")
    return plain


@lru_cache(maxsize=256)
def request_head(method: str, address: Address, path: str, key: str | None) -> bytes:
    """The part of a request's head that is the same for all requests of a kind."""
    authorization = address.authorization if key is None else f"Bearer {key}"
    lines = [
        f"{method} {address.path}{path}{address.query} HTTP/1.1",
        f"host: {address.authority}",
        f"via: {VIA}",
        "accept-encoding: identity",
        "content-type: application/json",
        *([f"authorization: {authorization}"] if authorization else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n"


def _told(headers: Mapping[str, str]) -> bytes:
    """The headers of a request that go on."""
    told = ""
    for name in PASSED_TO_UPSTREAM:
        value = headers.get(name)
        if value is not None and value.isprintable():
            told += f"{name}: {value}\r\n"
    return told.encode("utf-8", "surrogateescape")


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except (TypeError, ValueError):
        return json.dumps(body).encode()


def passed_on(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The headers of an answer that reach the application; who served it is the gateway's to say."""
    found = [(name, value) for name, value in headers.items() if _passes(name)]
    hop = headers.get("connection")
    if hop and hop.lower() not in USUAL:
        named = {name.strip().lower() for name in hop.split(",")}
        found = [(name, value) for name, value in found if name.lower() not in named]
    return found


USUAL = ("keep-alive", "close")


@lru_cache(maxsize=1024)
def _passes(name: str) -> bool:
    lower = name.lower()
    return lower not in KEPT_BACK and not lower.startswith(PREFIX)


async def _next_piece(arm: Arm, incoming: Incoming | Unwrapped, within_s: float) -> bytes:
    try:
        return await incoming.piece(within_s)
    except BROKEN as error:
        late = isinstance(error, TimeoutError)
        how = "did not answer in time" if late else "broke off its answer"
        raise UpstreamFailed(f"{arm.model} {how}", status=504 if late else 502) from error


async def _whole(arm: Arm, incoming: Incoming | Unwrapped, idle_s: float) -> bytes:
    pieces, size = [], 0
    while piece := await _next_piece(arm, incoming, idle_s):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamFailed(f"{arm.model} sent more than {MAX_ANSWER_BYTES} bytes")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
