"""What the gateway and the server of tuned models share as HTTP servers: listening, JSON bodies, errors in OpenAI form."""

import asyncio
import gc
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import orjson
from aiohttp import web

from continuum.errors import ConfigurationError, ContinuumError
from continuum.loopback import is_loopback

T = TypeVar("T")
SWITCH_S = 0.0005
YOUNG_GARBAGE = 10_000
"""New objects before the collector looks for cycles among them, in a server; 700 is the usual."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

logger = logging.getLogger(__name__)


class BadRequest(ContinuumError):
    """A request that is answered with an error, in the form that OpenAI clients read."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def error_body(message: str, status: int) -> bytes:
    """An error in the form that OpenAI clients read."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return json.dumps({"error": {"message": message, "type": kind, "code": status}}).encode()


def error_response(message: str, status: int) -> web.Response:
    """As `error_body`, with its status."""
    return web.Response(body=error_body(message, status), status=status, content_type="application/json")


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what the handlers raise, and what aiohttp itself refuses, as JSON."""
    try:
        return await handler(request)
    except BadRequest as error:
        return error_response(str(error), error.status)
    except ConfigurationError as error:
        return error_response(str(error), 400)
    except ContinuumError as error:
        return error_response(str(error), 500)
    except web.HTTPException as error:
        return error_response(error.reason, error.status)


async def read_object(request: web.Request, what: str, known: Collection[str] | None = None) -> dict[str, Any]:
    """The JSON object in a request's body.

    Args:
        what: how a message calls it.
        known: the fields it may have; None for any.

    Raises:
        BadRequest: the body is something else.
    """
    return parse_body(request.content_type, await request.read(), what, known)


def parse_body(content_type: str, raw: bytes, what: str, known: Collection[str] | None = None) -> dict[str, Any]:
    """As `read_object`, of a body that has been read, and the type it is said to have."""
    # A web page may send a form or plain text to loopback unasked, but not JSON.
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise BadRequest(f"content-type is {content_type[:100]!r}; send the {what} as application/json", status=415)
    try:
        content = orjson.loads(raw)
    except ValueError:
        content = _parse_slowly(raw, what)
    if not isinstance(content, dict):
        raise BadRequest(f"the {what} is a JSON {type(content).__name__}; it must be an object")
    if known is not None and (unknown := sorted(set(content) - set(known))):
        raise BadRequest(f"{what} has no field {unknown[0]!r:.80}; it may have {', '.join(sorted(known))}")
    return content


def _parse_slowly(raw: bytes, what: str) -> Any:
    """What the fast parser refuses may still be JSON: half a surrogate pair is."""
    try:
        # Decoded here: of bytes the parser guesses the encoding, and whoever is asked next may guess another.
        return json.loads(raw.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the {what} is not JSON: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, and JSON has no such number")


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set from now on, instead of ending the process where it stands."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Windows has no such handlers, and only a program's main thread may set them; there the server is cancelled.
        with suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
    return stop


def end_within(seconds: float) -> None:
    """End this process in so many seconds where its own end takes longer, as where a database hangs: what it took is on disk."""
    clock = threading.Timer(seconds, os._exit, [1])
    clock.daemon = True
    clock.start()


def run_server(work: Coroutine[Any, Any, T]) -> T:
    """Run a server to its end, on the event loop that is the faster one where there is it."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    # The spool's thread computes; at each of its system calls the event loop would wait for the usual 5 ms to go on.
    sys.setswitchinterval(SWITCH_S)
    return uvloop.run(work)


def settle() -> None:
    """Have the collector leave alone what is loaded by now: it stays, and a request leaves next to nothing to look through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_GARBAGE, 10, 20)


def shown_url(url: str) -> str:
    """A URL for people: without the user, the password and the query, which may hold keys."""
    return re.sub("//[^/]*@", "//", url.partition("?")[0])


def base_url_of(host: str, port: int) -> str:
    """The base URL under which an OpenAI client finds a server; one that listens everywhere is found on loopback."""
    shown = "127.0.0.1" if host in ("", "0.0.0.0") else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host  # noqa: S104 - read, not bound
    return f"http://{shown}:{port}/v1"


async def listen(app: web.Application, host: str, port: int, *, drain_s: float) -> tuple[web.AppRunner, str]:
    """Start serving; the runner to clean up, and the base URL.

    Args:
        drain_s: how long answers that have begun may take when the runner is cleaned up.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    if not is_loopback(host):
        warn_open(host)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=drain_s)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from error
    return runner, base_url_of(host, runner.addresses[0][1])


def warn_open(host: str) -> None:
    """Say in the log, which is stderr unless told otherwise, that a server beyond loopback lets everybody in."""
    logger.warning(
        "WARNING: listening on %s, which other machines may reach, and nobody is asked for a key: whoever reaches it may ask "
        "the models behind it, at your expense",
        host,
    )
