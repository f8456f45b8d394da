"""The gateway: an OpenAI-compatible proxy that splits a task's traffic between models and captures what it serves.

An application comes through it by its client's base URL alone. It listens on loopback unless told otherwise, because
whoever reaches it spends the upstream's key.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

import orjson

from continuum.config import Settings, load_settings
from continuum.deployment.gateway.answering import Answering
from continuum.deployment.gateway.aside import Aside
from continuum.deployment.gateway.breaker import Breakers, Trip
from continuum.deployment.gateway.door import Door
from continuum.deployment.gateway.following import Following
from continuum.deployment.gateway.forms import EMBEDDINGS, FORMS, Form
from continuum.deployment.gateway.keys import ANYBODY, STRANGERS_NAME, Allowed, Keys, Refused
from continuum.deployment.gateway.metrics import CONTENT_TYPE, Metrics
from continuum.deployment.gateway.request import DEFAULT_LIMITS, Limits, Request
from continuum.deployment.gateway.served import FEEDBACK_FIELDS, feedback_of, task_of
from continuum.deployment.gateway.shadow import Shadows
from continuum.deployment.gateway.tripping import Trips
from continuum.deployment.gateway.upstream import DEFAULT_TIMEOUTS, VIA, Ask, Timeouts, UpstreamFailed, Upstreams
from continuum.deployment.routing import PRODUCTION_ARM, Arm, ArmName, Route, RouteTable
from continuum.deployment.serving import BadRequest, base_url_of, parse_body, warn_open
from continuum.errors import ConfigurationError, ContinuumError
from continuum.loopback import is_loopback, is_strangers
from continuum.policy import checked_task_name
from continuum.spool.headers import TASK
from continuum.spool.spool import Spool

if TYPE_CHECKING:
    from continuum.store.database import Store

MODELS = "/v1/models"
POLL_S = 0.2
"""How often the routes are read again: a change of a deployment is felt within this."""
READ_S = 5.0
"""How long the store may take to say them; what was known before holds meanwhile."""
COUNT_S = 1.0
"""How often what was counted is written down for the other workers."""
DRAIN_S = 10.0
"""How long answers that have begun may take when the gateway stops."""
LINGER_S = 0.5
"""How long captures on disk wait for company on their way to the store: each batch has a price of its own."""
STORE_S = 10.0
"""How long the store may take with what was served; what it has not taken by then waits on disk for the next start."""
STOP_S = DRAIN_S + STORE_S + 5.0
"""How long a stop may take in all."""


class Gateway:
    """One gateway, or one worker of it, serving while its context is open.

    Args:
        store: where the routes are read and captures are written; the gateway serves on when it fails.
        settings: the production model's address and key; the environment's when left out.
        default_task: the task of requests that name none.
        port: 0 for a free one.
        timeouts: how long models may take.
        limits: how long clients may take, and how much they may send.
        keys: whether requests need a key; None: as soon as one was made, and always where other machines reach the gateway.
        override: whether requests may name the arm that answers where no key is asked for.
        worker: this worker's number, and how many there are: they share the port.
        goes_on: whether this worker takes the place of one that died.
        apart: whether a process of its own brings captures into the store, which is the environment's default then.
        now: the calendar's clock; the system's when None.

    Raises:
        ConfigurationError: the default task's name cannot be one.
    """

    def __init__(
        self,
        store: "Store",
        settings: Settings | None = None,
        *,
        default_task: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        limits: Limits = DEFAULT_LIMITS,
        keys: bool | None = None,
        override: bool = False,
        worker: tuple[int, int] = (0, 1),
        goes_on: bool = False,
        apart: bool = False,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.base_url = ""
        """Where an OpenAI client finds the gateway, once it serves."""
        self._store = store
        self._settings = settings or load_settings()
        self._default_task = None if default_task is None else checked_task_name(default_task)
        self._address = (host, port)
        self._timeouts = timeouts
        self._workers = worker[1]
        self._now = now
        self._stopping = False
        self._is_local = is_loopback(host)
        self._override = override and self._is_local
        folder = self._settings.home / "gateway"
        required = True if keys is None and not self._is_local else keys
        self._warns = worker[0] == 0 and not self._is_local  # the first worker does for all
        self._following = Following(store, folder, trusts_file=goes_on)
        # By the port: a home may have several gateways.
        shared = folder / f"limits-{port}" if worker[1] > 1 else None
        self._keys = Keys(store, folder, required=required, workers=worker[1], shared=shared)
        self.metrics = Metrics(folder / f"counts-{port}" if worker[1] > 1 else None, worker[0])
        self._reading = Aside(self._read)
        self._counted_routes = self._following.routes
        self._named_at = 0.0
        self._trips = Trips(store)
        self._breakers = Breakers(self._following.policy_of, self._tripped)
        self._spool = Spool(lambda: store, settings=lambda: self._settings, linger_s=LINGER_S, apart=apart)
        self._door = Door(self._handle, limits, refused=lambda status: self.metrics.refused("no_request"))
        complete = [(f"/v1{form.path}", ("POST", partial(self._complete, form))) for form in FORMS]
        self._routes: dict[str, tuple[str, Callable[[Request], Awaitable[None]]]] = {
            **dict(complete),
            f"/v1{EMBEDDINGS}": ("POST", self._embed),
            "/v1/feedback": ("POST", self._feedback),
            MODELS: ("GET", self._models),
            "/healthz": ("GET", self._health),
            "/readyz": ("GET", self._ready),
            "/metrics": ("GET", self._counts),
        }

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the store knows."""
        return self._following.tasks

    @property
    def routes(self) -> RouteTable:
        """How traffic is split at present."""
        return self._following.routes

    async def __aenter__(self) -> Self:
        host, port = self._address
        if self._default_task is not None:
            self.metrics.know([self._default_task])
        if self._spool.apart:
            # Its process takes a moment to begin; where the gateway cannot begin, it ends with the gateway's.
            self._spool.start()
        await self.refresh()
        if self._keys.asked_for and not self._keys.usable and not self._is_local:
            raise ConfigurationError(
                f"other machines may reach {host}, and there is no key to ask them for; make one with "
                "`continuum keys create NAME`, or let everybody in with --no-keys"
            )
        if self._warns and not self._keys.asked_for:
            warn_open(host)
        async with AsyncExitStack() as stack:
            self._upstreams = Upstreams(
                self._settings.upstream_base_url,
                self._settings.upstream_api_key,
                self._timeouts,
                serving_api_key=self._settings.serving_api_key,
            )
            stack.callback(self._upstreams.close)
            redactor = None if self._settings.redact == "off" else self._settings.redactor
            shadows = await stack.enter_async_context(
                Shadows(self._store, self._ask_unseen, count=self.metrics.shadowed, redactor=redactor)
            )
            self._answering = Answering(
                self._route_of,
                self._upstreams,
                self._breakers,
                shadows,
                self._spool,
                self.metrics,
                override=self._override,
                now=self._now,
            )
            try:
                _, bound = await self._door.open(host, port, shared=self._workers > 1)
            except OSError as error:
                raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from error
            stack.push_async_callback(self._door.close, DRAIN_S)
            self.base_url = base_url_of(host, bound)
            for work in (self._follow(), self._trips.run()):
                stack.callback(asyncio.create_task(work).cancel)
            # What a gateway before this one left on disk is stored at once, not when the first request comes.
            self._spool.start()
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await self._open.aclose()
        await asyncio.to_thread(self._spool.close, STORE_S)
        self.metrics.tell_refused(0.0)
        await asyncio.to_thread(self.metrics.flush)
        self._keys.close()

    async def flush(self) -> bool:
        """Wait until what was served so far is in the store; False when the store does not take it."""
        return await asyncio.to_thread(self._spool.flush)

    async def refresh(self) -> None:
        """Read the routes and the keys now; the last known ones stay where the store does not answer."""
        if not await self._reading.done_in(READ_S):
            self._keys.unanswered()
            self._following.unanswered()
        if self.routes is not self._counted_routes:
            self._counted_routes, following = self.routes, self._following
            self._breakers.keep({(task, arm.model) for task, route in self.routes.routes.items() for arm in route.tuned})
            self.metrics.know([*self.routes.routes, *following.tasks])
            self.metrics.forget("continuum_gateway_traffic")
            for task, route in self.routes.routes.items():
                self.metrics.show("continuum_gateway_traffic", route.traffic, task)

    def _read(self) -> None:
        self._keys.refresh()
        self._following.read()
        if self._following.store_error is None and time.monotonic() - self._named_at > COUNT_S:
            self._named_at = time.monotonic()
            # A task is registered by its first capture, which changes no deployment.
            with suppress(Exception):
                self.metrics.know(self._store.tasks.names())

    async def _follow(self) -> None:
        counted_at = 0.0
        while True:
            await asyncio.sleep(POLL_S)
            await self.refresh()
            if time.monotonic() - counted_at > COUNT_S:
                counted_at = time.monotonic()
                self._show()
                self.metrics.tell_refused()
                await asyncio.to_thread(self.metrics.flush)

    def _route_of(self, task: str) -> Route:
        return self._following.routes.route(task)

    async def _ask_unseen(self, arm: Arm, path: str, body: bytes) -> tuple[int, bytes]:
        return await self._upstreams.whole(arm, path, body)

    # --- requests ----------------------------------------------------------------------------------------------------------

    async def _handle(self, request: Request) -> None:
        path = request.path
        bare = path.partition("?")[0]
        route = self._routes.get(path) or self._routes.get(MODELS if bare.startswith(f"{MODELS}/") else bare)
        if route is None or route[0] != ("GET" if request.method == "HEAD" else request.method):
            self.metrics.refused("no_path")
            found = "has no such path" if route is None else f"takes {route[0]} there"
            request.refuse(404 if route is None else 405, f"the gateway {found}: {request.method} {bare:.100}")
            return
        self.metrics.began()
        try:
            await route[1](request)
        except BadRequest as error:
            self._refuse(request, error.status, str(error))
        except ConfigurationError as error:
            self._refuse(request, 400, str(error))
        except ContinuumError as error:
            self._refuse(request, 500, str(error))
        finally:
            self.metrics.ended()

    def _refuse(self, request: Request, status: int, words: str) -> None:
        self.metrics.refused("bad_request" if status < 500 else "failed")
        if request.begun:
            request.abort()
        else:
            request.refuse(status, words)

    def _admitted(self, request: Request, task: str | None) -> Allowed | None:
        """What a request may do; None where it is refused, and was told. A task's name is only then found to be one or none."""
        found = self._keys.check(request.headers.get("authorization"), task)
        if found is ANYBODY and self._is_local and is_strangers(request.headers.get("host")):
            found = STRANGERS_NAME
        if isinstance(found, Refused):
            self.metrics.refused(found.reason)
            request.refuse(found.status, found.words, found.headers.items())
            return None
        if task is not None:
            checked_task_name(task)
        return found

    async def _complete(self, form: Form, request: Request) -> None:
        _not_by_itself(request)
        task = task_of(request, self._default_task)
        allowed = self._admitted(request, task)
        if allowed is None:
            return
        if task is None:
            raise BadRequest(f"the request names no task; send the header {TASK}, or start the gateway with a default task")
        await self._answering.answer(form, request, task, allowed)

    async def _embed(self, request: Request) -> None:
        _not_by_itself(request)
        task = task_of(request, self._default_task)
        if self._admitted(request, task) is None:
            return
        began = time.monotonic()
        raw = await request.body()
        ask = Ask(EMBEDDINGS, raw, parse_body(request.headers.get("content-type", ""), raw, "request"), request.headers)
        status = 499
        try:
            reply = await self._upstreams.begin(PRODUCTION_ARM, ask)
            status = reply.status
            request.answer(reply.status, reply.body or b"", reply.headers)
        except UpstreamFailed as failure:
            status = failure.status
            raise BadRequest(str(failure), status=status) from failure
        finally:
            self.metrics.served(task or "", "production", status, time.monotonic() - began)

    async def _feedback(self, request: Request) -> None:
        if self._admitted(request, None) is None:
            return
        raw = await request.body()
        feedback = feedback_of(parse_body(request.headers.get("content-type", ""), raw, "feedback", FEEDBACK_FIELDS))
        if not self._spool.offer(feedback):
            raise BadRequest(
                "the store takes nothing at present and the queue is full; send the feedback again later", status=503
            )
        self._tell(request, {"id": feedback.id, "interaction_id": feedback.interaction_id}, status=202)

    async def _models(self, request: Request) -> None:
        _not_by_itself(request)
        if self._admitted(request, task_of(request, None)) is None:
            return
        # Production's alone: a model of ours answers whom the split draws, and cannot be asked for by its name.
        name = unquote(request.path.partition("?")[0].removeprefix(MODELS).removeprefix("/"))
        try:
            self._tell(request, await (self._upstreams.model(name) if name else self._upstreams.models()))
        except UpstreamFailed as failure:
            raise BadRequest(str(failure), status=failure.status) from failure

    # --- how it does -------------------------------------------------------------------------------------------------------

    async def _health(self, request: Request) -> None:
        stats = self._spool.stats()
        captured, feedback = stats.calls, stats.feedback
        content = {
            "status": "ok",
            "store": self._following.store_error or "ok",
            "tasks_with_a_deployment": len(self.routes.routes),
            "captured": captured.stored,
            "waiting": captured.pending + feedback.pending,
            "lost": captured.dropped + captured.failed + feedback.dropped + feedback.failed,
        }
        self._tell(request, content)

    async def _ready(self, request: Request) -> None:
        ready = self._following.known and not self._stopping
        self._tell(request, {"ready": ready}, status=200 if ready else 503)

    async def _counts(self, request: Request) -> None:
        if self._admitted(request, None) is None:
            return
        self._show()
        text = await asyncio.to_thread(self.metrics.text)
        request.answer(200, text, (("content-type", CONTENT_TYPE),))

    def _show(self) -> None:
        stats, metrics = self._spool.stats(), self.metrics
        for outcome, count in (
            ("stored", stats.calls.stored),
            ("waiting", stats.calls.pending),
            ("lost", stats.calls.dropped + stats.calls.failed),
        ):
            metrics.show("continuum_gateway_captures", count, outcome)
        metrics.show("continuum_gateway_store_up", float(self._following.store_error is None))
        metrics.forget("continuum_gateway_breakers_open")
        for task, model in self._breakers.open():
            metrics.show("continuum_gateway_breakers_open", 1, task, self._name_of(task, model))

    def _tell(self, request: Request, content: dict[str, Any], status: int = 200) -> None:
        request.answer(status, orjson.dumps(content))

    def _tripped(self, trip: Trip) -> None:
        self._trips.tell(trip)
        self.metrics.tripped(trip.task, self._name_of(trip.task, trip.model))

    def _name_of(self, task: str, model: str) -> ArmName:
        candidate = self.routes.route(task).candidate
        return "canary" if candidate is not None and candidate.model == model else "stable"


def _not_by_itself(request: Request) -> None:
    if VIA in request.headers.get("via", ""):
        raise BadRequest("the gateway was asked by itself; CONTINUUM_UPSTREAM_BASE_URL must name the provider", status=508)
