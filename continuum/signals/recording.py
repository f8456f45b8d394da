"""One captured call while it runs, and the draft that it leaves to the spool.

All of it happens in the application's thread, so it only takes copies: cleaning, prices and most redaction are the drainer's.
"""

import logging
import sys
from asyncio import CancelledError
from collections.abc import Sequence
from time import perf_counter, time_ns
from typing import Any

from continuum.ids import new_id
from continuum.signals import tallies
from continuum.signals.copies import conversation, plain_conversation, words_of
from continuum.signals.current import Failure, Given, active, given, last_failure
from continuum.signals.drafts import tell_what_was_said
from continuum.signals.model_call import ModelCall
from continuum.signals.spans import export_spans
from continuum.signals.subject import TAG_LENGTH, Subject
from continuum.spool.cleaning import MAX_PAYLOAD, Snapshot, described, represented
from continuum.spool.forms import Answer, StreamedAnswer, answer_in
from continuum.spool.responses import response_in
from continuum.spool.sampling import is_sampled
from continuum.spool.spool import Spool, default_spool

MAX_TAGS = 32
CHUNK_LENGTH = 2000
ERROR_LENGTH = 2000
CANCELLATIONS = (CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)

NOTHING: dict[str, Any] = {}

logger = logging.getLogger(__name__)
_started: Spool | None = None
"""The process's spool, once its thread was started."""


class Unsampled:
    """A call that is not captured: it has an id, and so do the calls inside it, which are not captured either."""

    __slots__ = ("id",)

    over = True
    sampled = False

    def __init__(self, id: str) -> None:
        self.id = id

    def end(self, returned: Any = None) -> None:
        """Nothing is kept."""

    def fail(self, error: BaseException) -> None:
        """Nothing is kept."""

    def yielded(self, chunk: Any) -> None:
        """Nothing is kept."""


