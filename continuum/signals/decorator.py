"""`@capture`: every call of a function becomes an interaction in the store.

It never raises into the application, never waits for the store, and counts what it could not keep.
"""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import WRAPPER_ASSIGNMENTS, partial, update_wrapper
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Protocol, TypeVar, overload

from continuum.config import Durability, RedactWhen
from continuum.errors import ConfigurationError
from continuum.signals import openai_hook
from continuum.signals.current import active, last_id
from continuum.signals.recording import Recording, Unsampled, begin
from continuum.signals.streams import captured_async_stream, captured_stream, driven, driven_async
from continuum.signals.subject import Subject
from continuum.spool.cleaning import represented

F = TypeVar("F", bound=Callable[..., Any])

STREAMS = (GeneratorType, AsyncGeneratorType, CoroutineType)


@overload
def capture(
    function: F,
    /,
    *,
    task: str,
    model: str | None = None,
    sample_rate: float | None = None,
    durability: Durability | None = None,
    redact: RedactWhen | None = None,
) -> F: ...


@overload
def capture(
    function: None = None,
    /,
    *,
    task: str,
    model: str | None = None,
    sample_rate: float | None = None,
    durability: Durability | None = None,
    redact: RedactWhen | None = None,
) -> Callable[[F], F]: ...


def capture(
    function: Any = None,
    /,
    *,
    task: str,
    model: str | None = None,
    sample_rate: float | None = None,
    durability: Durability | None = None,
    redact: RedactWhen | None = None,
) -> Any:
    """Capture every call of a function: what was asked and answered, how long it took, what it cost, how it ended.

    Works on `async def`, `def`, methods, generators of both kinds, and objects that can be called. The conversation comes from
    calls of the `openai` client inside the function; where there are none, from an argument `messages` in OpenAI form or else
    the first text argument, and from what the function returns or yields. Other arguments become tags, except those named like
    secrets. A call that fails and is made again in the same context with the same question is tagged as the `attempt` it is.

    Args:
        function: what to decorate, when the decorator is used without its own call.
        task: the task the calls belong to.
        model: the model that answers, where the answer itself does not say.
        sample_rate: share of conversations to capture, 0 to 1, each whole or not at all; by default what the task's policy says.
        durability: `disk` for captures that survive the process, `memory` for faster ones; by default CONTINUUM_DURABILITY.
        redact: take personal data out before the store (`drain`), before anything touches a disk (`inline`, in the caller's
            time), or not (`off`); by default CONTINUUM_REDACT.

    Raises:
        ConfigurationError: an argument is not what it can be, or what is decorated is no function; when decorating, never when
            the function is called.
    """
    settings = {"model": model, "sample_rate": sample_rate, "durability": durability, "redact": redact}
    Subject(task, **settings)  # a mistake shows on the decorator's own line
    if function is None:
        return partial(capture_function, task=task, **settings)
    return capture_function(function, task, **settings)


class TaskCapture(Protocol):
    """`capture` for a task that is given already: what it decorates keeps its type."""

    @overload
    def __call__(
        self,
        function: F,
        /,
        *,
        model: str | None = None,
        sample_rate: float | None = None,
        durability: Durability | None = None,
        redact: RedactWhen | None = None,
    ) -> F: ...

    @overload
    def __call__(
        self,
        function: None = None,
        /,
        *,
        model: str | None = None,
        sample_rate: float | None = None,
        durability: Durability | None = None,
        redact: RedactWhen | None = None,
    ) -> Callable[[F], F]: ...


