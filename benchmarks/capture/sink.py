"""A loopback server that takes whatever tracing clients send, says yes, and remembers which calls it was told of.

It speaks as much OTLP/HTTP, and as much of Langfuse's ingestion, as the peers need to be content.
"""

import gzip
import re
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from benchmarks.capture.subjects.calls import TOKEN

TOKENS = re.compile(TOKEN.encode())


class Sink:
    """What has arrived up to now."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tokens: set[str] = set()
        self.requests = 0

    def take(self, body: bytes) -> None:
        """Remember the calls that a request's body names, in protobuf or in JSON."""
        found = {token.decode() for token in TOKENS.findall(body)}
        with self._lock:
            self.requests += 1
            self._tokens |= found

    @property
    def tokens(self) -> set[str]:
        """The tokens of all calls that arrived."""
        with self._lock:
            return set(self._tokens)


@contextmanager
def open_sink() -> Iterator[tuple[Sink, str]]:
    """A sink and its URL, on a port that the system chose."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            sink.take(plain(self._body(), self.headers.get("Content-Encoding", "")))
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        do_PUT = do_PATCH = do_POST

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self) -> None:
            # An empty protobuf message is a full success; JSON clients get an empty object.
            proto = "protobuf" in self.headers.get("Content-Type", "")
            content = b"" if proto else b"{}"
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf" if proto else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the table is what people read."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that was killed leaves half a request, and that is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield sink, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections for as long as this lasts: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def plain(body: bytes, encoding: str) -> bytes:
    """A request's body without its compression; as it is where it cannot be undone."""
    with suppress(OSError, EOFError, zlib.error):
        if encoding == "gzip":
            return gzip.decompress(body)
        if encoding == "deflate":
            return zlib.decompress(body)
    return body
