"""One call from its request to what is left of it: who is asked, what is passed on, what is captured and counted."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from continuum.deployment.gateway.answers import read_answer
from continuum.deployment.gateway.breaker import Breakers, answered
from continuum.deployment.gateway.forms import CHAT, UNKNOWN_ROUTES, Form
from continuum.deployment.gateway.keys import Allowed
from continuum.deployment.gateway.metrics import Metrics
from continuum.deployment.gateway.request import Gone, Request
from continuum.deployment.gateway.served import ARM, Call, Outcome, read_call
from continuum.deployment.gateway.shadow import Shadowed, Shadows, is_drawn
from continuum.deployment.gateway.upstream import Reply, UpstreamFailed, Upstreams
from continuum.deployment.routing import PRODUCTION_ARM, Arm, Choice, Route
from continuum.deployment.serving import BadRequest
from continuum.spool.cleaning import Snapshot
from continuum.spool.sampling import is_sampled
from continuum.spool.spool import Spool


class Answering:
    """Answers the calls of one worker.

    Args:
        route_of: how a task's traffic is split at present.
        override: whether requests without a key may name the arm that answers.
        now: the calendar's clock; the system's when None.
    """

    def __init__(
        self,
        route_of: Callable[[str], Route],
        upstreams: Upstreams,
        breakers: Breakers,
        shadows: Shadows,
        spool: Spool,
        metrics: Metrics,
        *,
        override: bool = False,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._route_of = route_of
        self._upstreams = upstreams
        self._breakers = breakers
        self._shadows = shadows
        self._spool = spool
        self._metrics = metrics
        self._override = override
        self._now = now

    async def answer(self, form: Form, request: Request, task: str, allowed: Allowed) -> None:
        """Answer a request that was let in.

        Raises:
            BadRequest: it is not of its form, or names an arm that it may not, or that is not there.
            Gone: the client went away.
        """
        clock = time.monotonic()
        call = await read_call(request, form, task, now=self._now, clock=clock)
        choice = self._chosen(call, allowed)
        outcome = Outcome(call, choice.deployment_id)
        status = 499
        try:
            reply = await self._first_reply(choice, outcome)
            if reply is None:
                status, words = outcome.nobody()
                self._keep(outcome)
                request.refuse(status, words, outcome.headers)
                return
            try:
                await self._pass_on(request, reply, outcome)
                status = reply.status
            finally:
                reply.close()
        finally:
            self._keep(outcome)
            self._count(outcome, status)

    def _chosen(self, call: Call, allowed: Allowed) -> Choice:
        """Who answers a call, and who sees it unseen."""
        route = self._route_of(call.task)
        if call.arm is not None:
            if not allowed.may_override and not (allowed.key_id is None and self._override):
                raise BadRequest(
                    f"the header {ARM} is for keys that may name the arm; `continuum keys create --override`", status=403
                )
            named = route.named(call.arm)
            if named is None:
                raise BadRequest(f"task {call.task} has no {call.arm} at present", status=409)
            return named
        if not call.form.may_be_tuned(call.ask.body):
            return Choice(None, (PRODUCTION_ARM,))
        if route.deployment_id is None:
            return Choice(None, route.stable)
        unit = call.unit
        choice = route.choose(unit)
        if route.shadow and choice.arms[0] is not route.candidate and self._is_sampled(call):
            self._shadow(call, route.deployment_id, route.candidate, unit, route.shadow)
        return choice

    def _shadow(self, call: Call, deployment_id: str, candidate: Arm | None, unit: str, share: float) -> None:
        if candidate is None or not is_drawn(deployment_id, unit, share):
            return
        body, size = call.ask.body, len(call.ask.raw)
        # What is no interaction has nothing that the candidate's answer could stand beside.
        if call.form is CHAT or call.form.messages(body, size, Snapshot()) is not None:
            self._shadows.offer(Shadowed(deployment_id, call.task, call.interaction_id, candidate, body, size, call.form))

    async def _first_reply(self, choice: Choice, outcome: Outcome) -> Reply | None:
        """The answer of the first arm that gives one; what a tuned model cannot answer, the arm behind it gets."""
        call = outcome.call
        for arm in choice.arms:
            if arm.base_url is None:
                try:
                    return await self._upstreams.begin(arm, call.ask)
                except UpstreamFailed as failure:
                    outcome.failed(arm, failure)
                    continue
            breaker = self._breakers.of(call.task, arm.model)
            if not breaker.allows():
                outcome.failed(arm, UpstreamFailed(f"{arm.model} is not asked at present: its breaker is open", status=503))
                continue
            try:
                reply = await self._upstreams.begin(arm, call.ask)
                if reply.status == 200:
                    return reply
                reply.close()
                raise UpstreamFailed(f"{arm.model} answered HTTP {reply.status}", answered=reply.status)
            except UpstreamFailed as failure:
                outcome.failed(arm, failure)
                lacks_route = call.form is not CHAT and failure.answered in UNKNOWN_ROUTES
                if not lacks_route and (failure.answered is None or answered(failure.answered) is False):
                    breaker.saw(False, error=str(failure))
        return None

    async def _pass_on(self, request: Request, reply: Reply, outcome: Outcome) -> None:
        outcome.answered_by(reply.arm)
        headers = reply.headers + outcome.headers
        if reply.body is not None:
            outcome.finish(read_answer(reply.body, outcome.call.form.answer), status=reply.status)
            # Kept before it is sent: whatever was answered is captured, also where this process ends in the next moment.
            self._keep(outcome)
            request.answer(reply.status, reply.body, headers)
            return
        events = outcome.call.form.streamed()
        try:
            request.begin(reply.status, headers)
            async for piece in reply.pieces():
                outcome.saw_chunk()
                events.feed(piece)
                if events.done:
                    outcome.finish(events.answer)
                    self._keep(outcome)
                await request.send(piece)
            outcome.finish(events.answer)
            self._keep(outcome)
            request.end()
        except UpstreamFailed as failure:
            outcome.finish(events.answer, error=str(failure))
            # Ended in the regular way, half an answer would look whole.
            request.abort()
        except (Gone, asyncio.CancelledError):
            outcome.cancel(events.answer)
            raise

    # --- what is left of a call --------------------------------------------------------------------------------------------

    def _is_sampled(self, call: Call) -> bool:
        if call.sampled is not None:
            return call.sampled
        return is_sampled(call.conversation_id or call.interaction_id, self._spool.sample_rate(call.task))

    def _keep(self, outcome: Outcome) -> None:
        if outcome.kept:
            return
        outcome.kept = True
        if self._is_sampled(outcome.call) and (draft := outcome.draft(self._upstreams.production_url)) is not None:
            self._spool.take(draft)

    def _count(self, outcome: Outcome, status: int) -> None:
        call, arm, metrics = outcome.call, outcome.arm, self._metrics
        first_ms, name = outcome.time_to_first_chunk_ms, "none" if arm is None else arm.name
        if arm is not None and arm.base_url is not None and (outcome.status != "cancelled" or first_ms is not None):
            broke = outcome.status == "error"
            latency_ms = first_ms if first_ms is not None else outcome.latency_ms
            # What a server says of its error may quote what a user said, and a breaker's evidence is sent to people.
            words = "its answer ended with an error" if outcome.answer.error else outcome.error or ""
            self._breakers.of(call.task, arm.model).saw(not broke, None if broke else latency_ms, words)
        metrics.served(call.task, name, status, time.monotonic() - call.clock, None if first_ms is None else first_ms / 1000)
        if outcome.fell_back:
            metrics.fell_back(call.task)
        if (usage := outcome.answer.usage) is not None:
            metrics.tokens(call.task, name, usage.input_tokens, usage.output_tokens)
