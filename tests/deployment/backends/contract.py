"""What the contract servers share: a real HTTP server on loopback that notes what it was asked.

A contract server plays an upstream server by its published sources: beside each route stand the file and the release or
commit that say so, and it refuses what those refuse.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    body: Any = None


@dataclass
class Refused(Exception):
    """What a handler raises for its server to answer with."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class ContractServer:
    """Serves `routes()` while its context is open."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.port = 0

    def routes(self) -> list[web.RouteDef]:
        """The routes of the server as it is set up."""
        raise NotImplementedError

    def not_found(self) -> web.Response:
        """What it says to a path that it does not know."""
        return web.Response(status=404)

    def check(self, request: web.Request) -> None:
        """Refuse a request before its route is looked at."""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**30, middlewares=[self._note])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        # The same port again, when it is started again.
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """Where an OpenAI client finds it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def bodies(self, path: str) -> list[Any]:
        """What was sent to a path."""
        return [asked.body for asked in self.asked if asked.path == path]

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        self.asked.append(Asked(request.method, request.path, body))
        try:
            self.check(request)
            return await handler(request)
        except Refused as refused:
            if refused.content is None:
                return web.Response(status=refused.status, headers=refused.headers)
            return web.json_response(refused.content, status=refused.status, headers=refused.headers)
        except web.HTTPNotFound:
            return self.not_found()
