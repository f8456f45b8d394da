"""The candidate's second answers: a share of what was asked is asked again, for nobody to read but the watch.

The application neither waits for a shadow nor pays for one. What does not fit a bounded queue is left out and counted, and while
the store does not take what was answered nothing is asked.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from continuum.deployment.gateway.answers import read_answer
from continuum.deployment.gateway.breaker import Breakers, Trip
from continuum.deployment.gateway.forms import CHAT, UNKNOWN_ROUTES, Form
from continuum.deployment.routing import Arm, position
from continuum.records import Message
from continuum.serving_policy import BreakerPolicy
from continuum.spool.cleaning import Snapshot, clean_text
from continuum.store.shadow_answers import ShadowAnswer

if TYPE_CHECKING:
    from continuum.store.database import Store

MAX_WAITING = 200
"""Requests that wait to be asked again, in one worker."""
MAX_WAITING_BYTES = 32 * 2**20
AT_ONCE = 4
"""Requests that one worker asks a candidate at a time."""
ANSWER_S = 120.0
"""How long a candidate may take."""
WRITE_S = 1.0
"""How often what was answered is written."""
MAX_UNWRITTEN = 500
CLOSE_S = 2.0
MAX_ERROR = 300

Ask = Callable[[Arm, str, bytes], Awaitable[tuple[int, bytes]]]
"""Asks an arm at a path, with this body; its HTTP status and the whole of its answer. It may raise."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shadowed:
    """A request that a candidate is to answer once more."""

    deployment_id: str
    task: str
    interaction_id: str
    arm: Arm
    body: Mapping[str, Any]
    """What was asked for."""
    size: int
    """Bytes of the request."""
    form: Form = CHAT
    """In which form, in which the candidate is asked too."""


def is_drawn(deployment_id: str, unit: str, share: float) -> bool:
    """Whether what belongs to a unit is answered in the shadow too: sticky, and drawn apart from who gets the candidate."""
    return share > 0 and position(f"shadow:{deployment_id}", unit) < share


def shadow_body(body: Mapping[str, Any], model: str) -> bytes:
    """The request as the candidate gets it: in its own name, and the answer in one piece."""
    kept = {name: value for name, value in body.items() if name != "stream_options"}
    return json.dumps({**kept, "model": model, "stream": False}).encode()


