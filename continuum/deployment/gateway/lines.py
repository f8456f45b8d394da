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
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpResponseParser

KEPT_S = 15.0
"""How long a connection may wait for its next use; servers close theirs some time after this or before."""
MAX_KEPT = 256
"""Connections to one server that wait."""
READ_BYTES = 2**17
SWEEP_S = 0.1
"""How often connections are looked through for servers whose time is up."""


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


class Line(BaseProtocol):
    """One connection to a model server: asked one thing after another, and read by one parser all the while."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.idle_since = 0.0
        self.spent = False
        """Whether it can be asked nothing more."""
        self.heard = False
        """Whether anything came since it was asked."""
        self.within_s: float | None = None
        self.due: float | None = None
        """When the server has been silent for too long; None while nobody waits for it."""
        self.ends: float | None = None
        """When the answer has taken too long, however much of it there is by then."""
        self._asked: asyncio.Future[tuple[Any, Any]] | None = None
        self._payload: Any = None
        self._parser = HttpResponseParser(
            self, loop, READ_BYTES, payload_exception=aiohttp.ClientPayloadError, response_with_body=True, read_until_eof=True
        )

    def ask(self, content: bytes, within_s: float, ends: float | None) -> "asyncio.Future[tuple[Any, Any]]":
        """Send a request; the head of the answer, and where its body comes in.

        Raises:
            ConnectionError: the connection has ended.
        """
        if self.transport is None:
            raise ConnectionResetError
        self._payload, self.heard, self.ends = None, False, ends
        self.wait(within_s)
        asked = self._asked = self._loop.create_future()
        self.transport.write(content)
        return asked

    def wait(self, within_s: float | None) -> None:
        """From here on the server may be silent for so long; None: as long as it could before."""
        if within_s is not None:
            self.within_s = within_s
        if self.within_s is not None:
            self.due = self._loop.time() + self.within_s

    @property
    def is_free(self) -> bool:
        """Whether the answer was read to its end, and another may be asked for."""
        return not self.spent and self._asked is None and (self._payload is None or self._payload.is_eof()) and self.is_there

    @property
    def is_there(self) -> bool:
        """Whether the connection has not ended."""
        return self.transport is not None and not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Bytes came; none where reading goes on."""
        if self._asked is None and (self._payload is None or self._payload.is_eof()):
            # Unasked: it would be taken for the next answer.
            self.spent = self.spent or bool(data)
            return
        if data:
            self.heard = True
            if self.due is not None:
                self.wait(None)
        parser = self._parser
        if parser is None:
            return
        try:
            messages, upgraded, _ = parser.feed_data(data)
        except HttpProcessingError as error:
            self.fail(HttpProcessingError(code=error.code, message=error.message, headers=error.headers))
            return
        except Exception as error:  # noqa: BLE001  whatever it is, it is no answer
            self.fail(HttpProcessingError(message=type(error).__name__))
            return
        for message, payload in messages:
            # An interim answer says nothing; of the switch of protocols nobody asked for one.
            if 100 <= message.code < 200 and message.code != 101:
                continue
            asked, self._asked = self._asked, None
            if asked is None or upgraded or message.should_close:
                self.spent = True
            if asked is not None and not asked.done():
                self._payload, self.due = payload, None
                asked.set_result((message, payload))

    def pause_reading(self) -> None:
        """Read no further for now; the server's silence is ours then."""
        super().pause_reading()
        self.due = None

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on, where reading was held back."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def expire(self) -> None:
        """The time is up."""
        self.due = self.ends = None
        self.fail(aiohttp.SocketTimeoutError("the server was silent for too long"))

    def fail(self, error: Exception) -> None:
        """Give up what is being asked."""
        self.spent = True
        if (asked := self._asked) is not None and not asked.done():
            asked.set_exception(error)
        elif self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(error)
        self._asked = None
        self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The server is gone; an answer without a length is at its end then."""
        self.spent, asked, payload = True, self._asked, self._payload
        try:
            if self._parser is not None:
                self._parser.feed_eof()
        except Exception as error:  # noqa: BLE001  whatever is missing
            if payload is not None and payload.exception() is None:
                payload.set_exception(aiohttp.ClientPayloadError(f"the answer is not whole: {error}"))
        self._asked = None
        if asked is not None and not asked.done():
            asked.set_exception(
                aiohttp.ClientOSError(*exc.args) if isinstance(exc, OSError) else aiohttp.ServerDisconnectedError()
            )
        self._parser = None
        super().connection_lost(exc)

    def close(self) -> None:
        """Close the connection."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self.spent = True
        if self.transport is not None:
            self.transport.abort()


