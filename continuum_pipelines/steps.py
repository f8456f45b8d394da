"""How a step of a run works: cancelled, it ends in seconds and leaves nothing behind; failed, it is tried again where that helps.

`@step` under `@dg.asset` or `@dg.op` is all that a step needs. What a stage does is in `continuum`; here it is only held.
"""

import asyncio
import functools
import inspect
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

import dagster as dg

from continuum.errors import ContinuumError
from continuum.store.outages import causes, is_away

T = TypeVar("T")

PAUSES_S = (5.0, 30.0, 120.0)
"""How long a step waits before it is tried again: once, twice, a third time. Its place in its pool is free meanwhile."""
GRACE_S = 40.0
"""How long a step that is cancelled may take to end in order: as long as a training's worker may take to save its state."""

LAST_S = 2.0
"""How long what a step has left running is waited for."""

_cancelled: ContextVar[threading.Event | None] = ContextVar("cancelled", default=None)


def step(work: Callable[..., Any]) -> Callable[..., Any]:
    """A step's function as Dagster is to call it: an `async` one too becomes one that returns when the work is done.

    Raises:
        RetryRequested: by what it gives back, where the error may pass by itself and the step was not tried often enough.
        Exception: what the work raised, else: a bad configuration, too little data or a loss that ran away come back the same.
    """

    @functools.wraps(work)
    def held(context: dg.AssetExecutionContext | dg.OpExecutionContext, *arguments: Any, **resources: Any) -> Any:
        try:
            if inspect.iscoroutinefunction(work):
                return finished(work(context, *arguments, **resources))
            # In a thread: while a database driver waits in C, no signal is heard in the main one.
            return finished(asyncio.to_thread(work, context, *arguments, **resources))
        except (dg.Failure, dg.RetryRequested):
            raise
        except Exception as error:
            pause = pause_before_another(error, context.retry_number)
            if pause is None:
                raise
            context.log.warning(f"{type(error).__name__}: {error}; tried again in {pause:g} s")
            raise dg.RetryRequested(max_retries=len(PAUSES_S), seconds_to_wait=pause) from error

    return held


def pause_before_another(error: BaseException, tried: int) -> float | None:
    """Seconds to wait before a step is tried again; None when it is not.

    Args:
        error: what ended it.
        tried: how often it was tried again before.
    """
    return PAUSES_S[tried] if tried < len(PAUSES_S) and passes(error) else None


def passes(error: BaseException) -> bool:
    """Whether what ended a step may pass by itself: nobody answered, the database was gone for a moment, a worker was killed."""
    ours = next((cause for cause in causes(error) if isinstance(cause, ContinuumError)), None)
    if ours is not None and ours.passing:
        return True
    # Who wrote an error of ours knew what became of a connection; of others' errors the connection is all that is known.
    broken = ours is None and any(isinstance(cause, (ConnectionError, TimeoutError)) for cause in causes(error))
    return broken or is_away(error)


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Run the work to its end, in a loop of its own, and give back what it returns.

    A signal that ends the run cancels the work as asyncio does, so that everything that it holds (a claim, money set aside, a
    worker) is let go of by its own `finally`. Dagster would raise at any line and abandon the rest.

    Raises:
        DagsterExecutionInterruptedError: the run was cancelled, and the work has ended.
    """
    loop = asyncio.new_event_loop()
    cancelled = threading.Event()
    token = _cancelled.set(cancelled)
    try:
        task = loop.create_task(work)
        with _heeding_signals(cancelled, lambda: loop.call_soon_threadsafe(task.cancel)):
            try:
                return loop.run_until_complete(task)
            except BaseException as error:
                # Whatever the work makes of its cancellation, and be it an error: it was asked to end, and has ended.
                if cancelled.is_set():
                    raise dg.DagsterExecutionInterruptedError from error
                raise
            finally:
                _close(loop, wait=not cancelled.is_set())
    finally:
        _cancelled.reset(token)


def cancelling() -> threading.Event | None:
    """What is set once the step at work here is cancelled; None where no step is. Threads of `asyncio.to_thread` see it too."""
    return _cancelled.get()


@contextmanager
def _heeding_signals(cancelled: threading.Event, cancel: Callable[[], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        # Signals come to the main thread, and whoever drives the run from there ends it.
        yield
        return
    impatience = threading.Timer(GRACE_S, os.kill, (os.getpid(), signal.SIGINT))
    impatience.daemon = True

    def asked(number: int, frame: FrameType | None) -> None:
        if cancelled.is_set():
            raise dg.DagsterExecutionInterruptedError
        cancelled.set()
        cancel()
        impatience.start()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        impatience.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _close(loop: asyncio.AbstractEventLoop, *, wait: bool) -> None:
    try:
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left, timeout=LAST_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        if wait:
            # Of a step that was cancelled, a thread ends when it next tells how far it is.
            loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
