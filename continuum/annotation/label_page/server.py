"""The label page's server: a person's labelling session as a JSON API, and the page that uses it.

It holds nothing that is not in the store. What it serves is private, and whoever may ask it may also write verdicts: the address
carries a secret without which nothing is answered, a name that was pointed at this machine from outside is refused, and the page
may run no script and reach no server but its own.
"""

import asyncio
import hmac
import json
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from importlib.resources import files
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import web

from continuum.annotation.label_agreement import agreement_of
from continuum.annotation.labelling import QUEUES, AlreadyAnswered, Labelling, Queue
from continuum.annotation.questions import Question
from continuum.errors import ConfigurationError, ContinuumError, StoreError
from continuum.loopback import host_in, is_address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PORT = 8793
LOOPBACK = "127.0.0.1"
TOKEN_BYTES = 32
MAX_BODY_BYTES = 2**20
DRAIN_S = 5.0
FILES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript", "drawing.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # The secret is in the address, which must not travel on.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

logger = logging.getLogger(__name__)


class LabelPage:
    """The page of one person, served while its context is open.

    Args:
        labelling: the person, and the queue the page opens with.
        host: the address to listen on.
        port: 0 for a free one.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """

    def __init__(self, labelling: Labelling, *, host: str = LOOPBACK, port: int = PORT) -> None:
        self.labelling = labelling
        self.host = host
        self.port = port
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._names = names_of(host)
        self._queues: dict[Queue, Labelling] = {
            queue: labelling if queue == labelling.queue else labelling.beside(queue) for queue in QUEUES
        }
        folder = files("continuum.annotation.label_page")
        self._files = {name: (folder / name).read_bytes() for name in FILES}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address of the page, with its secret; the slash at its end belongs to it."""
        wildcard = is_wildcard(self.host)
        name = LOOPBACK if wildcard else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/{self._token}/"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guarded])
        app.router.add_get("/{token}/api/next", self._next)
        app.router.add_post("/{token}/api/vote", self._vote)
        app.router.add_post("/{token}/api/pass", self._pass)
        app.router.add_post("/{token}/api/undo", self._undo)
        app.router.add_get("/{token}/api/progress", self._progress)
        app.router.add_get("/{token}/api/agreement", self._agreement)
        app.router.add_get("/{token}/{file:[a-z.]*}", self._file)
        # No access log: every line of it would hold the secret.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=DRAIN_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self.port)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigurationError(
                f"the label page cannot listen on {self.host}:{self.port}: {error.strerror or error}; choose another --port"
            ) from error
        self._runner = runner
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse who must not ask, answer errors as JSON, and say on every answer what a browser may do with it."""
        reply = self._refusal(request) or await answered(request, handler)
        reply.headers.update(HEADERS)
        return reply

    def _refusal(self, request: web.Request) -> web.Response | None:
        name = host_in(request.headers.get("Host", ""))
        if name is None or not (name in self._names or (is_wildcard(self.host) and is_address(name))):
            return refused(f"this page is not served as {name!r:.80}; open the address that `continuum label` printed", 403)
        token = request.path.removeprefix("/").partition("/")[0].encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(token, self._token.encode()):
            return refused(
                "this address is not, or no longer, the page's: each start of `continuum label --page` prints a new one; "
                "open that",
                403,
            )
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
            return refused("another site may not ask this page", 403)
        return None

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["file"] or "page.html"
        if name not in FILES:
            return refused("there is no such page", 404)
        return web.Response(body=self._files[name], content_type=FILES[name], charset="utf-8")

    async def _next(self, request: web.Request) -> web.Response:
        labelling = self._at(request.query)
        return await self._state(labelling, await asyncio.to_thread(labelling.next))

    async def _vote(self, request: web.Request) -> web.Response:
        said = await read_body(request, {"queue", "review", "score", "comment", "correction", "label"})
        labelling = self._at(said)
        more = [said.get(name) for name in ("comment", "correction", "label")]
        voted = await asyncio.to_thread(labelling.vote, text_of(said, "review"), said.get("score"), *more)
        return await self._state(labelling, None, voted=asdict(voted))

    async def _pass(self, request: web.Request) -> web.Response:
        said = await read_body(request, {"queue", "review"})
        labelling = self._at(said)
        await asyncio.to_thread(labelling.skip, text_of(said, "review"))
        return await self._state(labelling, await asyncio.to_thread(labelling.next))

    async def _undo(self, request: web.Request) -> web.Response:
        said = await read_body(request, {"queue", "review"})
        labelling = self._at(said)
        back = await asyncio.to_thread(labelling.undo, text_of(said, "review"))
        if back is None:
            return await self._state(labelling, await asyncio.to_thread(labelling.next))
        return await self._state(labelling, back.question, before={"comment": back.comment, "correction": back.correction})

    async def _progress(self, request: web.Request) -> web.Response:
        return await self._state(self._at(request.query), None)

    async def _agreement(self, request: web.Request) -> web.Response:
        labelling = self._at(request.query)
        found = await asyncio.to_thread(agreement_of, labelling.store, labelling.task, labelling.queue)
        return web.json_response({"queue": labelling.queue, **asdict(found)})

    def _at(self, said: Mapping[str, Any]) -> Labelling:
        queue = said.get("queue", self.labelling.queue)
        if queue not in QUEUES:
            raise ConfigurationError(f"there is no queue {queue!r:.80}; there are {', '.join(QUEUES)}")
        return self._queues[queue]

    async def _state(self, labelling: Labelling, question: Question | None, **more: Any) -> web.Response:
        """What the page needs to know after each step."""
        counts = await asyncio.to_thread(lambda: {queue: asdict(one.progress()) for queue, one in self._queues.items()})
        return web.json_response(
            {
                "task": labelling.task,
                "queue": labelling.queue,
                "labeller": labelling.labeller,
                "question": None if question is None else {**asdict(question), "asked_at": question.asked_at.isoformat()},
                "last": await asyncio.to_thread(labelling.last),
                "queues": counts,
                "overlap": labelling.overlap,
                "how_to_fill": labelling.how_to_fill(),
                **more,
            }
        )


