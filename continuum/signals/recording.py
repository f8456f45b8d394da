"""One captured call while it runs, and the record it becomes.

The caller's thread only takes copies; the record itself is made, cleaned and priced in the spool's thread.
"""

import logging
from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from time import perf_counter
from typing import Any, Literal, TypeVar

from continuum.records import new_id
from continuum.signals.current import active, given, last_id
from continuum.signals.finished import interaction_of
from continuum.spool.cleaning import MAX_PAYLOAD, Snapshot, clean_text, described, names_secret, represented
from continuum.spool.forms import Answer, StreamedAnswer, answer_in, messages_in
from continuum.spool.queue import ITEM_CHARACTERS, default_spool
from continuum.timespan import utc_now

T = TypeVar("T")

MAX_TAGS = 32
TAG_LENGTH = 200
RETURNED_LENGTH = 2000
ERROR_LENGTH = 2000

logger = logging.getLogger(__name__)


def quietly(step: Callable[..., T], *args: Any) -> T | None:
    """Run a step of capturing; whatever goes wrong in it is the application's neither to see nor to handle."""
    try:
        return step(*args)
    except Exception:
        logger.debug("a step of capturing failed", exc_info=True)
        return None


@dataclass(frozen=True)
class Subject:
    """What is captured: a function, for a task."""

    task: str
    model: str | None
    names: tuple[str, ...]
    """The function's parameters, in order."""

    @classmethod
    def of(cls, function: Callable[..., Any], task: str, model: str | None) -> "Subject":
        """Describe a function once, when it is decorated."""
        try:
            names = tuple(signature(function).parameters)
        except (TypeError, ValueError):
            names = ()
        return cls(task, model, names)

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name, without the instance or class of a method."""
        skipped = 1 if self.names and self.names[0] in {"self", "cls"} else 0
        found = {
            self.names[index] if index < len(self.names) else f"argument {index + 1}": args[index]
            for index in range(skipped, len(args))
        }
        return found | dict(kwargs)


class ModelCall:
    """One request to a model inside the captured call."""

    def __init__(self, recording: "Recording", model: str | None, base_url: str | None) -> None:
        self.recording = recording
        self.model = model
        self.base_url = base_url
        self.messages: list[dict[str, Any]] | None = None
        self.answer: Answer | None = None
        self.stream: StreamedAnswer | None = None
        self.streaming = False
        self.deployment_id: str | None = None
        self.variant: str | None = None

    def chunk(self, chunk: Any) -> None:
        """Take a chunk of the answer."""
        self.recording.note_first_chunk()
        if self.stream is not None:
            self.stream.add(chunk)

    def end_stream(self, error: BaseException | None, *, abandoned: bool = False) -> None:
        """The stream has ended: whole, with an error, or because nobody wants the rest."""
        if self.streaming:
            self.streaming = False
            self.recording.stream_ended(error, abandoned=abandoned)

    def answered(self, snapshot: Snapshot) -> Answer | None:
        """The answer, or as much of it as has come."""
        if self.answer is None and self.stream is not None:
            return self.stream.answer(snapshot)
        return self.answer


class Recording:
    """A captured call from its first line to its last chunk."""

    def __init__(self, subject: Subject) -> None:
        outer, said = active.get(), given.get()
        self.subject = subject
        self.id = said.interaction_ids.pop() if said.interaction_ids else new_id()
        self.parent_id = None if outer is None else outer.id
        self.conversation_id = said.conversation_id
        self.user_id = said.user_id
        self.started_at = utc_now()
        self._start = perf_counter()
        self.input = Snapshot()
        self.output = Snapshot()
        self.returning = Snapshot()
        self.tags: dict[str, str] = {}
        self.messages: list[dict[str, Any]] = []
        self.calls: list[ModelCall] = []
        self.chunks: list[Any] = []
        self.chunk_stream: StreamedAnswer | None = None
        self.status: Literal["ok", "error", "cancelled"] = "ok"
        self.error: str | None = None
        self.returned: Answer | str | None = None
        self.latency_ms: float | None = None
        self.first_chunk_ms: float | None = None
        self._returned_open = False
        self.over = False
        """Whether it was handed over; what happens in its context from now on is no longer part of it."""
        last_id.set(self.id)

    def take(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Copy the arguments: the conversation, or else the first text as the user's message; the rest becomes tags."""
        found = self.subject.arguments(args, kwargs)
        arguments = {name: value for name, value in found.items() if value is not None and not names_secret(name)}
        conversation = messages_in(arguments.get("messages"), self.input)
        used = "messages" if conversation else next((name for name, value in arguments.items() if isinstance(value, str)), None)
        if used is not None:
            self.messages = conversation or [{"role": "user", "content": self.input.text(arguments[used])}]
        for name, value in arguments.items():
            if name != used and len(self.tags) < MAX_TAGS:
                self.tags[clean_text(name, TAG_LENGTH)] = described(value, TAG_LENGTH, secrets=False)

    # --- while it runs ---

    def begin_call(self, messages: Any, model: Any, base_url: str | None) -> ModelCall:
        """A request to a model begins; the last one that begins tells what was asked and answered."""
        call = ModelCall(self, model if isinstance(model, str) else None, base_url)
        if self.calls:
            self.calls[-1].messages = None
            self.input = Snapshot()
        call.messages = messages_in(messages, self.input)
        self.calls.append(call)
        return call

    @property
    def truncated(self) -> bool:
        """Whether something was too large to keep whole."""
        return any(part.truncated for part in (self.input, self.output, self.returning, *self._streams()))

    def _streams(self) -> list[StreamedAnswer]:
        return [stream for stream in (self.chunk_stream, *(call.stream for call in self.calls)) if stream is not None]

    def note_first_chunk(self) -> None:
        """Something has come."""
        if self.first_chunk_ms is None:
            self.first_chunk_ms = (perf_counter() - self._start) * 1000

    def yielded(self, chunk: Any) -> None:
        """The captured generator has yielded."""
        self.note_first_chunk()
        if isinstance(chunk, (str, bytes)):
            text = chunk if isinstance(chunk, str) else chunk.decode(errors="replace")
        elif self.calls or self._is_completion_chunk(chunk):
            return  # what a model said is put together from its own stream
        else:
            text = described(chunk, RETURNED_LENGTH) + "\n"
        if self.returning.left > 0:
            self.chunks.append(self.returning.text(text))
        else:
            self.returning.truncated = True

    def _is_completion_chunk(self, chunk: Any) -> bool:
        stream = self.chunk_stream or StreamedAnswer()
        if not stream.add(chunk):
            return False
        self.chunk_stream = stream
        return True

    # --- when it ends ---

    def end(self, returned: Any = None, error: BaseException | None = None) -> None:
        """The function has returned or raised; where it returned a stream that still runs, the call ends with the stream."""
        if error is not None:
            self._fail(error)
        else:
            quietly(self._keep, returned)
            opaque = returned is not None and self.returned is None
            if opaque and any(call.streaming for call in self.calls):
                self._returned_open = True
                return
        self._hand_over()

    def stream_ended(self, error: BaseException | None, *, abandoned: bool) -> None:
        """A stream of the model has ended."""
        if not self._returned_open:
            return
        if error is not None:
            self._fail(error)
        elif abandoned:
            self.status, self.error = "cancelled", "the stream was dropped before its end"
        if not any(call.streaming for call in self.calls):
            self._hand_over()

    def _fail(self, error: BaseException) -> None:
        self.status = "cancelled" if isinstance(error, (CancelledError, GeneratorExit)) else "error"
        self.error = clean_text(f"{type(error).__name__}: {clean_text(represented(error, str), ERROR_LENGTH)}")

    def _keep(self, returned: Any) -> None:
        if isinstance(returned, str):
            self.returned = self.returning.text(returned)
        elif returned is None or (self.calls and type(returned).__module__ != "builtins"):
            self.returned = None  # what the model said is known, and an object of the client or of a framework adds nothing
        else:
            self.returned = answer_in(returned, self.returning) or described(returned, MAX_PAYLOAD)

    def _hand_over(self) -> None:
        if self.over:
            return
        self.over = True
        self.latency_ms = (perf_counter() - self._start) * 1000
        copied = sum(MAX_PAYLOAD - copy.left for copy in (self.input, self.output, self.returning))
        streamed = sum(stream.size for stream in self._streams())
        default_spool().put(partial(interaction_of, self), ITEM_CHARACTERS + copied + streamed)
