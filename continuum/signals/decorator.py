"""`@capture`: every call of a function becomes an interaction in the store.

It never raises into the application, never waits for the store, and counts what it could not keep.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial, wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeVar, overload

from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.records import Feedback, Interaction
from continuum.signals import openai_hook
from continuum.signals.recording import Recording, Subject, quietly
from continuum.signals.streams import Start, captured_async_stream, captured_stream, inside
from continuum.spool.cleaning import represented
from continuum.spool.queue import default_spool

F = TypeVar("F", bound=Callable[..., Any])


@overload
def capture(function: F, /, *, task: str, model: str | None = None) -> F: ...


@overload
def capture(function: None = None, /, *, task: str, model: str | None = None) -> Callable[[F], F]: ...


def capture(function: Any = None, /, *, task: str, model: str | None = None) -> Any:
    """Capture every call of a function: what was asked and answered, how long it took, what it cost, how it ended.

    Works on `async def`, `def`, methods, and generators of both kinds. The conversation comes from calls of the `openai` client
    inside the function; where there are none, from an argument `messages` in OpenAI form or else the first text argument, and
    from what the function returns or yields. Other arguments become tags, except those named like secrets.

    Args:
        function: what to decorate, when the decorator is used without its own call.
        task: the task the calls belong to.
        model: the model that answers, where the answer itself does not say.

    Raises:
        ConfigurationError: the task's name cannot be one, or what is decorated is no function; when decorating, never when
            the function is called.
    """
    checked_task_name(task)
    if function is None:
        return partial(capture_function, task=task, model=model)
    return capture_function(function, task, model)


def capture_function(function: Any, task: str, model: str | None = None) -> Any:
    """The function, with every call of it captured for the task."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(capture_function(function.__func__, task, model))
    if isinstance(function, property):
        raise ConfigurationError("@capture stands above @property; put @capture under @property, on the function itself")
    if not callable(function):
        raise ConfigurationError(f"capture was given {represented(function):.80}, which cannot be called; it must be a function")
    start = partial(begin, Subject.of(function, task, model))
    if inspect.isasyncgenfunction(function):
        return captured_async_stream(function, start)
    if inspect.isgeneratorfunction(function):
        return captured_stream(function, start)
    if inspect.iscoroutinefunction(function):
        return captured_coroutine(function, start)
    return captured_call(function, start)


def begin(subject: Subject, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recording:
    """Begin to record a call."""
    quietly(openai_hook.install)
    # The store opens while the call waits for its model, so that a short program is not over before the store is open.
    default_spool().start()
    recording = Recording(subject)
    quietly(recording.take, args, kwargs)
    return recording


def captured_coroutine(function: Callable[..., Awaitable[Any]], start: Start) -> Callable[..., Awaitable[Any]]:
    """An `async def`, captured."""

    @wraps(function)
    async def captured(*args: Any, **kwargs: Any) -> Any:
        recording = start(args, kwargs)
        try:
            with inside(recording):
                result = await function(*args, **kwargs)
        except BaseException as error:
            quietly(recording.end, None, error)
            raise
        return passed_on(recording, result)

    return captured


def captured_call(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    """A plain function, captured; where it returns a coroutine, the call ends with that."""

    @wraps(function)
    def captured(*args: Any, **kwargs: Any) -> Any:
        recording = start(args, kwargs)
        try:
            with inside(recording):
                result = function(*args, **kwargs)
        except BaseException as error:
            quietly(recording.end, None, error)
            raise
        if type(result) is CoroutineType:
            return captured_coroutine(lambda: result, lambda args, kwargs: recording)()
        return passed_on(recording, result)

    return captured


def passed_on(recording: Recording, result: Any) -> Any:
    """The result for the caller: a returned generator is captured to its end, with anything else the call is over."""
    # By exact type: isinstance would ask a lazy proxy for its __class__, and that may raise.
    if type(result) is GeneratorType:
        return captured_stream(lambda: result, lambda args, kwargs: recording)()
    if type(result) is AsyncGeneratorType:
        return captured_async_stream(lambda: result, lambda args, kwargs: recording)()
    quietly(recording.end, result)
    return result


@dataclass(frozen=True)
class CaptureStats:
    """What became of the calls captured in this process: `captured` is the sum of the four below it."""

    captured: int
    stored: int
    """Written to the store."""
    dropped: int
    """Lost because too many waited while the store was down."""
    failed: int
    """Lost because no row could be made of them."""
    pending: int
    """On the way to the store."""
    feedback_stored: int
    feedback_failed: int
    feedback_pending: int
    last_error: str | None
    """Why the store takes nothing at present; None while it does."""


def capture_stats() -> CaptureStats:
    """What became of everything captured in this process up to now."""
    spool = default_spool()
    calls, feedback = spool.tally(Interaction), spool.tally(Feedback)
    return CaptureStats(
        captured=calls.received,
        stored=calls.stored,
        dropped=calls.dropped,
        failed=calls.failed,
        pending=calls.pending,
        feedback_stored=feedback.stored,
        feedback_failed=feedback.failed,
        feedback_pending=feedback.pending,
        last_error=spool.last_error,
    )