async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the handler answers, or its error as JSON."""
    try:
        return await handler(request)
    except AlreadyAnswered as error:
        return refused(str(error), 409)
    except ConfigurationError as error:
        return refused(str(error), 400)
    except StoreError as error:
        return refused(str(error), 503)
    except ContinuumError as error:
        return refused(str(error), 500)
    except web.HTTPException as error:
        return refused(error.reason, error.status)
    except Exception:
        # Its text may quote what was said; the log of the person's own terminal may hold it, the page need not.
        logger.exception("the label page failed")
        return refused("the server failed; the terminal it runs in says how", 500)


def refused(message: str, status: int) -> web.Response:
    """An error, as the page reads it."""
    return web.json_response({"error": message}, status=status)


async def read_body(request: web.Request, known: set[str]) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises:
        ConfigurationError: the body is something else.
    """
    # A foreign page can send a form or plain text unasked, but not JSON.
    if request.content_type != "application/json":
        raise ConfigurationError(f"content-type is {request.content_type!r}; send application/json")
    try:
        content = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise ConfigurationError("the body is not JSON") from error
    if not isinstance(content, dict) or not set(content) <= known:
        raise ConfigurationError(f"the body must be a JSON object with some of {', '.join(sorted(known))}")
    return content


def text_of(said: Mapping[str, Any], name: str) -> str:
    """A field that must be text.

    Raises:
        ConfigurationError: it is something else.
    """
    value = said.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name} is {value!r:.80}; it must be text")
    return value


def names_of(host: str) -> frozenset[str]:
    """By which names the page may be asked for: a name that a stranger pointed at this machine is none of them."""
    names = {"127.0.0.1", "localhost", "::1", host.lower()}
    if is_wildcard(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def is_wildcard(host: str) -> bool:
    """Whether it stands for every address of this machine."""
    return is_address(host) and ip_address(host).is_unspecified
