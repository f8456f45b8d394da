"""Servers with several worker processes: gunicorn forks them, uvicorn starts them anew; both lose nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from continuum.spool.draining import collect
from continuum.store.database import Store

APPLICATION = """
import os
from urllib.parse import unquote

from continuum import capture


@capture(task="support")
def answer(question: str) -> str:
    return f"answer of {os.getpid()}"


def wsgi(environ, start_response):
    body = answer(unquote(environ["QUERY_STRING"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    body = answer(unquote(scope["query_string"].decode())).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


answer("asked while the server's own process loads the application")
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port: int, question: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?{question}", timeout=20) as response:
        return response.read().decode()


@contextmanager
def serving(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "application.py").write_text(APPLICATION)
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{Path.cwd()}"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    ask(port, "ready")
                    break
                except OSError:
                    assert process.poll() is None, (folder / "log").read_text()
                    time.sleep(0.2)
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["gunicorn", "gunicorn --preload", "uvicorn"])
def test_no_worker_loses_a_call_not_even_one_that_is_killed(store: Store, home: Path, tmp_path: Path, server: str) -> None:
    port = free_port()
    if server == "uvicorn":
        command = ["uvicorn", "application:asgi", "--workers", "2", "--port", str(port), "--log-level", "warning"]
    else:
        command = [*server.split(), "application:wsgi", "--workers", "2", "--bind", f"127.0.0.1:{port}"]
    with serving(command, port, tmp_path):
        answers = [ask(port, f"question-{n}") for n in range(40)]
        os.kill(int(answers[-1].rsplit(maxsplit=1)[-1]), signal.SIGKILL)
        time.sleep(1)
        for n in range(40, 60):
            ask(port, f"question-{n}")

    collect(store, home / "spool")
    asked = sorted(text for one in store.interactions.scan("support") if (text := one.messages[0].text).startswith("question"))
    assert asked == sorted(f"question-{n}" for n in range(60))
