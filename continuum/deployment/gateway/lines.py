"""Connections to model servers, kept open and used again: aiohttp's parser of answers without the rest of a client.

No redirect is followed, no cookie kept, and no proxy of the environment used, as there is nothing here that could.
"""

import asyncio
import ssl
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler

KEPT_S = 15.0
"""How long a connection may wait for its next use; servers close theirs some time after this or before."""
MAX_KEPT = 256
"""Connections to one server that wait."""
READ_BYTES = 2**17


@dataclass(frozen=True)
class Address:
    """A base URL, taken apart."""

    host: str
    port: int
    secure: bool
    authority: str
    """As the `host` header names it."""
    path: str
    """What stands before `/chat/completions`."""
    query: str
    authorization: str | None
    """From the user and the password in the URL."""


@lru_cache(maxsize=256)
def address_of(base_url: str) -> Address:
    """The address that a base URL is.

    Raises:
        ValueError: it is none.
    """
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("it is no http or https URL with a host")
    if any(sign <= " " or sign == "\x7f" for sign in base_url):
        raise ValueError("it holds a blank or a control character")
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    authority = url.netloc.rpartition("@")[2]
    secret = None
    if url.username is not None:
        secret = "Basic " + b64encode(f"{unquote(url.username)}:{unquote(url.password or '')}".encode()).decode()
    return Address(url.hostname, port, secure, authority, url.path.rstrip("/"), f"?{url.query}" if url.query else "", secret)


class Line(ResponseHandler):
    """One connection to a model server."""

    idle_since = 0.0
    used = False


class Incoming:
    """An answer whose head has come."""

    __slots__ = ("_lines", "_payload", "address", "headers", "line", "status")

    def __init__(self, lines: "Lines", address: Address, line: Line, message: Any, payload: Any) -> None:
        self.status: int = message.code
        self.headers = message.headers
        self.address = address
        self.line = line
        self._lines = lines
        self._payload = payload

    async def piece(self, within_s: float | None = None) -> bytes:
        """The next piece; nothing at the end.

        Args:
            within_s: from here on, how long the server may be silent.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: the answer broke off.
        """
        if within_s is not None:
            self.line.read_timeout = within_s
        piece = await self._payload.readany()
        if not piece:
            self.release()
        return piece

    def release(self) -> None:
        """Keep the connection for another request where the whole answer was read; cut it where not."""
        line, self.line = self.line, _NO_LINE
        if line is not _NO_LINE:
            self._lines.put_back(self.address, line)


class _NoLine:
    read_timeout: float | None = None


_NO_LINE: Any = _NoLine()


class Lines:
    """The connections of one gateway."""

    def __init__(self, connect_s: float) -> None:
        self._connect_s = connect_s
        self._kept: dict[tuple[str, int, bool], deque[Line]] = {}
        self._loop = asyncio.get_running_loop()

    async def ask(self, address: Address, head: bytes, body: bytes, within_s: float) -> Incoming:
        """Send a request; the answer, once its head has come.

        A connection that was kept may have been closed by its server in the very moment of its use. Where not a byte of an
        answer came on such a one, the request is sent once more on a new connection, as other proxies do.

        Args:
            address: whose.
            head: request line and headers, with the empty line.
            body: the whole of it.
            within_s: how long the server may be silent.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: no answer came.
        """
        line = self._take(address)
        if line is not None:
            try:
                return await self._asked(address, line, head, body, within_s)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
                pass
        line = await self._connect(address)
        return await self._asked(address, line, head, body, within_s)

    async def _asked(self, address: Address, line: Line, head: bytes, body: bytes, within_s: float) -> Incoming:
        try:
            transport = line.transport
            if transport is None:
                raise ConnectionResetError
            line.set_response_params(read_until_eof=True, read_timeout=within_s, read_bufsize=READ_BYTES)
            transport.write(head + body)
            line.start_timeout()
            while True:
                message, payload = await line.read()
                # An interim answer says nothing; of the switch of protocols nobody asked for one.
                if not 100 <= message.code < 200 or message.code == 101:
                    break
        except BaseException:
            line.abort()
            raise
        return Incoming(self, address, line, message, payload)

    def _take(self, address: Address) -> Line | None:
        kept = self._kept.get((address.host, address.port, address.secure))
        oldest = self._loop.time() - KEPT_S
        while kept:
            line = kept.pop()
            # What a server sent unasked meanwhile makes a line useless: it would be taken for the next answer.
            if line.is_connected() and not line.should_close and line.idle_since > oldest:
                return line
            line.close()
        return None

    async def _connect(self, address: Address) -> Line:
        async with asyncio.timeout(self._connect_s):
            _, line = await self._loop.create_connection(
                lambda: Line(self._loop), address.host, address.port, ssl=self._tls if address.secure else None
            )
        return line

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def put_back(self, address: Address, line: Line) -> None:
        """Keep a connection whose answer was read; cut it where it was not, or where enough are kept."""
        at = (address.host, address.port, address.secure)
        kept = self._kept.get(at)
        if kept is None:
            kept = self._kept[at] = deque()
        if line.should_close or not line.is_connected() or len(kept) >= MAX_KEPT:
            line.abort()
            return
        line.idle_since = self._loop.time()
        kept.append(line)
        while kept and kept[0].idle_since < line.idle_since - KEPT_S:
            kept.popleft().close()

    def close(self) -> None:
        """Close what is kept."""
        for kept in self._kept.values():
            for line in kept:
                line.close()
        self._kept.clear()
