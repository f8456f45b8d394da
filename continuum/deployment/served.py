"""One call on its way through the gateway: what was asked, what became of it, and the interaction it leaves."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aiohttp import web

from continuum.deployment.answers import Answer
from continuum.deployment.routing import PRODUCTION, Arm, unit_of
from continuum.deployment.serving import BadRequest, error_response, parse_body
from continuum.deployment.upstream import Ask, UpstreamFailed
from continuum.errors import ConfigurationError
from continuum.ids import new_id
from continuum.policy import checked_task_name
from continuum.records import Feedback
from continuum.spool.cleaning import Snapshot, clean_text
from continuum.spool.headers import CONVERSATION_ID, DEPLOYMENT, INTERACTION_ID, SAMPLED, TASK, USER_ID, VARIANT, decode, encode
from continuum.spool.opinions import checked_feedback

FEEDBACK_FIELDS = (
    *("interaction_id", "score", "label", "comment", "correction", "kind", "confidence", "user_id", "idempotency_key"),
)
MAX_ID = 200
"""Characters of an id that a request brings along."""
MAX_ERROR = 500


@dataclass(frozen=True)
class Call:
    """A request for a completion, with all that its headers say about it."""

    ask: Ask
    task: str
    interaction_id: str
    conversation_id: str | None
    user_id: str | None
    started_at: datetime
    sampled: bool | None
    """Whether the application has chosen to capture the call; None where it has not decided."""
    clock: float
    """The monotonic clock when it came in, in seconds."""

    @property
    def unit(self) -> str:
        """What stays with one model."""
        return unit_of(self.ask.body, conversation_id=self.conversation_id, user_id=self.user_id)


async def read_call(request: web.Request, *, default_task: str | None, now: Callable[[], datetime]) -> Call:
    """Read a request for a completion.

    Raises:
        BadRequest: it names no task, or its body is not a chat completion's.
        ConfigurationError: the task's name cannot be one.
    """
    started_at, clock = now(), time.monotonic()
    task = decode(request.headers.get(TASK)) or default_task
    if task is None:
        raise BadRequest(f"the request names no task; send the header {TASK}, or start the gateway with a default task")
    raw = await request.read()
    body = parse_body(request, raw, "request")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequest("the request has no messages; it must be a chat completion, with a list of messages")
    named_user = body.get("user") if isinstance(body.get("user"), str) else None
    given_id = _id(request.headers.get(INTERACTION_ID))
    return Call(
        ask=Ask(raw, body, request.headers),
        task=checked_task_name(task),
        interaction_id=given_id or new_id(),
        sampled=None if given_id is None else request.headers.get(SAMPLED) != "0",
        conversation_id=_id(request.headers.get(CONVERSATION_ID)),
        user_id=_id(request.headers.get(USER_ID)) or _id(named_user),
        started_at=started_at,
        clock=clock,
    )


def _id(value: str | None) -> str | None:
    decoded = decode(value)
    return clean_text(decoded) if decoded and len(decoded) <= MAX_ID else None


class Outcome:
    """What became of a call; it counts as cancelled until it is known to have ended otherwise."""

    def __init__(self, call: Call, deployment_id: str | None) -> None:
        self.call = call
        self.deployment_id = deployment_id
        self.arm: Arm | None = None
        """Who answered."""
        self.answer = Answer()
        self.status: Literal["ok", "error", "cancelled"] = "cancelled"
        self.error: str | None = None
        self.latency_ms: float | None = None
        self.time_to_first_chunk_ms: float | None = None
        self._failures: list[tuple[Arm, UpstreamFailed]] = []

    @property
    def headers(self) -> dict[str, str]:
        """What the application is told about who answered it."""
        told = {INTERACTION_ID: self.call.interaction_id}
        if self.deployment_id is not None and self.arm is not None:
            told |= {DEPLOYMENT: self.deployment_id, VARIANT: self.arm.variant}
        return {name: encoded for name, value in told.items() if (encoded := encode(value)) is not None}

    def failed(self, arm: Arm, failure: UpstreamFailed) -> None:
        """An arm did not answer."""
        self._failures.append((arm, failure))

    def answered_by(self, arm: Arm) -> None:
        """An arm answers; from here on no other one does."""
        self.arm = arm

    def saw_chunk(self) -> None:
        """A piece of a stream came; the first is timed."""
        if self.time_to_first_chunk_ms is None:
            self.time_to_first_chunk_ms = self._elapsed_ms()

    def finish(self, answer: Answer, *, status: int = 200, error: str | None = None) -> None:
        """The answer came to its end, or broke off with an error."""
        self._end(answer)
        self.error = error or answer.error or (f"HTTP {status}" if status >= 400 else None)
        self.status = "ok" if self.error is None else "error"

    def cancel(self, answer: Answer) -> None:
        """The application went away before the end of the answer."""
        self._end(answer)

    def failure_response(self) -> web.Response:
        """Nobody answered: what the application is told."""
        message = "; ".join(str(failure) for _, failure in self._failures)
        self.finish(Answer(), error=message)
        return error_response(message, self._failures[-1][1].status, self.headers)

    def draft(self, production_url: str | None) -> dict[str, Any]:
        """What the spool keeps of the call, see `spool/finishing.py`."""
        body, answer = self.call.ask.body, self.answer
        arm = self.arm or (self._failures[-1][0] if self._failures else None)
        tuned = arm is not None and arm.model != PRODUCTION
        model = arm.model if arm is not None and tuned else _text(answer.model or body.get("model"))
        usage = answer.usage
        tokens = {} if usage is None else {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        clean = Snapshot()
        return {
            "id": self.call.interaction_id,
            "task": self.call.task,
            "started_ns": int(self.call.started_at.timestamp() * 1e6) * 1000,
            "messages": clean.take(body["messages"]),
            "response": None if answer.message is None else clean.take(answer.message),
            "status": self.status,
            "error": None if self.error is None else clean_text(self.error, MAX_ERROR),
            "model": model,
            "conversation_id": self.call.conversation_id,
            "user_id": self.call.user_id,
            "provider_response_id": answer.response_id,
            "latency_ms": self.latency_ms,
            "time_to_first_chunk_ms": self.time_to_first_chunk_ms,
            "deployment_id": self.deployment_id,
            "variant": None if arm is None else arm.variant,
            "source": "gateway",
            "paid": [] if tuned or usage is None else [{"model": model, "base_url": production_url, **tokens}],
            **tokens,
            "tags": self._tags(clean.truncated),
        }

    def _tags(self, truncated: bool) -> dict[str, str]:
        tags = {"truncated": "true"} if truncated else {}
        if self.arm is not None and self._failures:
            first, failure = self._failures[0]
            # The stable arm's quality must not be counted from what the candidate could not answer.
            tags |= {"fell_back_from": first.model, "fell_back_because": clean_text(str(failure), MAX_ERROR)}
        return tags

    def _end(self, answer: Answer) -> None:
        self.answer = answer
        self.latency_ms = self._elapsed_ms()

    def _elapsed_ms(self) -> float:
        return (time.monotonic() - self.call.clock) * 1000


def _text(value: Any) -> str | None:
    return clean_text(value, MAX_ID) if isinstance(value, str) else None


def feedback_of(content: Mapping[str, Any]) -> Feedback:
    """The feedback in a request; the fields are those of `feedback.record`.

    Raises:
        BadRequest: a field makes no sense.
    """
    said = {name: value for name, value in content.items() if value is not None}
    try:
        return checked_feedback(said.pop("interaction_id", None), **said)
    except ConfigurationError as error:
        raise BadRequest(f"feedback: {error}") from error
