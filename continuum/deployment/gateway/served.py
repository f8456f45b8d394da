"""One call on its way through the gateway: what was asked, what became of it, and the interaction it leaves."""

import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from continuum.deployment.gateway.answers import NO_ANSWER, Answer
from continuum.deployment.gateway.forms import Form
from continuum.deployment.gateway.request import Request
from continuum.deployment.gateway.upstream import Ask, UpstreamFailed
from continuum.deployment.routing import PRODUCTION, Arm, ArmName, unit_of
from continuum.deployment.serving import BadRequest, parse_body
from continuum.errors import ConfigurationError
from continuum.ids import new_id
from continuum.records import Feedback
from continuum.spool.cleaning import Snapshot, clean_text
from continuum.spool.headers import CONVERSATION_ID, DEPLOYMENT, INTERACTION_ID, SAMPLED, TASK, USER_ID, VARIANT, decode, encode
from continuum.spool.opinions import checked_feedback

ARM = "x-continuum-arm"
"""In a request: the arm that is to answer, `canary`, `stable` or `production`, for those who may say so."""
ARMS = ("canary", "stable", "production")
FEEDBACK_FIELDS = (
    *("interaction_id", "score", "label", "comment", "correction", "kind", "confidence", "user_id", "idempotency_key"),
)
MAX_ID = 200
"""Characters of an id that a request brings along."""
MAX_ERROR = 500
ASSISTANT = "assistant"
ROLE_AND_CONTENT = frozenset({"role", "content"})


@dataclass(slots=True)
class Call:
    """A request for an answer, with all that its headers say about it; made for each request, and never changed."""

    ask: Ask
    form: Form
    task: str
    interaction_id: str
    conversation_id: str | None
    user_id: str | None
    started_ns: int
    sampled: bool | None
    """Whether the application has chosen to capture the call; None where it has not decided."""
    clock: float
    """The monotonic clock when it came in, in seconds."""
    arm: ArmName | None = None
    """The arm that it names."""

    @property
    def unit(self) -> str:
        """What stays with one model."""
        return unit_of(self.ask.body, conversation_id=self.conversation_id, user_id=self.user_id, opening=self.form.opening)


def task_of(request: Request, default_task: str | None) -> str | None:
    """The task that a request names, which may be no name at all, or the one of those that name none."""
    return decode(request.headers.get(TASK)) or default_task


def arm_of(request: Request) -> ArmName | None:
    """The arm that a request names in its header.

    Raises:
        BadRequest: there is no such arm.
    """
    named = request.headers.get(ARM)
    if named is not None and named not in ARMS:
        raise BadRequest(f"{ARM} is {named!r:.40}; it may be {', '.join(ARMS)}")
    return cast("ArmName | None", named)


async def read_call(request: Request, form: Form, task: str, *, now: Callable[[], datetime] | None, clock: float) -> Call:
    """Read a request for an answer.

    Args:
        now: the clock of the calendar; the system's when None.
        clock: the monotonic clock when the request came in.

    Raises:
        BadRequest: its body is not what its form wants.
        Gone: the client went away.
    """
    started_ns = time.time_ns() if now is None else int(now().timestamp() * 1e6) * 1000
    headers = request.headers
    raw = await request.body()
    body = parse_body(headers.get("content-type", ""), raw, "request")
    missing = form.wants(body)
    if missing is not None:
        raise BadRequest(missing)
    given_id = _id(headers.get(INTERACTION_ID))
    return Call(
        ask=Ask(form.path, raw, body, headers),
        form=form,
        task=task,
        interaction_id=given_id or new_id(),
        sampled=None if given_id is None else headers.get(SAMPLED) != "0",
        conversation_id=_id(headers.get(CONVERSATION_ID)) or _conversation(body),
        user_id=_id(headers.get(USER_ID)) or _named(body.get("user")) or _named(body.get("safety_identifier")),
        started_ns=started_ns,
        clock=clock,
        arm=arm_of(request),
    )


