"""What the `openai` client is asked and answers inside a captured call.

The client's methods are wrapped once, when `openai` is loaded, and pass everything through. Outside a captured call they do
nothing; inside one they note the request and the answer. Ids leave the process in headers only towards the gateway.
"""

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from continuum.config import load_settings
from continuum.models.pricing import is_loopback
from continuum.signals.current import active
from continuum.signals.recording import ModelCall, Recording, quietly
from continuum.spool import headers
from continuum.spool.forms import StreamedAnswer, answer_in

RAW_HEADER = "X-Stainless-Raw-Response"
"""The client's own sign that the caller wants the HTTP response with its headers."""

_lock = threading.Lock()
_installed = False


def install() -> None:
    """Wrap the client's methods if `openai` is loaded and they are not wrapped yet."""
    global _installed
    if _installed or "openai" not in sys.modules:
        return
    with _lock:
        if _installed:
            return
        _installed = True  # also when it fails: a client of another shape is not tried at every call
        from openai.resources.chat.completions import AsyncCompletions, Completions

        for resource in (Completions, AsyncCompletions):
            for name in ("create", "parse"):
                setattr(resource, name, observed(getattr(resource, name), is_async=resource is AsyncCompletions))


def observed(method: Callable[..., Any], *, is_async: bool) -> Callable[..., Any]:
    """The client's method, noting what passes through it inside a captured call."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = quietly(begin, self, kwargs)
        if request is None:
            return method(self, *args, **kwargs)
        result = method(self, *args, **request.kwargs)
        return request.result(result)

    @functools.wraps(method)
    async def async_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = quietly(begin, self, kwargs)
        if request is None:
            return await method(self, *args, **kwargs)
        result = await method(self, *args, **request.kwargs)
        return request.result(result)

    return async_call if is_async else call


class Request:
    """One request of the client, and how its answer is to be noted."""

    def __init__(self, call: ModelCall, kwargs: dict[str, Any], *, unwrap: bool) -> None:
        self.call = call
        self.kwargs = kwargs
        self._unwrap = unwrap

    def result(self, result: Any) -> Any:
        """Note the answer and give the application what it would have got."""
        if self._unwrap:
            raw, result = result, result.parse()
            quietly(note_headers, self.call, raw)
        quietly(note_answer, self.call, result)
        return result


def begin(resource: Any, kwargs: dict[str, Any]) -> Request | None:
    """Note a request that is about to be made; None outside a captured call."""
    recording = active.get()
    if recording is None or recording.over:
        return None
    base_url = str(resource._client.base_url)
    call = recording.begin_call(kwargs.get("messages"), kwargs.get("model"), base_url)
    if not is_gateway(base_url):
        return Request(call, kwargs, unwrap=False)
    extra = dict(kwargs.get("extra_headers") or {})
    given = {name.lower() for name in extra}
    extra |= {name: value for name, value in identity(recording) if name not in given}
    # A whole answer comes without its headers unless they are asked for; a stream has them anyway.
    unwrap = RAW_HEADER.lower() not in given and not kwargs.get("stream")
    if unwrap:
        extra[RAW_HEADER] = "true"
    return Request(call, kwargs | {"extra_headers": extra}, unwrap=unwrap)


def identity(recording: Recording) -> Iterator[tuple[str, str]]:
    """The headers that tell the gateway whose call this is."""
    values = {
        headers.INTERACTION_ID: recording.id,
        headers.TASK: recording.subject.task,
        headers.CONVERSATION_ID: recording.conversation_id,
        headers.USER_ID: recording.user_id,
    }
    for name, value in values.items():
        encoded = headers.encode(value) if value else None
        if encoded:
            yield name, encoded


def is_gateway(base_url: str) -> bool:
    """Whether a client speaks to this process's gateway; a machine's own names for itself are one address."""
    asked, gateway = urlsplit(base_url), urlsplit(load_settings().gateway_url)
    same_host = asked.hostname == gateway.hostname or (is_loopback(base_url) and is_loopback(gateway.geturl()))
    same_path = asked.path.rstrip("/") == gateway.path.rstrip("/")
    return same_host and same_path and (asked.scheme, asked.port) == (gateway.scheme, gateway.port)


def note_headers(call: ModelCall, response: Any) -> None:
    """Note the deployment and the arm that answered."""
    found = response.headers
    if isinstance(found, Mapping) and is_gateway(call.base_url or ""):
        call.deployment_id = headers.decode(found.get(headers.DEPLOYMENT))
        call.variant = headers.decode(found.get(headers.VARIANT))


def note_answer(call: ModelCall, result: Any) -> None:
    """Note a whole answer, or watch the stream that will bring it."""
    if hasattr(result, "http_response") and hasattr(result, "parse"):
        note_headers(call, result)
        result = result.parse()  # the client keeps what it has parsed for the application's own parse()
    inner = getattr(result, "_iterator", None)
    if inner is None:
        call.answer = answer_in(result, call.recording.output)
        return
    call.stream, call.streaming = StreamedAnswer(), True
    result._iterator = WatchedAsync(inner, call) if inspect.isasyncgen(inner) else Watched(inner, call)
    note_headers(call, result.response)


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
            quietly(self._call.end_stream, None)
            raise
        except BaseException as error:
            quietly(self._call.end_stream, error)
            raise
        quietly(self._call.chunk, chunk)
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        quietly(functools.partial(self._call.end_stream, None, abandoned=True))


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
            quietly(self._call.end_stream, None)
            raise
        except BaseException as error:
            quietly(self._call.end_stream, error)
            raise
        quietly(self._call.chunk, chunk)
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        quietly(functools.partial(self._call.end_stream, None, abandoned=True))