class Incoming:
    """An answer whose head has come."""

    __slots__ = ("_lines", "_payload", "address", "headers", "line", "status")

    def __init__(self, lines: "Lines", address: Address, line: Line, message: Any, payload: Any) -> None:
        self.status: int = message.code
        self.headers = message.headers
        self.address = address
        self.line: Line | None = line
        self._lines = lines
        self._payload = payload

    def rest(self) -> bytes | None:
        """All that is left of the answer, where it has come; None where it is still under way.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: the answer broke off.
        """
        if not self._payload.is_eof() or self._payload.exception() is not None:
            return None
        rest = self._payload.read_nowait()
        self.release()
        return rest

    async def piece(self, within_s: float | None = None) -> bytes:
        """The next piece; nothing at the end.

        Args:
            within_s: from here on, how long the server may be silent.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: the answer broke off.
        """
        payload, line = self._payload, self.line
        piece = payload.read_nowait()
        if not piece and not payload.is_eof() and line is not None:
            line.wait(within_s)
            piece = await payload.readany()
            line.due = None
        if not piece:
            self.release()
        return piece

    def release(self) -> None:
        """Keep the connection for another request where the whole answer was read; cut it where not."""
        line, self.line = self.line, None
        if line is not None:
            self._lines.put_back(self.address, line)


class Lines:
    """The connections of one gateway.

    Args:
        connect_s: how long it may take to connect.
    """

    def __init__(self, connect_s: float) -> None:
        self._connect_s = connect_s
        self._kept: dict[tuple[str, int, bool], deque[Line]] = {}
        self._asked: set[Line] = set()
        self._loop = asyncio.get_running_loop()
        # One clock for all: a timer for each answer costs more than to read its head.
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    async def ask(self, address: Address, head: bytes, body: bytes, within_s: float, total_s: float | None = None) -> Incoming:
        """Send a request; the answer, once its head has come.

        A connection that was kept may have been closed by its server in the very moment of its use. Where not a byte of an
        answer came on such a one, the request is sent once more on a new connection, as other proxies do.

        Args:
            address: whose.
            head: request line and headers, with the empty line.
            body: the whole of it.
            within_s: how long the server may be silent.
            total_s: how long the whole answer may take; None for as long as it likes.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: no answer came.
        """
        content, ends = head + body, None if total_s is None else self._loop.time() + total_s
        line = self._take(address)
        if line is not None:
            try:
                return await self._answer(address, line, content, within_s, ends)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
                if line.heard:
                    raise
        return await self._answer(address, await self._connect(address), content, within_s, ends)

    async def _answer(self, address: Address, line: Line, content: bytes, within_s: float, ends: float | None) -> Incoming:
        try:
            self._asked.add(line)
            message, payload = await line.ask(content, within_s, ends)
        except BaseException:
            self._asked.discard(line)
            line.abort()
            raise
        return Incoming(self, address, line, message, payload)

    def _sweep(self) -> None:
        now = self._loop.time()
        for line in [one for one in self._asked if (one.due or now) < now or (one.ends or now) < now]:
            line.expire()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def _take(self, address: Address) -> Line | None:
        kept = self._kept.get((address.host, address.port, address.secure))
        oldest = self._loop.time() - KEPT_S
        while kept:
            line = kept.pop()
            # What a server sent unasked meanwhile makes a line useless: it would be taken for the next answer.
            if line.is_free and line.idle_since > oldest:
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
        self._asked.discard(line)
        line.due = line.ends = None
        if not line.is_free or len(kept) >= MAX_KEPT:
            line.abort()
            return
        line.idle_since = self._loop.time()
        kept.append(line)
        while kept and kept[0].idle_since < line.idle_since - KEPT_S:
            kept.popleft().close()

    def close(self) -> None:
        """Close what is kept."""
        self._sweeper.cancel()
        for kept in self._kept.values():
            for line in kept:
                line.close()
        self._kept.clear()
