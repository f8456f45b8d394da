"""The gateway: an OpenAI-compatible proxy that splits a task's traffic between models and captures what it serves.

An application comes through it by its client's base URL alone. It listens on loopback unless told otherwise, because
whoever reaches it spends the upstream's key.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from continuum.config import Settings, load_settings
from continuum.deployment.answers import StreamedAnswer, read_answer
from continuum.deployment.routing import PRODUCTION, Choice, RouteTable
from continuum.deployment.served import FEEDBACK_FIELDS, Outcome, feedback_of, read_call
from continuum.deployment.serving import BadRequest, errors_as_json, listen, read_object, shown_url, stop_signal
from continuum.deployment.upstream import DEFAULT_TIMEOUTS, VIA, Reply, Timeouts, UpstreamFailed, Upstreams, open_session
from continuum.policy import checked_task_name
from continuum.spool.sampling import is_sampled
from continuum.spool.spool import Spool
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

POLL_S = 0.2
"""How often the routes are read again: a change of a deployment is felt within this."""
MAX_BODY_BYTES = 16 * 2**20
DRAIN_S = 10.0
"""How long answers that have begun may take when the gateway stops."""
STORE_S = 5.0
"""How long the store may take with what was served; what it has not taken by then waits on disk for the next start."""

logger = logging.getLogger(__name__)


class Gateway:
    """One gateway, serving while its context is open.

    Args:
        store: where the routes are read and captures are written; the gateway serves on when it fails.
        settings: the production model's address and key; the environment's when left out.
        default_task: the task of requests that name none.
        port: 0 for a free one.

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
        max_body_bytes: int = MAX_BODY_BYTES,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.routes = RouteTable()
        self.base_url = ""
        """Where an OpenAI client finds the gateway, once it serves."""
        self._store = store
        self._settings = settings or load_settings()
        self._default_task = None if default_task is None else checked_task_name(default_task)
        self._address = (host, port)
        self._spool = Spool(lambda: store, settings=lambda: self._settings)
        self._timeouts = timeouts
        self._max_body_bytes = max_body_bytes
        self._now = now
        self._store_error: str | None = None

    async def __aenter__(self) -> Self:
        await self.refresh()
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(open_session(self._timeouts))
            self._upstreams = Upstreams(session, self._settings.upstream_base_url, self._settings.upstream_api_key)
            app = web.Application(middlewares=[errors_as_json], client_max_size=self._max_body_bytes)
            app.add_routes(
                [
                    web.post("/v1/chat/completions", self._complete),
                    web.post("/v1/feedback", self._feedback),
                    web.get("/v1/models", self._models),
                    web.get("/healthz", self._health),
                ]
            )
            runner, self.base_url = await listen(app, *self._address, drain_s=DRAIN_S)
            stack.push_async_callback(runner.cleanup)
            poll = asyncio.create_task(self._follow_routes())
            stack.callback(poll.cancel)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()
        await asyncio.to_thread(self._spool.close, STORE_S)

    async def flush(self) -> bool:
        """Wait until what was served so far is in the store; False when the store does not take it."""
        return await asyncio.to_thread(self._spool.flush)

    async def refresh(self) -> None:
        """Read the routes now; the last known ones stay where the store does not answer."""
        try:
            self.routes = RouteTable.of(await asyncio.to_thread(self._store.deployments.serving))
        except Exception as error:  # noqa: BLE001  whatever ails the store, the last known routes go on serving
            if self._store_error is None:
                logger.warning("the routes cannot be read, the last known ones stay: %s", error)
            self._store_error = type(error).__name__
        else:
            self._store_error = None

    # --- completions -------------------------------------------------------------------------------------------------------

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if VIA in request.headers.get("via", ""):
            raise BadRequest("the gateway was asked by itself; CONTINUUM_UPSTREAM_BASE_URL must name the provider", status=508)
        call = await read_call(request, default_task=self._default_task, now=self._now)
        choice = self.routes.route(call.task).choose(call.unit)
        outcome = Outcome(call, choice.deployment_id)
        try:
            reply = await self._first_reply(choice, outcome)
            if reply is None:
                return outcome.failure_response()
            try:
                return await self._pass_on(request, reply, outcome)
            finally:
                reply.close()
        finally:
            self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        call, sampled = outcome.call, outcome.call.sampled
        if sampled is None:
            sampled = is_sampled(call.conversation_id or call.interaction_id, self._spool.sample_rate(call.task))
        if sampled:
            self._spool.take(outcome.draft(self._upstreams.production_url))

    async def _first_reply(self, choice: Choice, outcome: Outcome) -> Reply | None:
        """The answer of the first arm that gives one; what a tuned model cannot answer, the arm behind it gets."""
        for arm in choice.arms:
            try:
                reply = await self._upstreams.begin(arm, outcome.call.ask)
            except UpstreamFailed as failure:
                outcome.failed(arm, failure)
                continue
            if reply.status == 200 or arm.model == PRODUCTION:
                return reply
            outcome.failed(arm, UpstreamFailed(f"{arm.model} answered HTTP {reply.status}"))
            reply.close()
        return None

    async def _pass_on(self, request: web.Request, reply: Reply, outcome: Outcome) -> web.StreamResponse:
        outcome.answered_by(reply.arm)
        headers = reply.headers | outcome.headers
        if reply.body is not None:
            outcome.finish(read_answer(reply.body), status=reply.status)
            return web.Response(status=reply.status, headers=headers, body=reply.body)
        response = web.StreamResponse(status=reply.status, headers=headers)
        streamed = StreamedAnswer()
        try:
            await response.prepare(request)
            async for piece in reply.pieces():
                outcome.saw_chunk()
                streamed.feed(piece)
                await response.write(piece)
            await response.write_eof()
            outcome.finish(streamed.answer)
        except UpstreamFailed as failure:
            outcome.finish(streamed.answer, error=str(failure))
            # Ended in the regular way, half an answer would look whole.
            if request.transport is not None:
                request.transport.abort()
        except ConnectionResetError:
            outcome.cancel(streamed.answer)
        except asyncio.CancelledError:
            outcome.cancel(streamed.answer)
            raise
        return response

    # --- the other doors ---------------------------------------------------------------------------------------------------

    async def _feedback(self, request: web.Request) -> web.Response:
        feedback = feedback_of(await read_object(request, "feedback", FEEDBACK_FIELDS))
        if not self._spool.offer(feedback):
            raise BadRequest(
                "the store takes nothing at present and the queue is full; send the feedback again later", status=503
            )
        return web.json_response({"id": feedback.id, "interaction_id": feedback.interaction_id}, status=202)

    async def _models(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(await self._upstreams.models())
        except UpstreamFailed as failure:
            raise BadRequest(str(failure), status=failure.status) from failure

    async def _health(self, request: web.Request) -> web.Response:
        stats = self._spool.stats()
        captured, feedback = stats.calls, stats.feedback
        content: dict[str, Any] = {
            "status": "ok",
            "store": self._store_error or "ok",
            "tasks_with_a_deployment": len(self.routes.routes),
            "captured": captured.stored,
            "waiting": captured.pending + feedback.pending,
            "lost": captured.dropped + captured.failed + feedback.dropped + feedback.failed,
        }
        return web.json_response(content)

    # --- the routes --------------------------------------------------------------------------------------------------------

    async def _follow_routes(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self.refresh()


async def serve_gateway(host: str = "127.0.0.1", port: int = 8787, default_task: str | None = None) -> None:
    """Run a gateway on the default store until SIGTERM or Ctrl-C; what has begun is answered, and what was served is stored."""
    stop, settings, store = stop_signal(), load_settings(), default_store()
    async with Gateway(store, settings, default_task=default_task, host=host, port=port) as gateway:
        known = await asyncio.to_thread(store.tasks.names)
        print(announcement(gateway.base_url, settings.upstream_base_url, default_task, known), flush=True)
        await stop.wait()


def announcement(base_url: str, upstream: str | None, default_task: str | None, known_tasks: Collection[str]) -> str:
    """Where a gateway serves, whom it asks and for which task, in one line without keys."""
    behind = "no upstream: set CONTINUUM_UPSTREAM_BASE_URL" if upstream is None else f"upstream {shown_url(upstream)}"
    if default_task is None:
        task = "no default task: requests name theirs"
    else:
        new = "" if default_task in known_tasks else " (not registered yet, its first call does that: is the name right?)"
        task = f"default task {default_task}{new}"
    return f"the gateway serves at {base_url}; {behind}; {task}"