class Recording:
    """A captured call from its first line to its last chunk.

    What most calls do not have is in the class; a call that has it has its own. So it is with the draft, which is made when
    something unusual asks for it: a text or plain messages that a text answers need none, and are written in one go, see `end`.
    """

    sampled = True
    calls: Sequence[ModelCall] = ()
    chunks: list[str] | None = None
    chunk_room = MAX_PAYLOAD
    chunk_stream: StreamedAnswer | None = None
    said: str | None = None
    """The words that the function returned."""
    answer: Answer | None = None
    """What it returned in OpenAI form."""
    truncated = False
    attempt = 1
    over = False
    """Whether it was handed over; what happens in its context from now on is no longer part of it."""
    _ends_with_stream = False

    _draft: dict[str, Any] | None = None

    def __init__(self, subject: Subject, id: str, parent_id: str | None, said: Given, spool: Spool) -> None:
        self.subject = subject
        self.id = id
        self.parent_id = parent_id
        self.given = said
        self.spool = spool
        self.messages: Sequence[dict[str, Any]] = ()
        """What was asked, as the arguments say; a model call that says more is in the draft."""
        self.started_ns = time_ns()
        self.start = perf_counter()

    @property
    def draft(self) -> dict[str, Any]:
        """What goes to the spool, written as things become known."""
        found = self._draft
        if found is None:
            found = self._draft = {
                "id": self.id,
                "task": self.subject.task,
                "started_ns": self.started_ns,
                "messages": self.messages,
                "status": "ok",
                "model": self.subject.model,
                "source": "capture",
                "tags": {},
                "parent_id": self.parent_id,
                "conversation_id": self.given.conversation_id,
                "user_id": self.given.user_id,
            }
        return found

    @property
    def tags(self) -> dict[str, str]:
        """The draft's."""
        return self.draft["tags"]

    # --- when it begins ---

    def take(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Copy the arguments: the conversation, or else the first text as the user's message; the rest becomes tags."""
        subject = self.subject
        one = args[-1] if not kwargs and len(args) == subject.one_argument else None
        if type(one) is str and len(one) <= MAX_PAYLOAD:
            self.messages = [{"role": "user", "content": one}]
        elif type(one) is list and subject.takes_messages and (messages := plain_conversation(one)) is not None:
            self.messages = messages
        else:
            self._take_all(dict(subject.arguments(args, kwargs)))
        failure = last_failure.get()
        if failure is not None and failure.subject is subject:
            self._note_retry(failure)

    def _take_all(self, arguments: dict[str, Any]) -> None:
        used, messages = "messages", None
        if "messages" in arguments:
            messages, self.truncated = conversation(arguments["messages"])
        if messages is None:
            used = next((name for name, value in arguments.items() if isinstance(value, str)), "")
            messages = [{"role": "user", "content": self.cut(str.__str__(arguments[used]))}] if used else ()
        self.draft["messages"] = messages
        for name, value in arguments.items():
            if name != used and len(self.tags) < MAX_TAGS:
                short = type(value) is str and len(value) <= TAG_LENGTH
                self.tags[name] = value if short else described(value, TAG_LENGTH, secrets=False)

    def cut(self, text: str) -> str:
        """The text, as much as is kept of one payload."""
        if len(text) <= MAX_PAYLOAD:
            return text
        self.truncated = True
        return text[:MAX_PAYLOAD] + "…"

    def _note_retry(self, failure: Failure) -> None:
        if failure.asked == hash(repr(self.draft["messages"])):
            self.attempt = failure.attempt + 1
            self.tags.update(attempt=str(self.attempt), retry_of=failure.first_id)

    # --- while it runs ---

    def begin_call(self, model: Any, base_url: str | None) -> ModelCall:
        """A request to a model begins; the last one that begins tells what was asked and answered."""
        call = ModelCall(self, model if isinstance(model, str) else None, base_url)
        if self.calls:
            self.calls[-1].messages = None
        self.calls = [*self.calls, call]
        return call

    def note_first_chunk(self) -> None:
        """Something has come."""
        if "time_to_first_chunk_ms" not in self.draft:
            self.draft["time_to_first_chunk_ms"] = (perf_counter() - self.start) * 1000

    def yielded(self, chunk: Any) -> None:
        """The captured generator has yielded."""
        try:
            self.note_first_chunk()
            if isinstance(chunk, (str, bytes)):
                text = chunk if isinstance(chunk, str) else chunk.decode(errors="replace")
            elif self.calls or self._is_completion_chunk(chunk):
                return  # what a model said is put together from its own stream
            else:
                text = described(chunk, CHUNK_LENGTH) + "\n"
            if len(text) > self.chunk_room:
                self.truncated, text = True, text[: self.chunk_room]
            self.chunk_room -= len(text)
            if self.chunks is None:
                self.chunks = []
            self.chunks.append(text)
        except Exception:
            logger.debug("a chunk could not be captured", exc_info=True)

    def _is_completion_chunk(self, chunk: Any) -> bool:
        stream = self.chunk_stream or StreamedAnswer()
        if not stream.add(chunk):
            return False
        self.chunk_stream = stream
        return True

    # --- when it ends ---

    def end(self, returned: Any = None) -> None:
        """The function has returned; where it returned a stream that still runs, the call ends with the stream."""
        if self._draft is not None or type(returned) is not str or len(returned) > MAX_PAYLOAD or self.calls or self.over:
            self._end(returned)
            return
        # What `draft` and `_hand_over` would make of it, in one expression: most calls end here, and each step costs them.
        self.over = True
        subject, said = self.subject, self.given
        try:
            self.spool.take(
                {
                    "id": self.id,
                    "task": subject.task,
                    "started_ns": self.started_ns,
                    "messages": self.messages,
                    "status": "ok",
                    "model": subject.model,
                    "source": "capture",
                    "parent_id": self.parent_id,
                    "conversation_id": said.conversation_id,
                    "user_id": said.user_id,
                    "latency_ms": (perf_counter() - self.start) * 1000,
                    "response": {"role": "assistant", "content": returned},
                },
                durability=subject.durability,
                redact=subject.redact,
            )
        except Exception as error:  # noqa: BLE001  nothing of capture may reach the application
            tallies.lost(error)

    def _end(self, returned: Any) -> None:
        try:
            if type(returned) is str and len(returned) <= MAX_PAYLOAD:
                self.said = returned
            elif returned is not None:
                self._keep(returned)
                if self.calls and self.said is None and self.answer is None and self._streaming:
                    self._ends_with_stream = True
                    return
            if self.attempt > 1:
                last_failure.set(None)
        except Exception:
            logger.debug("what a captured call returned could not be kept", exc_info=True)
        self._hand_over()

    def end_with_streams(self) -> None:
        """No function returns: the call ends when the last stream of a model has ended."""
        self._ends_with_stream = True
        if not self._streaming:
            self._hand_over()

    def fail(self, error: BaseException) -> None:
        """The function has raised, or was cancelled."""
        try:
            self._note_error(error)
            if self.draft["status"] == "error":
                first = self.tags["retry_of"] if self.attempt > 1 else self.id
                last_failure.set(Failure(self.subject, hash(repr(self.draft["messages"])), first, self.attempt))
        except Exception:
            logger.debug("how a captured call failed could not be kept", exc_info=True)
        self._hand_over()

    def stream_ended(self, error: BaseException | None, *, abandoned: bool) -> None:
        """A stream of the model has ended."""
        if not self._ends_with_stream:
            return
        if error is not None:
            self._note_error(error)
        elif abandoned:
            self.draft.update(status="cancelled", error="the stream was dropped before its end")
        if not self._streaming:
            self._hand_over()

    @property
    def _streaming(self) -> bool:
        return any(call.streaming for call in self.calls)

    def _note_error(self, error: BaseException) -> None:
        words, name = represented(error, str), type(error).__name__
        self.draft["status"] = "cancelled" if isinstance(error, CANCELLATIONS) else "error"
        self.draft["error"] = f"{name}: {words[:ERROR_LENGTH]}" if words else name

    def _keep(self, returned: Any) -> None:
        if isinstance(returned, str):
            self.said = self.cut(str.__str__(returned))
        elif not self.calls or type(returned).__module__ == "builtins":
            # Where what the model said is known, an object of the client or of a framework adds nothing.
            snapshot = Snapshot()
            self.answer = answer_in(returned, snapshot) or response_in(returned, snapshot)
            if self.answer is None:
                self.said, cut = words_of(returned)
                snapshot.truncated |= cut
            self.truncated |= snapshot.truncated

    def _hand_over(self) -> None:
        if self.over:
            return
        self.over = True
        try:
            draft, subject = self.draft, self.subject
            draft["latency_ms"] = (perf_counter() - self.start) * 1000
            if self.calls or self.chunks or self.answer is not None or self.chunk_stream is not None:
                tell_what_was_said(self)
            elif self.said is not None:
                draft["response"] = {"role": "assistant", "content": self.said}
            if self.truncated:
                self.tags["truncated"] = "true"
            self.spool.take(draft, durability=subject.durability, redact=subject.redact)
        except Exception as error:  # noqa: BLE001  nothing of capture may reach the application
            tallies.lost(error)


def begin(subject: Subject, args: Sequence[Any] = (), kwargs: dict[str, Any] = NOTHING) -> Recording | Unsampled:
    """Begin to record a call; it is not captured where an outer call is not, or its conversation is not.

    It must not fail, so what goes wrong in it leaves a call that is not captured.
    """
    try:
        said, outer, spool = given.get(), active.get(), _started or start()
        id = (said.take_id() if said.interaction_ids else None) or new_id()
        if outer is None:
            rate = subject.sample_rate
            if rate is None:
                rate = spool.sample_rate(subject.task)
            sampled = rate >= 1 or (rate > 0 and is_sampled(said.conversation_id or id, rate))
        else:
            sampled = outer.sampled
        if not sampled:
            tallies.unsampled()
            return Unsampled(id)
        recording = Recording(subject, id, None if outer is None else outer.id, said, spool)
        if "opentelemetry.trace" in sys.modules and (span := current_span()) is not None:
            recording.draft["trace"] = span
    except Exception as error:  # noqa: BLE001  nothing of capture may reach the application
        tallies.lost(error)
        return Unsampled(new_id())
    try:
        recording.take(args, kwargs)
    except Exception:
        logger.debug("the arguments of a call could not be captured", exc_info=True)
    return recording


def start() -> Spool:
    """Have the store opened while the call waits for its model, so that a short program is not over before that."""
    global _started
    spool = default_spool()
    if export_spans not in spool.on_stored:
        spool.on_stored.append(export_spans)
    spool.start()
    _started = spool
    return spool


def current_span() -> dict[str, str] | None:
    """The OpenTelemetry span that is current; None where there is none."""
    context = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
    if not context.is_valid:
        return None
    found = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    return found if context.trace_flags.sampled else found | {"trace_flags": "00"}
