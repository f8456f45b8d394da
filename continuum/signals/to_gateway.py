"""What a captured call tells the gateway, in headers that go nowhere else."""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from continuum.config import load_settings
from continuum.loopback import is_loopback
from continuum.signals.model_call import ModelCall
from continuum.signals.recording import Recording
from continuum.spool import headers

RAW_HEADER = "X-Stainless-Raw-Response"
"""The client's own sign that the caller wants the HTTP response with its headers."""


def is_gateway(base_url: str) -> bool:
    """Whether a client speaks to this process's gateway; a machine's own names for itself are one address."""
    return _is_gateway(base_url, os.environ.get("CONTINUUM_GATEWAY_URL"))


@lru_cache(maxsize=256)
def _is_gateway(base_url: str, _variable: str | None) -> bool:
    asked, gateway = urlsplit(base_url), urlsplit(load_settings().gateway_url)
    same_host = asked.hostname == gateway.hostname or all(is_loopback(one.hostname or "") for one in (asked, gateway))
    same_path = asked.path.rstrip("/") == gateway.path.rstrip("/")
    return same_host and same_path and (asked.scheme, asked.port) == (gateway.scheme, gateway.port)


def asking_gateway(recording: Recording, kwargs: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The arguments of a request that names the captured call, and whether its answer has to be unwrapped for the application."""
    extra = dict(kwargs.get("extra_headers") or {})
    given = {name.lower() for name in extra}
    extra |= {name: value for name, value in identity(recording) if name not in given}
    # A whole answer comes without its headers unless they are asked for; a stream has them anyway.
    unwrap = RAW_HEADER.lower() not in given and not kwargs.get("stream")
    if unwrap:
        extra[RAW_HEADER] = "true"
    return kwargs | {"extra_headers": extra}, unwrap


def identity(recording: Recording) -> Iterator[tuple[str, str]]:
    """The headers that tell the gateway whose call this is."""
    values = {
        headers.INTERACTION_ID: recording.id,
        headers.TASK: recording.subject.task,
        headers.CONVERSATION_ID: recording.draft["conversation_id"],
        headers.USER_ID: recording.draft["user_id"],
    }
    for name, value in values.items():
        encoded = headers.encode(value) if value else None
        if encoded:
            yield name, encoded


def marked_unsampled(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a request that the gateway shall not capture either."""
    return kwargs | {"extra_headers": {headers.SAMPLED: "0", **(kwargs.get("extra_headers") or {})}}


def note_served_by(call: ModelCall, response: Any) -> None:
    """Note the deployment and the arm that answered."""
    found = response.headers
    if isinstance(found, Mapping) and is_gateway(call.base_url or ""):
        call.deployment_id = headers.decode(found.get(headers.DEPLOYMENT))
        call.variant = headers.decode(found.get(headers.VARIANT))
