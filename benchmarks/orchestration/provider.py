"""A provider whose batches never end: what a glance at them asks, it answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Batches(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        batch = {
            "id": self.path.rpartition("/")[2],
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "status": "in_progress",
            "input_file_id": "file-1",
            "completion_window": "24h",
            "created_at": 1,
            "request_counts": {"total": 100, "completed": 0, "failed": 0},
        }
        body = json.dumps(batch).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def batch_provider() -> Iterator[str]:
    """Yields its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Batches)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
