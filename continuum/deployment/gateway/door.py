"""The gateway's HTTP/1.1 server: aiohttp's parser, one task a connection, and an end to all that a client may take its time with.

It is a third of the work of a web framework, and knows what a framework leaves open: how long a request line, its headers and
its body may take to come, how long an answer may take to be fetched, and how much of either there may be.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser

from continuum.deployment.gateway.request import DEFAULT_LIMITS, STATUS_LINES, Gone, Limits, Request
from continuum.deployment.serving import error_body

READ_BYTES = 2**18
"""Of a body, what may wait to be read before the client is held back; twice this at most."""
MAX_PIPELINED = 16
"""Requests that may wait behind the one that is answered; no client of this API sends any."""
SWEEP_S = 0.25
"""How often connections are looked through for those whose time is up."""
LINGER_S = 1.0
"""How long the rest of a request that was refused is read away: a connection closed at once takes the answer with it."""

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[None]]
"""Answers a request; what it raises closes the connection, so it raises nothing a client can cause."""


class Connection(BaseProtocol):
    """One client's connection."""

    def __init__(self, door: "Door") -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop)
        self.limits = door.limits
        self.closing = False
        """Whether it is to be closed once what has begun is answered."""
        self.deadline: float | None = None
        """When it is closed unless something has happened by then; None while it is the gateway's turn."""
        self.busy = False
        self._door = door
        self._lingers = False
        self._has_begun = False
        self._waiting: deque[tuple[Any, Any]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._payload: Any = None
        self._task: asyncio.Task[None] | None = None
        self._parser = HttpRequestParser(self, loop, READ_BYTES, payload_exception=Gone, auto_decompress=False)

    # --- what the transport tells ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        super().connection_made(transport)
        if not self._door.admit(self):
            self.abort()
            return
        self.due_in(self.limits.head_s)
        self._task = self._loop.create_task(self._serve())

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone; what was being answered is given up."""
        self._door.connections.discard(self)
        super().connection_lost(exc)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(Gone())
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._lingers or self._parser is None:
            return
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._refuse(400, f"this is no HTTP request: {error.message.partition(chr(10))[0]:.100}")
            return
        if upgraded:
            self._refuse(400, "the gateway speaks HTTP/1.1 and switches to nothing else")
        elif messages:
            # The parser stops behind a request that asks for another protocol, and drops what came with it: what may have
            # been a second request must be sent again, on another connection.
            self.closing = self.closing or any(message.upgrade for message, _ in messages)
            self._waiting.extend(messages)
            self._payload = messages[-1][1]
            self._has_begun = False
            if len(self._waiting) > MAX_PIPELINED:
                self._door.refused(429)
                self.abort()
            elif (wake := self._wake) is not None and not wake.done():
                wake.set_result(None)
        elif not self.busy and not self._has_begun and data:
            # The clock runs from the first byte of a head; those that trickle in after it do not wind it up again.
            self._has_begun = True
            self.due_in(self.limits.head_s)

    def eof_received(self) -> None:
        """The client is gone: one that only has no more to say cannot be told from it, and a model must not work for nobody."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on, where reading was held back."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    # --- answering ---

    async def _serve(self) -> None:
        while True:
            if not self._waiting:
                if self.closing or self.transport is None:
                    break
                self._wake = self._loop.create_future()
                await self._wake
            message, payload = self._waiting.popleft()
            self.deadline, self.busy = None, True
            request = Request(self, message, payload)
            try:
                await self._door.handle(request)
            except Gone:
                break
            except Exception:
                logger.exception("a request to %.100s could not be answered", request.path.partition("?")[0])
            self.busy = False
            if not request.ended:
                self.abort()
            if not request.keeps or not request.ended:
                break
            self.due_in(self.limits.idle_s)
        self._linger()

    def write(self, content: bytes) -> None:
        """Send bytes.

        Raises:
            Gone: the client went away.
        """
        if self.transport is None:
            raise Gone
        self.transport.write(content)

    async def drained(self) -> None:
        """Wait until the client reads.

        Raises:
            Gone: it went away.
        """
        self.due_in(self.limits.fetch_s)
        try:
            await self._drain_helper()
        except ConnectionError as error:
            raise Gone from error
        self.deadline = None

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is no request, and close; an answer that has begun is ended first."""
        self._parser = None
        self.closing = True
        if self.busy or self._waiting:
            return
        self._door.refused(status)
        body = error_body(message, status)
        head = f"{STATUS_LINES[status]}content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        with suppress(Gone):
            self.write(head.encode() + body)
        self._linger()
        if self._task is not None:
            self._task.cancel()

    # --- ending ---

    def due_in(self, seconds: float) -> None:
        """Close the connection in so many seconds unless something happens."""
        self.deadline = self._loop.time() + seconds

    def expire(self) -> None:
        """The time is up."""
        waits_for_body = self.busy and self._payload is not None and not self._payload.is_eof()
        if self._has_begun or waits_for_body:
            self.busy = False
            self._waiting.clear()
            self._refuse(408, "the request took too long to come")
        elif self.busy:
            self.abort()
        elif self.transport is not None:
            self.transport.close()

    def finish(self) -> None:
        """Close the connection as soon as nothing is being answered."""
        self.closing = True
        if not self.busy and not self._waiting and self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            self.transport.abort()

    def _linger(self) -> None:
        """Close once the client has read the answer: at once where nothing of its own is under way."""
        self._lingers = True
        if self.transport is None or self.transport.is_closing():
            return
        if self._payload is None or self._payload.is_eof():
            self.transport.close()
            return
        self.due_in(LINGER_S)
        self._has_begun = self.busy = False
        self._payload = None
        self.transport.write_eof()


class Door:
    """Where clients come in.

    Args:
        handle: answers a request.
        limits: what a client may take.
        refused: told of what is no request: the status that it was answered with, or would have been, had it not been cut off.
    """

    def __init__(
        self, handle: Handler, limits: Limits = DEFAULT_LIMITS, refused: Callable[[int], None] = lambda status: None
    ) -> None:
        self.handle = handle
        self.limits = limits
        self.refused = refused
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self, host: str, port: int, *, shared: bool = False) -> tuple[str, int]:
        """Listen; the address and the port, which may have been left to the system.

        Args:
            shared: whether other processes listen at the same port, and the system spreads connections over all.

        Raises:
            OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"reuse_port": True} if shared else {}
        self._server = await loop.create_server(lambda: Connection(self), host or None, port, backlog=1024, **options)
        self._sweeper = loop.create_task(self._sweep())
        name = self._server.sockets[0].getsockname()
        return name[0], name[1]

    def admit(self, connection: Connection) -> bool:
        """Let a connection in, where there is room."""
        if len(self.connections) >= self.limits.connections:
            self.refused(503)
            return False
        self.connections.add(connection)
        return True

    async def close(self, drain_s: float) -> None:
        """Stop listening, let what has begun be answered for so long, and cut what is left."""
        if self._server is None or self._sweeper is None:
            return
        self._server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + drain_s
        for connection in list(self.connections):
            connection.finish()
        while self.connections and loop.time() < until:
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.abort()
        self._sweeper.cancel()
        await asyncio.sleep(0)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for connection in [one for one in self.connections if one.deadline is not None and one.deadline < now]:
                connection.expire()
