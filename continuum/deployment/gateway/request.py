"""A request as the gateway's handlers see it: what was sent, and the ways to answer it."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp.http import HttpVersion10

from continuum.deployment.serving import BadRequest, error_body

if TYPE_CHECKING:
    from continuum.deployment.gateway.door import Connection

ERROR_TYPE = ("content-type", "application/json")
UNSAFE = str.maketrans(dict.fromkeys("\r\n\0", " "))
"""In a header's value; with them, it would end there and another header, or another answer, begin."""
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


@dataclass(frozen=True)
class Limits:
    """What a client may take: seconds, bytes, connections."""

    head_s: float = 10.0
    """For a request line and its headers, from their first byte on."""
    body_s: float = 60.0
    """For the whole body."""
    idle_s: float = 75.0
    """Between two requests."""
    fetch_s: float = 60.0
    """For making room for more of an answer that it is not reading."""
    body_bytes: int = 16 * 2**20
    connections: int = 4000
    """At once; further ones are closed at the door."""


DEFAULT_LIMITS = Limits()
Headers = Iterable[tuple[str, str]]


class Gone(Exception):
    """The client went away."""


class Request:
    """A request whose head has come, and the way to answer it."""

    __slots__ = ("_connection", "_payload", "begun", "ended", "headers", "keeps", "method", "path", "version")

    def __init__(self, connection: "Connection", message: Any, payload: Any) -> None:
        self.method: str = message.method
        self.path: str = message.path
        self.headers = message.headers
        self.version = message.version
        self.keeps: bool = not message.should_close
        """Whether another request may follow on the connection."""
        self.begun = self.ended = False
        self._connection = connection
        self._payload = payload

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            BadRequest: it is larger than it may be, which is known before it is read where its length was said, or it is encoded.
            Gone: the client went away.
        """
        headers, limits, payload = self.headers, self._connection.limits, self._payload
        if headers.get("content-encoding", "identity") != "identity":
            raise BadRequest("the body is encoded; send it without a content-encoding", status=415)
        length = headers.get("content-length")
        if length is not None and int(length) > limits.body_bytes:
            raise _too_large(limits)
        if payload.is_eof():
            return payload.read_nowait()
        if headers.get("expect", "").lower() == "100-continue":
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces, size = [], 0
        self._connection.due_in(limits.body_s)
        while piece := await payload.readany():
            pieces.append(piece)
            size += len(piece)
            if size > limits.body_bytes:
                raise _too_large(limits)
        self._connection.deadline = None
        return b"".join(pieces)

    @property
    def is_read(self) -> bool:
        """Whether nothing of it is still to come."""
        return self._payload.is_eof()

    def answer(self, status: int, body: bytes, headers: Headers = (ERROR_TYPE,)) -> None:
        """Answer with a whole body."""
        self.begun = self.ended = True
        head = self._head(status, headers) + f"content-length: {len(body)}\r\n\r\n"
        content = head.encode("utf-8", "surrogateescape")
        self._connection.write(content if self.method == "HEAD" else content + body)

    def refuse(self, status: int, message: str, headers: Headers = ()) -> None:
        """Answer with an error in the form that OpenAI clients read."""
        self.answer(status, error_body(message, status), (ERROR_TYPE, *headers))

    def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer that comes in pieces."""
        self.begun = True
        chunked = self.version > HttpVersion10
        # An answer in pieces to HTTP/1.0 ends with the connection.
        self.keeps = self.keeps and chunked
        head = self._head(status, headers) + ("transfer-encoding: chunked\r\n\r\n" if chunked else "\r\n")
        self._connection.write(head.encode("utf-8", "surrogateescape"))

    async def send(self, piece: bytes) -> None:
        """Send a piece; waits while the client does not read what it has.

        Raises:
            Gone: the client went away.
        """
        connection = self._connection
        if self.version > HttpVersion10:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        connection.write(piece)
        if connection.writing_paused:
            await connection.drained()

    def end(self) -> None:
        """End an answer in pieces."""
        self.ended = True
        if self.version > HttpVersion10:
            self._connection.write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Cut the connection: ended in the regular way, half an answer would look whole."""
        self.keeps = False
        self.ended = True
        self._connection.abort()

    def _head(self, status: int, headers: Headers) -> str:
        if self._connection.closing or not self.is_read:
            self.keeps = False
        head = STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
        for name, value in headers:
            if not value.isprintable():
                value = value.translate(UNSAFE)
            head += f"{name}: {value}\r\n"
        if not self.keeps:
            head += "connection: close\r\n"
        elif self.version == HttpVersion10:
            head += "connection: keep-alive\r\n"
        return head


def _too_large(limits: Limits) -> BadRequest:
    return BadRequest(f"the body is larger than {limits.body_bytes} bytes, which is the most a request may have", status=413)
