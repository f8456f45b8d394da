"""Captured generators: each step runs inside the captured call, what the consumer does between the steps does not."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import Any

from continuum.signals.current import active, last_id
from continuum.signals.recording import Recording, quietly


@contextmanager
def inside(recording: Recording) -> Iterator[None]:
    """Make this the captured call that is running, and afterwards the last one that ran."""
    token = active.set(recording)
    try:
        yield
    finally:
        # A generator may be closed in another context than the one it was left in.
        with suppress(ValueError):
            active.reset(token)
        last_id.set(recording.id)


Start = Callable[[tuple[Any, ...], dict[str, Any]], Recording]
"""Begins the recording of a call with these arguments."""


def captured_stream(function: Callable[..., Generator[Any, Any, Any]], start: Start) -> Callable[..., Generator[Any, Any, Any]]:
    """The generator function, passing on what is sent and thrown in, with what it yields noted."""

    @wraps(function)
    def captured(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        recording, stream = start(args, kwargs), function(*args, **kwargs)
        resume: Callable[[], Any] = partial(next, stream)
        while True:
            try:
                with inside(recording):
                    item = resume()
            except StopIteration as stop:
                quietly(recording.end)
                return stop.value
            except BaseException as error:
                quietly(recording.end, None, error)
                raise
            quietly(recording.yielded, item)
            try:
                sent = yield item
            except GeneratorExit as closed:
                try:
                    with inside(recording):
                        stream.close()
                finally:
                    quietly(recording.end, None, closed)
                raise
            except BaseException as error:  # noqa: BLE001  it is the generator's to handle, in the next step
                resume = partial(stream.throw, error)
            else:
                resume = partial(stream.send, sent)

    return captured


def captured_async_stream(
    function: Callable[..., AsyncGenerator[Any, Any]], start: Start
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """The same for an asynchronous generator function."""

    @wraps(function)
    async def captured(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        recording, stream = start(args, kwargs), function(*args, **kwargs)
        resume: Callable[[], Any] = stream.__anext__
        while True:
            try:
                with inside(recording):
                    item = await resume()
            except StopAsyncIteration:
                quietly(recording.end)
                return
            except BaseException as error:
                quietly(recording.end, None, error)
                raise
            quietly(recording.yielded, item)
            try:
                sent = yield item
            except GeneratorExit as closed:
                try:
                    with inside(recording):
                        await stream.aclose()
                finally:
                    quietly(recording.end, None, closed)
                raise
            except BaseException as error:  # noqa: BLE001  it is the generator's to handle, in the next step
                resume = partial(stream.athrow, error)
            else:
                resume = partial(stream.asend, sent)

    return captured
