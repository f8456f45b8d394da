"""The client's streams, watched while the application reads them: chunk by chunk, or as the bytes of an unread HTTP response."""

import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import orjson

from continuum.signals.model_call import ModelCall
from continuum.spool.cleaning import MAX_PAYLOAD
from continuum.spool.forms import Answer, StreamedAnswer
from continuum.spool.responses import StreamedResponse

MAX_BODY = 4 * MAX_PAYLOAD
"""Bytes of a body that is read as a whole."""


class Watched:
    """The iterator inside a stream of the client; notes the chunks as the application takes them."""

    def __init__(self, inner: Any, call: ModelCall) -> None:
        self._inner = inner
        self._call = call

    def __iter__(self) -> "Watched":
        return self

    def __next__(self) -> Any:
        try:
            chunk = next(self._inner)
        except StopIteration:
            ended(self._call, None)
            raise
        except BaseException as error:
            ended(self._call, error)
            raise
        noted(self._call, chunk)
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        ended(self._call, None, abandoned=True)


class WatchedAsync:
    """The same for the asynchronous client."""

    def __init__(self, inner: Any, call: ModelCall) -> None:
        self._inner = inner
        self._call = call

    def __aiter__(self) -> "WatchedAsync":
        return self

    async def __anext__(self) -> Any:
        try:
            chunk = await anext(self._inner)
        except StopAsyncIteration:
            ended(self._call, None)
            raise
        except BaseException as error:
            ended(self._call, error)
            raise
        noted(self._call, chunk)
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        ended(self._call, None, abandoned=True)


def noted(call: ModelCall, chunk: Any) -> None:
    """Note a chunk; whatever is wrong with it is the application's neither to see nor to handle."""
    with suppress(Exception):
        call.chunk(chunk)


def ended(call: ModelCall, error: BaseException | None, *, abandoned: bool = False) -> None:
    """Note the end of a stream."""
    with suppress(Exception):
        call.end_stream(error, abandoned=abandoned)


class RawBody:
    """The body of an HTTP response that the application asked for unread, noted while it is read, in whichever way.

    Args:
        call: notes it.
        streamed: puts the answer together where the body is a stream of events.
        whole: finds the answer in the JSON of a body that is none.
    """

    def __init__(
        self, call: ModelCall, streamed: StreamedAnswer | StreamedResponse, whole: Callable[[Any], Answer | None]
    ) -> None:
        self._call = call
        self._streamed = streamed
        self._whole = whole
        self._kept = bytearray()
        self._size = 0
        self._is_events = False

    def watch(self, response: Any) -> None:
        """Note what passes when the response is read: all its ways of reading go through these two."""
        self._is_events = "event-stream" in response.headers.get("content-type", "")
        self._call.stream = self._streamed if self._is_events else None
        self._call.streaming = True
        # By a weak reference: the response must go when the application lets it go.
        it, kind = weakref.ref(response), type(response)
        response.iter_bytes = lambda *args, **kwargs: self._passing(kind.iter_bytes(it(), *args, **kwargs))
        response.aiter_bytes = lambda *args, **kwargs: self._passing_async(kind.aiter_bytes(it(), *args, **kwargs))

    def _passing(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                self._add(chunk)
                yield chunk
        except BaseException as error:
            ended(self._call, error)
            raise
        self._end()

    async def _passing_async(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                self._add(chunk)
                yield chunk
        except BaseException as error:
            ended(self._call, error)
            raise
        self._end()

    def _add(self, chunk: bytes) -> None:
        with suppress(Exception):
            self._size += len(chunk)
            if not self._call.streaming or (not self._is_events and self._size > MAX_BODY):
                return
            self._kept += chunk
            if self._is_events:
                *lines, rest = self._kept.split(b"\n")
                self._kept = bytearray(rest[-MAX_BODY:])
                for line in lines:
                    self._event(bytes(line))

    def _event(self, line: bytes) -> None:
        if line.startswith(b"data:") and not line.startswith(b"data: [DONE]"):
            with suppress(ValueError):
                self._call.chunk(orjson.loads(line[5:]))

    def _end(self) -> None:
        with suppress(Exception):
            if self._call.streaming and not self._is_events:
                self._call.cut |= self._size > MAX_BODY
                if self._size <= MAX_BODY:
                    self._call.answer = self._whole(orjson.loads(self._kept))
        ended(self._call, None)

    def __del__(self) -> None:
        ended(self._call, None, abandoned=True)
