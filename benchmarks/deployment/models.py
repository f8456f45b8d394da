"""The models of the serving benchmarks that do as they are told, each a process of its own: a provider, and our own server.

What they say begins with the name of the model, so that an answer tells who gave it.
"""

import asyncio
import json
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from benchmarks.deployment.servers import Server, free_port, running

SENTENCE = "says that the invoice was charged twice and the second charge is on its way back"
WORDS = tuple(SENTENCE.split())
How = Literal["well", "silent", "slow", "stalls"]
"""How a provider answers: at once; never; after a pause; or with a stream that stops in the middle."""
PROGRAM = "from benchmarks.deployment.models import main; main()"


@contextmanager
def provider(folder: Path, name: str, *, port: int | None = None, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """An OpenAI-compatible server that takes whatever it is sent, and remembers it."""
    port = port or free_port()
    root = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", PROGRAM, json.dumps({"name": name, "port": port})]
    with running(name, command, f"{root}/v1", probe=f"{root}/seen", folder=folder, environment=environment) as server:
        yield server


@contextmanager
def tuned_models(folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    """Continuum's own server of tuned models on the store of this environment, with an engine that has its words ready."""
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", PROGRAM, json.dumps({"name": "", "port": port})]
    with running("tuned", command, f"{root}/v1", probe=f"{root}/health", folder=folder, environment=environment) as server:
        yield server


def told(server: Server, how: How, pause_s: float = 0.0) -> None:
    """Tell a provider how to answer from now on."""
    sent = urllib.request.Request(f"{_root(server)}/how", json.dumps({"how": how, "pause_s": pause_s}).encode())  # noqa: S310
    with urllib.request.urlopen(sent, timeout=10):  # noqa: S310 - our own server
        pass


def seen(server: Server) -> list[dict[str, Any]]:
    """What a provider was sent: method, target, headers and body of each request."""
    with urllib.request.urlopen(f"{_root(server)}/seen", timeout=10) as answer:  # noqa: S310 - our own server
        return json.loads(answer.read())


def _root(server: Server) -> str:
    return server.base_url.removesuffix("/v1")


class Provider:
    """A server that answers under one name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.how = "well"
        self.pause_s = 0.0
        self.seen: list[dict[str, Any]] = []

    def app(self) -> web.Application:
        """Its routes: all that a client sends is taken, and remembered."""
        app = web.Application(client_max_size=2**30)
        app.router.add_get("/seen", self._tell)
        app.router.add_post("/how", self._be)
        app.router.add_route("*", "/{any:.*}", self._answer)
        return app

    async def _tell(self, request: web.Request) -> web.Response:
        return web.json_response(self.seen)

    async def _be(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.text())
        self.how, self.pause_s = asked["how"], asked["pause_s"]
        return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = [[name.lower(), value] for name, value in request.headers.items()]
        body = raw[:2000].decode(errors="replace")
        self.seen = [
            *self.seen[-999:],
            {"method": request.method, "target": request.path_qs, "headers": headers, "body": body},
        ]
        if self.how == "silent":
            await asyncio.sleep(3600)
        if self.how == "slow":
            await asyncio.sleep(self.pause_s)
        if json.loads(raw or b"{}").get("stream"):
            return await self._stream(request)
        message = {"role": "assistant", "content": " ".join([self.name, *WORDS])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"id": "chatcmpl-1", "object": "chat.completion", "model": self.name, "choices": [choice]})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        words = [self.name, *WORDS]
        for number, word in enumerate(words):
            choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": "stop" if word is words[-1] else None}
            event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": self.name, "choices": [choice]}
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            if self.how == "stalls" and number == 2:
                await asyncio.sleep(3600)
        await response.write(b"data: [DONE]\n\n")
        return response


@dataclass(frozen=True)
class Said:
    """An answer of the engine that has its words ready."""

    message: Any
    usage: Any


class ReadyEngine:
    """Stands in for a base model: keeps the names of its adapters, and answers in the name of the one that is asked."""

    def __init__(self, base_model: str) -> None:
        self.loaded: dict[str, Path] = {}

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that can answer now."""
        return tuple(self.loaded)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Make an adapter ready under a name."""
        self.loaded[name] = folder

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter."""
        self.loaded.pop(name, None)

    def answer(
        self,
        conversations: Sequence[Sequence[Any]],
        *,
        adapter: str | Sequence[str | None] | None = None,
        max_new_tokens: int = 96,
        batch_size: int = 64,
    ) -> list[Said]:
        """The answers, in the order of the conversations.

        Raises:
            KeyError: an adapter is not loaded.
        """
        from continuum.models.chat import Usage
        from continuum.records import Message

        names = adapter if isinstance(adapter, (list, tuple)) else [adapter] * len(conversations)
        missing = set(names) - set(self.loaded)
        if missing:
            raise KeyError(f"asked for {missing}, which is not loaded")
        return [Said(Message(role="assistant", content=" ".join([str(name), *WORDS])), Usage(60, 16)) for name in names]


def main() -> None:
    """The program of a model's process."""
    given = json.loads(sys.argv[1])
    asyncio.run(_serve_provider(**given) if given["name"] else _serve_tuned(given["port"]))


async def _serve_provider(name: str, port: int) -> None:
    runner = web.AppRunner(Provider(name).app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def _serve_tuned(port: int) -> None:
    from continuum.deployment.backends.local_server import LocalServer
    from continuum.store import default_store

    async with LocalServer(default_store(), port=port, open_engine=ReadyEngine):
        await asyncio.Event().wait()
