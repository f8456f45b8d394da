"""The breaker of each tuned model: the gateway stops asking one that fails or is late, without waiting for anybody's judgement.

Counts are one worker's own and live in memory; what a trip does to the deployment goes through the store, see `tripping.py`.
Production has no breaker: nobody stands behind it.
"""

import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from continuum.serving_policy import BreakerPolicy

SLICES = 10
"""Parts of the window that are forgotten one by one; the window is exact to one of them."""
MAX_EXAMPLES = 5
"""Errors that a trip shows."""
MAX_WORDS = 200
REQUESTS_OWN_FAULT = frozenset({400, 411, 413, 414, 415, 422, 431})
"""Refusals of a request that say nothing about the model: who sends nonsense must not be able to roll a candidate back."""


@dataclass(frozen=True)
class Trip:
    """Why a breaker opened; `evidence` is plain JSON."""

    task: str
    model: str
    cause: Literal["errors", "slow"]
    words: str
    evidence: dict[str, Any]


class _Slice:
    __slots__ = ("errors", "first_bytes_ms", "number", "requests", "slow", "timed")

    def __init__(self) -> None:
        self.begin(-1)

    def begin(self, number: int) -> None:
        self.number = number
        self.requests = self.errors = self.timed = self.slow = 0
        self.first_bytes_ms = 0.0


class Breaker:
    """One model's breaker in one worker: closed while it answers, open when it does not, half-open to try again.

    Args:
        policy: when it opens.
        tripped: called each time it opens for what it counted while closed; a trial that fails keeps it open, and is not told.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        task: str,
        model: str,
        policy: BreakerPolicy,
        tripped: Callable[[Trip], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task = task
        self.model = model
        self.policy = policy
        self._tripped = tripped
        self._clock = clock
        self._width = policy.window_s / SLICES
        self._slices = [_Slice() for _ in range(SLICES)]
        self._examples: deque[str] = deque(maxlen=MAX_EXAMPLES)
        self._try_at: float | None = None
        """None while closed; else when the next request may be let through."""
        self._trying = False
        """Whether one was let through and has not come back."""

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """Closed, open, or ready to let one request through."""
        if self._try_at is None:
            return "closed"
        return "open" if self._clock() < self._try_at else "half_open"

    def allows(self) -> bool:
        """Whether the model may be asked; of an open breaker, whether this is the one request that tries it."""
        if self._try_at is None:
            return True
        now = self._clock()
        if now < self._try_at:
            return False
        # One that never comes back must not keep the breaker open for ever: after as long again, another is let through.
        self._try_at = now + self.policy.cool_off_s
        self._trying = True
        return True

    def saw(self, ok: bool, first_byte_ms: float | None = None, error: str = "") -> None:
        """Count what became of a request.

        Args:
            ok: whether the model answered; see `answered`.
            first_byte_ms: how long the first byte of the answer took; of the whole answer where it did not come in pieces.
            error: what went wrong, in words without anything that a user said.
        """
        policy = self.policy
        slow = ok and policy.slow_ms is not None and first_byte_ms is not None and first_byte_ms > policy.slow_ms
        if self._try_at is not None:
            # What was asked before it opened and comes back now has nothing to add.
            if self._trying:
                self._tried(ok and not slow)
            return
        number = int(self._clock() / self._width)
        now = self._slices[number % SLICES]
        if now.number != number:
            now.begin(number)
        now.requests += 1
        if ok:
            if first_byte_ms is not None:
                now.timed += 1
                now.first_bytes_ms += first_byte_ms
            if not slow:
                return
            now.slow += 1
        else:
            now.errors += 1
            self._examples.append(error[:MAX_WORDS])
        self._judge(number)

    def _tried(self, well: bool) -> None:
        self._trying = False
        if not well:
            self._try_at = self._clock() + self.policy.cool_off_s
            return
        self._try_at = None
        self._examples.clear()
        for one in self._slices:
            one.begin(-1)

    def _judge(self, number: int) -> None:
        policy = self.policy
        seen = [one for one in self._slices if number - SLICES < one.number <= number]
        requests, errors = sum(one.requests for one in seen), sum(one.errors for one in seen)
        timed, slow = sum(one.timed for one in seen), sum(one.slow for one in seen)
        if requests >= policy.min_requests and errors >= policy.error_rate * requests:
            cause, words = "errors", f"{errors} of {requests} requests found no answer"
        elif timed >= policy.min_requests and slow >= policy.slow_rate * timed:
            cause, words = "slow", f"{slow} of {timed} answers took longer than {policy.slow_ms:g} ms to begin"
        else:
            return
        self._try_at = self._clock() + policy.cool_off_s
        evidence = {
            "cause": cause,
            "requests": requests,
            "errors": errors,
            "timed": timed,
            "slow": slow,
            "mean_first_byte_ms": round(sum(one.first_bytes_ms for one in seen) / timed, 1) if timed else None,
            "examples": list(self._examples),
            "breaker": policy.model_dump(mode="json"),
        }
        self._tripped(Trip(self.task, self.model, cause, f"{words} within {policy.window_s:g} s", evidence))


class Breakers:
    """The breakers of one worker.

    Args:
        policy_of: a task's policy; asked once for each breaker, never in the path of a request that finds one.
        tripped: what is done about a trip; called on the spot, so it must not block.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        policy_of: Callable[[str], BreakerPolicy],
        tripped: Callable[[Trip], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy_of = policy_of
        self._tripped = tripped
        self._clock = clock
        self._breakers: dict[tuple[str, str], Breaker] = {}

    def of(self, task: str, model: str) -> Breaker:
        """A tuned model's breaker, by the task and the name under which it answers."""
        found = self._breakers.get((task, model))
        if found is None:
            found = Breaker(task, model, self._policy_of(task), self._tripped, self._clock)
            self._breakers[task, model] = found
        return found

    def keep(self, models: Collection[tuple[str, str]]) -> None:
        """Forget those of models that serve no longer, and read the policies of the others anew; for a change of the routes."""
        for (task, model), found in list(self._breakers.items()):
            if (task, model) not in models or found.policy != self._policy_of(task):
                del self._breakers[task, model]

    def open(self) -> list[tuple[str, str]]:
        """Tasks and models whose breaker is not closed."""
        return [at for at, found in self._breakers.items() if found.state != "closed"]


def answered(status: int) -> bool | None:
    """What a model's HTTP status says of it: True it answered, False it failed, None nothing: the request itself was refused."""
    if 200 <= status < 300:
        return True
    return None if status in REQUESTS_OWN_FAULT else False