class Shadows:
    """The shadows of one worker, while its context is open.

    Args:
        store: where the answers go.
        ask: asks the candidate.
        count: is told what became of each request that was offered, by task: `ok`, `error`, `left_out` because too many waited or
            the gateway stopped, `off` because the store was down, `broken` because the candidate's breaker was open, `no_route`
            because its server does not know the form; and `lost` beside that of an answer that could not be written before the
            gateway stopped. Such as `Metrics.shadowed`.
        redactor: name of who takes personal data out of the answers; None leaves them as they are.
        at_once: how many requests are asked at a time.
        max_waiting: how many may wait.
        answer_s: how long the candidate may take, in seconds.
        write_s: how often what was answered is written, in seconds.
    """

    def __init__(
        self,
        store: "Store",
        ask: Ask,
        *,
        count: Callable[[str, str], object] = lambda task, outcome: None,
        redactor: str | None = None,
        at_once: int = AT_ONCE,
        max_waiting: int = MAX_WAITING,
        answer_s: float = ANSWER_S,
        write_s: float = WRITE_S,
    ) -> None:
        self.store_down = False
        """Whether the store did not take the last answers; nothing is asked until it does."""
        self._store = store
        self._ask = ask
        self._count = count
        self._redactor = redactor
        self._at_once = at_once
        self._answer_s = answer_s
        self._write_s = write_s
        self._waiting: asyncio.Queue[Shadowed] = asyncio.Queue(max_waiting)
        self._waiting_bytes = 0
        self._unwritten: list[ShadowAnswer] = []
        self._breakers = Breakers(lambda task: BreakerPolicy(), self._tripped)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._answer_on()) for _ in range(self._at_once)]
        self._tasks.append(asyncio.create_task(self._write_on()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while not self._waiting.empty():
            self._left_out(self._waiting.get_nowait(), "left_out")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._write(), CLOSE_S)
        for answered in self._unwritten:
            self._count(answered.task, "lost")

    def offer(self, shadowed: Shadowed) -> bool:
        """Take a request that was drawn, see `is_drawn`; False where it is left out. Never blocks."""
        if self.store_down:
            return self._left_out(shadowed, "off")
        if self._waiting_bytes + shadowed.size > MAX_WAITING_BYTES:
            return self._left_out(shadowed, "left_out")
        try:
            self._waiting.put_nowait(shadowed)
        except asyncio.QueueFull:
            return self._left_out(shadowed, "left_out")
        self._waiting_bytes += shadowed.size
        return True

    def _left_out(self, shadowed: Shadowed, outcome: str) -> bool:
        self._count(shadowed.task, outcome)
        return False

    async def _answer_on(self) -> None:
        while True:
            shadowed = await self._waiting.get()
            self._waiting_bytes -= shadowed.size
            breaker = self._breakers.of(shadowed.task, shadowed.arm.model)
            if self.store_down or len(self._unwritten) >= MAX_UNWRITTEN:
                self._left_out(shadowed, "off")
            elif not breaker.allows():
                self._left_out(shadowed, "broken")
            else:
                answered = await self._answered(shadowed)
                if answered is None:
                    self._left_out(shadowed, "no_route")
                    continue
                breaker.saw(answered.status == "ok", answered.latency_ms, answered.error or "")
                self._count(shadowed.task, answered.status)
                self._unwritten.append(answered)

    async def _answered(self, shadowed: Shadowed) -> ShadowAnswer | None:
        """What the candidate said, or how it failed; None where its server does not have the route, which says nothing of it."""
        began = time.monotonic()
        answer, error = None, None
        try:
            async with asyncio.timeout(self._answer_s):
                status, body = await self._ask(shadowed.arm, shadowed.form.path, shadow_body(shadowed.body, shadowed.arm.model))
            if shadowed.form is not CHAT and status in UNKNOWN_ROUTES:
                return None
            read = read_answer(body, shadowed.form.answer)
            answer = read.message if status == 200 else None
            if answer is None:
                error = read.error or f"HTTP {status}" + (" without an answer" if status == 200 else "")
        except TimeoutError:
            error = f"no answer within {self._answer_s:g} s"
        except Exception as failure:  # noqa: BLE001  whatever ails the candidate, the next request is asked
            error = str(failure) or type(failure).__name__
        return ShadowAnswer(
            deployment_id=shadowed.deployment_id,
            interaction_id=shadowed.interaction_id,
            task=shadowed.task,
            answer=answer,
            status="ok" if error is None else "error",
            error=None if error is None else clean_text(error, MAX_ERROR),
            latency_ms=(time.monotonic() - began) * 1000,
        )

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(self._write_s)
            await self._write()

    async def _write(self) -> None:
        batch = self._unwritten[:]
        if not batch:
            return
        try:
            await asyncio.to_thread(self._put, batch)
        except Exception as error:  # noqa: BLE001  whatever ails the store, the answers wait and nothing more is asked
            if not self.store_down:
                logger.warning("shadows rest until the store takes their answers: %s", type(error).__name__)
            self.store_down = True
            return
        self.store_down = False
        del self._unwritten[: len(batch)]

    def _put(self, batch: list[ShadowAnswer]) -> None:
        from continuum.spool.finishing import redacted, words
        from continuum.spool.redaction import redactor_named

        redactor = None if self._redactor is None else redactor_named(self._redactor)
        ready = []
        for one in batch:
            values: dict[str, Any] = {}
            if one.answer is not None:
                values["answer"] = Message.model_validate(redacted(Snapshot().take(one.answer), redactor))
            if one.error is not None and redactor is not None:
                values["error"] = words(one.error, redactor)
            ready.append(one.model_copy(update=values))
        self._store.shadow_answers.add(ready)

    def _tripped(self, trip: Trip) -> None:
        logger.warning("task %s: shadows of %s rest: %s", trip.task, trip.model, trip.words)
