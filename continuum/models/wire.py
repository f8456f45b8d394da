"""What goes over the wire to an OpenAI-compatible endpoint, and what its answers and errors mean."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import aiohttp
import openai
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from continuum.models.chat import Usage

LONGEST_PAUSE_S = 30.0
OWN_FAILURES = frozenset({500, 503, 529})
"""Statuses by which a provider says that it failed, and for which the common ones charge nothing."""
SCHEMA_IN_WORDS = "Answer with one JSON object that fits this JSON schema, and nothing around it: "


@dataclass(frozen=True)
class Dialect:
    """What an endpoint understands, as far as it has said; a 400 that names a parameter teaches it."""

    limit: str = "max_completion_tokens"
    """How it calls the cap on output tokens; older servers know `max_tokens`."""
    structured: bool = True
    """Whether it takes a JSON schema; where it does not, the schema is put into words."""
    temperature: bool = True
    """Whether it takes a temperature; reasoning models do not."""

    def without(self, error: openai.BadRequestError) -> "Dialect | None":
        """The dialect that leaves out what the endpoint complains of; None when that is nothing we can leave out."""
        return self.without_what(f"{error.param or ''} {error.message}")

    def without_what(self, complaint: str) -> "Dialect | None":
        """The dialect that leaves out what a complaint names; None when that is nothing we can leave out."""
        if self.structured and "response_format" in complaint:
            return replace(self, structured=False)
        if self.temperature and "temperature" in complaint:
            return replace(self, temperature=False)
        if self.limit == "max_completion_tokens" and self.limit in complaint:
            return replace(self, limit="max_tokens")
        return None


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in {408, 409, 425, 429} or error.status_code >= 500
    return isinstance(error, (openai.APIConnectionError, TimeoutError))


def may_have_been_charged(error: openai.APIError, *, errors_cost: bool = False) -> bool:
    """Whether the call may have been charged; not when the server turned it away or was never reached.

    Args:
        error: what came of the call.
        errors_cost: whether the provider charges for a failure that it owns up to, in the form of its API. An answer of
            something in between, like a gateway that gave up waiting, says nothing of what the model did.
    """
    if isinstance(error, openai.APIStatusError):
        owned_up = error.status_code in OWN_FAILURES and isinstance(error.body, dict) and not errors_cost
        return (error.status_code >= 500 or error.status_code == 408) and not owned_up
    return unreached(error) is None


def unreached(error: BaseException) -> aiohttp.ClientConnectorError | None:
    """The cause, where no connection to the server came about."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, aiohttp.ClientConnectorError):
        cause = cause.__cause__
    return cause


def asked_pause_s(error: Exception) -> float | None:
    """Seconds that the server asks us to wait, within reason; None where it does not say."""
    headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
    for header, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return min(max(float(headers[header]) / per_second, 0.0), LONGEST_PAUSE_S)
        except (KeyError, ValueError):
            continue  # Absent, or a date: seconds are what model servers send.
    return None


def idempotency_key(request: dict[str, Any], sample: int, attempt: int) -> str:
    """Names one try of a request, the same in every process: a server that knows such keys charges for each only once."""
    return hashlib.sha256(compact([request, sample, attempt]).encode(errors="replace")).hexdigest()


def described(error: Exception) -> str:
    """The error in one line that never holds the request, where the key is."""
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code} {' '.join(error.message.split())[:300]}"
    if (cause := unreached(error)) is not None:
        return f"no connection: {cause}"[:300]
    return "it took too long" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"[:300]


def usage_of(answer: ChatCompletion) -> Usage | None:
    """The tokens that the endpoint says it used."""
    if answer.usage is None or answer.usage.prompt_tokens is None or answer.usage.completion_tokens is None:
        return None  # The client fills in nothing that a server leaves out, whatever its types say.
    cached = getattr(answer.usage.prompt_tokens_details, "cached_tokens", None)
    return Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens, cached if isinstance(cached, int) else 0)


def served_by(answer: ChatCompletion) -> str | None:
    """The model that answered, by its own account, and the provider's fingerprint of what it runs on."""
    return " ".join(filter(None, (answer.model, answer.system_fingerprint))) or None


def is_whole(answer: ChatCompletion) -> bool:
    """Whether the model said all that it wanted to say: it did not run into the cap, and nobody kept it from answering."""
    choice = answer.choices[0]
    return choice.finish_reason not in {"length", "content_filter"} and not choice.message.refusal


@lru_cache(maxsize=64)
def response_format(schema: type[BaseModel]) -> dict[str, Any]:
    """The strict JSON schema of a class, made once."""
    function = openai.pydantic_function_tool(schema, name=schema.__name__)["function"]
    return {"type": "json_schema", "json_schema": {"name": schema.__name__, "strict": True, "schema": function.get("parameters")}}


def encodable(wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with lone surrogates, which no JSON body can carry, replaced."""
    try:
        compact(wire).encode()
    except UnicodeEncodeError:
        return json.loads(compact(wire).encode(errors="replace"))
    return wire


def compact(value: object) -> str:
    """JSON without spare space, as the client sends it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