def _conversation(body: Mapping[str, Any]) -> str | None:
    """The conversation that a response belongs to."""
    named = body.get("conversation")
    return None if named is None else _named(named.get("id") if isinstance(named, Mapping) else named)


def _named(value: Any) -> str | None:
    return clean_text(value) if isinstance(value, str) and 0 < len(value) <= MAX_ID else None


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
        self.answer = NO_ANSWER
        self.status: Literal["ok", "error", "cancelled"] = "cancelled"
        self.error: str | None = None
        self.latency_ms: float | None = None
        self.time_to_first_chunk_ms: float | None = None
        self.kept = False
        """Whether what became of it was captured, or was found to be none to capture."""
        self._failures: list[tuple[Arm, UpstreamFailed]] = []

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the application is told about who answered it."""
        known = self.call.interaction_id
        # An id of our own is letters, digits and dashes.
        encoded = known if self.call.sampled is None else encode(known)
        told = [] if encoded is None else [(INTERACTION_ID, encoded)]
        if self.deployment_id is not None and self.arm is not None:
            told += [(DEPLOYMENT, self.deployment_id), (VARIANT, self.arm.variant)]
        return told

    @property
    def fell_back(self) -> bool:
        """Whether another arm answers than the one that was chosen."""
        return self.arm is not None and bool(self._failures)

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

    def nobody(self) -> tuple[int, str]:
        """Nobody answered: the status and the words that the application is told."""
        message = "; ".join(str(failure) for _, failure in self._failures)
        self.finish(NO_ANSWER, error=message)
        return self._failures[-1][1].status, message

    def draft(self, production_url: str | None) -> dict[str, Any] | None:
        """What the spool keeps of the call, see `spool/finishing.py`; None where it is no interaction."""
        call, answer, clean = self.call, self.answer, Snapshot()
        messages = call.form.messages(call.ask.body, len(call.ask.raw), clean)
        if messages is None:
            return None
        arm = self.arm or (self._failures[-1][0] if self._failures else None)
        tuned = arm is not None and arm.model != PRODUCTION
        model = arm.model if arm is not None and tuned else _text(answer.model or call.ask.body.get("model"))
        usage = answer.usage
        tokens = {} if usage is None else {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        return {
            "id": call.interaction_id,
            "task": call.task,
            "started_ns": call.started_ns,
            "messages": messages,
            "response": _plain(answer, clean),
            "status": self.status,
            "error": None if self.error is None else clean_text(self.error, MAX_ERROR),
            "model": model,
            "conversation_id": call.conversation_id,
            "user_id": call.user_id,
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
        if self.call.arm is not None:
            # Whoever names the arm is no part of the split, and must not be compared with those who were drawn.
            tags["arm_named"] = self.call.arm
        if self._failures and (self.arm is not None or len(self._failures) > 1):
            # Where nobody answered, the first is the one whose turn it was; the last is named as the row's model.
            first, failure = self._failures[0]
            # The stable arm's quality must not be counted from what the candidate could not answer.
            tags |= {"fell_back_from": first.model, "fell_back_because": clean_text(str(failure), MAX_ERROR)}
        return tags

    def _end(self, answer: Answer) -> None:
        self.answer = answer
        self.latency_ms = self._elapsed_ms()

    def _elapsed_ms(self) -> float:
        return (time.monotonic() - self.call.clock) * 1000


def _plain(answer: Answer, clean: Snapshot) -> Any:
    """What was said as plain JSON; words alone need no copying of their parts."""
    said = answer.said
    if said is None:
        return None
    words = said.get("content")
    if isinstance(words, str) and said.get("role", ASSISTANT) == ASSISTANT and _is_all(said, ROLE_AND_CONTENT):
        return {"role": ASSISTANT, "content": clean.text(words)}
    message = answer.message
    return None if message is None else clean.take(message)


def _is_all(said: Mapping[str, Any], names: Set[str]) -> bool:
    """Whether a message holds nothing beside these fields."""
    return (len(said) <= len(names) and said.keys() <= names) or all(said[name] is None for name in said.keys() - names)


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