def capture_function(function: Any, task: str, **settings: Any) -> Any:
    """The function, with every call of it captured for the task; the settings are those of `Subject`."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(capture_function(function.__func__, task, **settings))
    if isinstance(function, property):
        raise ConfigurationError("@capture stands above @property; put @capture under @property, on the function itself")
    if isinstance(function, type):
        raise ConfigurationError(f"@capture stands on the class {function.__name__}; put it on the methods to capture")
    if not callable(function):
        raise ConfigurationError(f"capture was given {represented(function):.80}, which cannot be called; it must be a function")
    subject = Subject(task, function, **settings)
    start: Any = partial(begin_call, subject)
    wrapped: Any = function
    if of_kind(inspect.isasyncgenfunction, function):
        return named_like(function, captured_async_stream(wrapped, start))
    if of_kind(inspect.isgeneratorfunction, function):
        return named_like(function, captured_stream(wrapped, start))
    if of_kind(inspect.iscoroutinefunction, function):
        return named_like(function, captured_coroutine(wrapped, subject))
    return named_like(function, captured_call(wrapped, subject))


def of_kind(kind: Callable[..., Any], function: Any) -> bool:
    """Whether it is a function of this kind, or a partial of one, or an object whose `__call__` is one."""
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    return kind(inner) or kind(getattr(type(inner), "__call__", None))  # noqa: B004  the method is wanted, not whether there is one


def named_like(function: Any, wrapper: Callable[..., Any]) -> Callable[..., Any]:
    """The wrapper under the function's name, signature and documentation."""
    if not hasattr(function, "__name__"):
        inner = getattr(function, "func", function)
        wrapper.__name__ = wrapper.__qualname__ = getattr(inner, "__name__", type(inner).__name__)
    # An object's own attributes stay its own; a function's, like marks that other decorators left, belong to the wrapper too.
    updated = ("__dict__",) if inspect.isroutine(function) else ()
    return update_wrapper(wrapper, function, WRAPPER_ASSIGNMENTS, updated)


def begin_call(subject: Subject, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recording | Unsampled:
    """Begin to record a call."""
    if not openai_hook.installed:
        openai_hook.install()
    return begin(subject, args, kwargs)


def captured_coroutine(function: Callable[..., Awaitable[Any]], subject: Subject) -> Callable[..., Awaitable[Any]]:
    """An `async def`, captured. Here and in `captured_call` everything is spelled out, since every call of a function costs."""

    async def captured(*args: Any, **kwargs: Any) -> Any:
        if not openai_hook.installed:
            openai_hook.install()
        recording = begin(subject, args, kwargs)
        token = active.set(recording)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            leave(recording, token)
            recording.fail(error)
            raise
        active.reset(token)
        last_id.set(recording.id)
        if type(result) in STREAMS:
            return passed_on(recording, result)
        recording.end(result)
        return result

    return captured


def captured_call(function: Callable[..., Any], subject: Subject) -> Callable[..., Any]:
    """A plain function, captured; where it returns a coroutine or a generator, the call ends with that."""

    def captured(*args: Any, **kwargs: Any) -> Any:
        if not openai_hook.installed:
            openai_hook.install()
        recording = begin(subject, args, kwargs)
        token = active.set(recording)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            leave(recording, token)
            recording.fail(error)
            raise
        active.reset(token)
        last_id.set(recording.id)
        if type(result) in STREAMS:
            return passed_on(recording, result)
        recording.end(result)
        return result

    return captured


def leave(recording: Recording | Unsampled, token: Any) -> None:
    """The captured call no longer runs; it is the last one that did."""
    with suppress(ValueError):  # a coroutine may be closed in another context than the one it began in
        active.reset(token)
    last_id.set(recording.id)


def passed_on(recording: Recording | Unsampled, result: Any) -> Any:
    """The result for the caller, where it runs on: the call ends when it does."""
    # By exact type: isinstance would ask a lazy proxy for its __class__, and that may raise.
    if type(result) is GeneratorType:
        return driven(recording, result)
    if type(result) is AsyncGeneratorType:
        return driven_async(recording, result)
    return awaited(recording, result)


async def awaited(recording: Recording | Unsampled, coroutine: Awaitable[Any]) -> Any:
    """A coroutine that a plain function returned."""
    token = active.set(recording)
    try:
        result = await coroutine
    except BaseException as error:
        leave(recording, token)
        recording.fail(error)
        raise
    leave(recording, token)
    if type(result) in STREAMS:
        return passed_on(recording, result)
    recording.end(result)
    return result
