"""Captured generators: each step runs inside the captured call, what the consumer does between the steps does not."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Any

from continuum.signals.current import active, last_id
from continuum.signals.recording import Recording, Unsampled

Captured = Recording | Unsampled
Start = Callable[[tuple[Any, ...], dict[str, Any]], Captured]
"""Begins the recording of a call with these arguments."""


class Inside:
    """Makes this the captured call that is running, and afterwards the last one that ran."""

    __slots__ = ("recording", "token")

    def __init__(self, recording: Captured) -> None:
        self.recording = recording

    def __enter__(self) -> None:
        self.token = active.set(self.recording)

    def __exit__(self, *_: object) -> None:
        # A generator may be closed in another context than the one it was left in.
        with suppress(ValueError):
            active.reset(self.token)
        last_id.set(self.recording.id)


def captured_stream(function: Callable[..., Generator[Any, Any, Any]], start: Start) -> Callable[..., Generator[Any, Any, Any]]:
    """The generator function, passing on what is sent and thrown in, with what it yields noted."""

    def captured(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        recording = start(args, kwargs)
        stream = opened(recording, function, args, kwargs)
        resume: Callable[[], Any] = partial(next, stream)
        while True:
            try:
                with Inside(recording):
                    item = resume()
            except StopIteration as stop:
                recording.end()
                return stop.value
            except BaseException as error:
                recording.fail(error)
                raise
            recording.yielded(item)
            try:
                sent = yield item
            except GeneratorExit as closed:
                try:
                    with Inside(recording):
                        stream.close()
                finally:
                    recording.fail(closed)
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

    async def captured(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        recording = start(args, kwargs)
        stream = opened(recording, function, args, kwargs)
        resume: Callable[[], Any] = stream.__anext__
        while True:
            try:
                with Inside(recording):
                    item = await resume()
            except StopAsyncIteration:
                recording.end()
                return
            except BaseException as error:
                recording.fail(error)
                raise
            recording.yielded(item)
            try:
                sent = yield item
            except GeneratorExit as closed:
                try:
                    with Inside(recording):
                        await stream.aclose()
                finally:
                    recording.fail(closed)
                raise
            except BaseException as error:  # noqa: BLE001  it is the generator's to handle, in the next step
                resume = partial(stream.athrow, error)
            else:
                resume = partial(stream.asend, sent)

    return captured


def driven(recording: Captured, stream: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """A generator that a captured function returned."""
    return captured_stream(lambda: stream, lambda args, kwargs: recording)()


def driven_async(recording: Captured, stream: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """The same for an asynchronous one."""
    return captured_async_stream(lambda: stream, lambda args, kwargs: recording)()


def opened(recording: Captured, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The generator; wrong arguments are an error of the call."""
    try:
        with Inside(recording):
            return function(*args, **kwargs)
    except BaseException as error:
        recording.fail(error)
        raise
