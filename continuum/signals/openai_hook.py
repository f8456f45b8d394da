"""What the `openai` client is asked and answers inside a captured call.

The client's methods are wrapped once, when `openai` is loaded, and pass everything through. Outside a captured call they do
nothing, unless `instrument_openai` was called; inside one they note the request and the answer. Ids leave the process in headers
only towards the gateway.
"""

import functools
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from continuum.signals import instrument
from continuum.signals.current import active
from continuum.signals.model_call import ModelCall
from continuum.signals.openai_answers import Api, chat_api, note_answer, responses_api
from continuum.signals.recording import Recording, Unsampled
from continuum.signals.to_gateway import asking_gateway, is_gateway, marked_unsampled

RESPONSES = "openai.resources.responses.responses"

logger = logging.getLogger(__name__)

installed = False
_lock = threading.Lock()
_wrapped: list[tuple[type, str, Any, Any]] = []
"""Class, method, the client's own, ours."""


def install() -> None:
    """Wrap the client's methods if `openai` is loaded and they are not wrapped yet."""
    global installed
    if installed or "openai" not in sys.modules:
        return
    with _lock:
        if installed:
            return
        installed = True  # also when it fails: a client of another shape is not tried at every call
        try:
            from openai.resources.chat.completions import AsyncCompletions, Completions

            wrap((Completions, AsyncCompletions), chat_api)
            if RESPONSES in sys.modules:
                wrap_responses()
            else:
                watch_for_responses()
        except Exception:
            logger.warning("continuum: this version of openai is not known, its calls are not captured", exc_info=True)


def uninstall() -> None:
    """Give the client its own methods back; where someone else has wrapped ours meanwhile, ours stay and pass through."""
    global installed
    with _lock:
        for owner, name, own, ours in _wrapped:
            if vars(owner).get(name) is ours:
                setattr(owner, name, own)
        _wrapped.clear()
        installed = False


def wrap(resources: Iterable[type], api: Api) -> None:
    """Wrap the methods of these classes; the second class is the asynchronous one."""
    for resource in resources:
        for name in ("create", "parse"):
            replace(resource, name, observed(vars(resource)[name], api, is_async=resource.__name__.startswith("Async")))


def replace(owner: type, name: str, ours: Any) -> None:
    """Put ours in place of the client's own."""
    _wrapped.append((owner, name, vars(owner)[name], ours))
    setattr(owner, name, ours)


def wrap_responses() -> None:
    """Wrap the responses API."""
    module = sys.modules[RESPONSES]
    if not any(owner is module.Responses for owner, *_ in _wrapped):
        wrap((module.Responses, module.AsyncResponses), responses_api)


def watch_for_responses() -> None:
    """Wrap the responses API when a client first asks for it: loading it for everyone would cost those who never do."""
    from openai import AsyncOpenAI, OpenAI

    for client in (OpenAI, AsyncOpenAI):
        replace(client, "responses", Door(vars(client)["responses"]))


class Door:
    """The client's `responses`, which loads the responses API; a client that has passed it keeps what it found."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __get__(self, client: Any, owner: type) -> Any:
        found = self._own.__get__(client, owner)
        with _lock:
            if RESPONSES in sys.modules and installed:
                wrap_responses()
        return found


def observed(method: Callable[..., Any], api: Api, *, is_async: bool) -> Callable[..., Any]:
    """The client's method, noting what passes through it."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = begin(self, kwargs, api)
        if request is None:
            return method(self, *args, **kwargs)
        try:
            result = method(self, *args, **request.kwargs)
        except BaseException as error:
            request.fail(error)
            raise
        return request.result(result)

    @functools.wraps(method)
    async def async_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = begin(self, kwargs, api)
        if request is None:
            return await method(self, *args, **kwargs)
        try:
            result = await method(self, *args, **request.kwargs)
        except BaseException as error:
            request.fail(error)
            raise
        return request.result(result)

    return async_call if is_async else call


class Request:
    """One request of the client, and how its answer is to be noted.

    Args:
        call: notes it; None for a call that is not captured.
        kwargs: what the client's method is called with.
        api: what was called.
        unwrap: whether the answer comes with its headers, which the application did not ask for.
        alone: whether it is an interaction of its own.
    """

    def __init__(self, call: ModelCall | None, kwargs: dict[str, Any], api: Api, *, unwrap: bool, alone: bool) -> None:
        self.call = call
        self.kwargs = kwargs
        self._api = api
        self._unwrap = unwrap
        self._alone = alone

    def result(self, result: Any) -> Any:
        """Note the answer and give the application what it would have got."""
        raw = result
        if self._unwrap:
            result = result.parse()
        if self.call is not None:
            try:
                note_answer(self.call, self._api, raw, self.kwargs)
            except Exception:
                logger.debug("an answer could not be noted", exc_info=True)
            if self._alone:
                self.call.recording.end_with_streams()
        return result

    def fail(self, error: BaseException) -> None:
        """The request has failed; inside a captured function that is the function's to handle or to raise."""
        if self.call is not None and self._alone:
            self.call.recording.fail(error)


def begin(resource: Any, kwargs: dict[str, Any], api: Api) -> Request | None:
    """Note a request that is about to be made; None where it is nobody's."""
    try:
        recording = active.get()
        alone = False
        if recording is None or (recording.over and recording.sampled):
            recording = instrument.alone(resource)
            alone = True
        if recording is None:
            return None
        base_url = str(resource._client.base_url)
        to_gateway = is_gateway(base_url)
        if isinstance(recording, Unsampled):
            return Request(None, marked_unsampled(kwargs), api, unwrap=False, alone=False) if to_gateway else None
        call = note_request(recording, kwargs, api, base_url)
        if to_gateway:
            asked, unwrap = asking_gateway(recording, kwargs)
            return Request(call, asked, api, unwrap=unwrap, alone=alone)
        return Request(call, kwargs, api, unwrap=False, alone=alone)
    except Exception:
        logger.debug("a request could not be noted", exc_info=True)
        return None


def note_request(recording: Recording, kwargs: dict[str, Any], api: Api, base_url: str) -> ModelCall:
    """Note what is asked."""
    call = recording.begin_call(kwargs.get("model"), base_url)
    try:
        api.note_asked(call, kwargs)
    except Exception:
        logger.debug("what a model was asked could not be noted", exc_info=True)
    return call
