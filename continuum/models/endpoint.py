"""A model behind an OpenAI-compatible endpoint: one try at a time, each paid for from the budget before it is made."""

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import aiohttp
import httpx2
import openai
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, SecretStr

from continuum.errors import ConfigurationError, JudgeError
from continuum.models.budget import Budget
from continuum.models.chat import Completion, Usage
from continuum.models.pricing import Price, price_usd
from continuum.models.scripted import parse_as
from continuum.records import Message

OPENAI_URL = "https://api.openai.com/v1"
ATTEMPTS = 3
"""Tries of one call; a refused or broken one is tried again after a pause."""
LONGEST_PAUSE_S = 30.0
REFUSALS = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
"""Answers that no other call will change: the key, the model or the address is wrong."""
BUDGETED_MAX_TOKENS = 1024
"""The cap on an answer paid from a budget, where the caller gave none: without a cap there is no upper bound to reserve."""
FRAMING_TOKENS = 64
"""What a server adds around the messages: roles, separators, the header of the schema."""
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


class EndpointModel:
    """A chat model at an OpenAI-compatible endpoint.

    The connections are opened by the first call and closed after the last one under way; `async with model:` keeps them open
    over a batch.

    Args:
        name: the model's name at the endpoint.
        base_url: its address, up to and including `/v1`; None for OpenAI's own.
        api_key: sent as the bearer token; local servers need none.
        timeout_s: seconds after which one try is given up.
        price: what tokens cost there; None to look the model up in the price table.
        backoff_s: the pause before the second try, doubled before the third, when the server names none.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: SecretStr | None = None,
        timeout_s: float = 60.0,
        price: Price | None = None,
        backoff_s: float = 0.5,
    ) -> None:
        if base_url is None and api_key is None:
            raise ConfigurationError(
                f"model {name!r} has neither an endpoint nor a key; set OPENAI_API_KEY, or the base URL of the server that has it"
            )
        self.name = name
        self.base_url = base_url or OPENAI_URL
        self.timeout_s = timeout_s
        self._api_key = api_key
        self.price = price
        self._backoff_s = backoff_s
        self.dialect = Dialect()
        self._client: openai.AsyncOpenAI | None = None
        self._users = 0

    async def __aenter__(self) -> Self:
        if self._client is None:
            key = self._api_key.get_secret_value() if self._api_key else "none"
            # aiohttp as the transport halves the CPU of a call; retries are ours, or they would spend unreserved money.
            http_client = openai.DefaultAioHttpClient(verify=tls())
            self._client = openai.AsyncOpenAI(
                base_url=self.base_url, api_key=key, max_retries=0, timeout=self.timeout_s, http_client=http_client
            )
        self._users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        if self._users == 0 and self._client is not None:
            client, self._client = self._client, None
            await client.close()

    @property
    def client(self) -> openai.AsyncOpenAI:
        """The client of the endpoint, while the model is held open."""
        assert self._client is not None, "the model is not held open"  # noqa: S101 - whoever asks holds it open
        return self._client

    def cost_usd(self, usage: Usage) -> float | None:
        """US dollars for this usage; None where no price is known."""
        return self.price.of(usage) if self.price else price_usd(self.name, usage, self.base_url)

    def must_be_priced(self) -> None:
        """Refuse a budget that could not be kept.

        Raises:
            ConfigurationError: no price is known for this model.
        """
        if self.cost_usd(Usage(1, 1)) is None:
            raise ConfigurationError(
                f"no price is known for model {self.name!r} at {self.base_url}, so a budget for it cannot be kept; "
                "leave the budget out, or give EndpointModel a price (Price(0, 0) for a model of your own)"
            )

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        schema: type[BaseModel] | None = None,
        budget: Budget | None = None,
    ) -> Completion:
        """Answer the conversation.

        Args:
            messages: the conversation, oldest first.
            max_tokens: cap on the tokens of the answer, reasoning included.
            temperature: left out where the endpoint takes none.
            schema: the JSON form of the answer; `parsed` is None when the answer does not fit it.
            budget: what pays for the call; every try is reserved before it is made.

        Raises:
            BudgetExhausted: the budget does not cover the call.
            ConfigurationError: the endpoint refuses the key, the model or the address, or a limited budget has no price.
            JudgeError: the endpoint gave no answer to this call, three times where trying again may help.
        """
        if budget is not None and budget.limited:
            self.must_be_priced()
            max_tokens = max_tokens or BUDGETED_MAX_TOKENS
        wire = encodable([message.to_openai() for message in messages])
        form = response_format(schema) if schema else None
        bound = self._bound_usd(wire, form, max_tokens) if budget is not None else None
        async with self:
            answer, latency_ms = await self._retried(wire, form, max_tokens, temperature, budget, bound)
        return self.completion(answer, schema, latency_ms)

    def asked(
        self, messages: Sequence[Message], *, max_tokens: int, temperature: float = 0.0, schema: type[BaseModel] | None = None
    ) -> tuple[dict[str, Any], float | None]:
        """The body of the request that `complete` would send, and the most US dollars that it can cost; None without a price."""
        wire = encodable([message.to_openai() for message in messages])
        form = response_format(schema) if schema else None
        return self._request(self.dialect, wire, form, max_tokens, temperature), self._bound_usd(wire, form, max_tokens)

    async def _retried(
        self,
        wire: list[dict[str, Any]],
        form: dict[str, Any] | None,
        max_tokens: int | None,
        temperature: float,
        budget: Budget | None,
        bound: float | None,
    ) -> tuple[ChatCompletion, float]:
        attempt = 1
        while True:
            dialect = self.dialect
            request = self._request(dialect, wire, form, max_tokens, temperature)
            started = time.perf_counter()
            try:
                answer = await self._paid(request, budget, bound)
                return answer, (time.perf_counter() - started) * 1000
            except openai.BadRequestError as error:
                simpler = dialect.without(error)
                if simpler is None:
                    raise self._failed(error, attempt) from error
                if self.dialect == dialect:  # Else a call beside this one has learned something already.
                    self.dialect = simpler
            except (openai.APIError, TimeoutError) as error:
                if isinstance(error, REFUSALS):
                    raise self._refused(error) from error
                if attempt == ATTEMPTS or not is_passing(error):
                    raise self._failed(error, attempt) from error
                await asyncio.sleep(pause_s(error, self._backoff_s * 2 ** (attempt - 1)))
                attempt += 1

    async def _paid(self, request: dict[str, Any], budget: Budget | None, bound: float | None) -> ChatCompletion:
        if budget is None or bound is None:
            return await self._send(request)
        async with budget.reserve(bound) as reservation:
            try:
                answer = await self._send(request)
            except openai.APIError as error:
                if not may_have_been_charged(error):
                    reservation.release()
                raise
            usage = usage_of(answer)
            cost = self.cost_usd(usage) if usage else None
            if cost is not None:  # An answer that does not say its usage counts as the whole reservation.
                reservation.settle(cost)
            return answer

    async def _send(self, request: dict[str, Any]) -> ChatCompletion:
        try:
            async with asyncio.timeout(self.timeout_s):
                # As the extra body the messages go out as they are; typed arguments are walked through key by key, which
                # costs more CPU than the whole rest of the call.
                answer = await self.client.chat.completions.create(model=self.name, messages=[], extra_body=request)
        except ValueError as error:
            raise JudgeError(f"model {self.name!r} at {self.base_url} sent a body that is no JSON") from error
        # The client builds its answer without validation: a body of another shape arrives as an object with holes.
        if not isinstance(answer, ChatCompletion) or not answer.choices or not answer.choices[0].message:
            raise JudgeError(f"model {self.name!r} at {self.base_url} sent something that is no chat completion")
        return answer

    def _request(
        self,
        dialect: Dialect,
        wire: list[dict[str, Any]],
        form: dict[str, Any] | None,
        max_tokens: int | None,
        temperature: float,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self.name, "messages": wire}
        if max_tokens is not None:
            request[dialect.limit] = max_tokens
        if dialect.temperature:
            request["temperature"] = temperature
        if form and dialect.structured:
            request["response_format"] = form
        elif form:
            schema = compact(form["json_schema"]["schema"])
            request["messages"] = [*wire, {"role": "system", "content": SCHEMA_IN_WORDS + schema}]
        return request

    def _bound_usd(self, wire: list[dict[str, Any]], form: dict[str, Any] | None, max_tokens: int | None) -> float | None:
        # A byte-level tokenizer makes at most one token of a byte, so bytes bound the tokens without the tokenizer at hand.
        form_bytes = len(compact(form).encode()) + len(SCHEMA_IN_WORDS) if form else 0
        tokens = len(compact(wire).encode()) + form_bytes + FRAMING_TOKENS
        return self.cost_usd(Usage(tokens, max_tokens or BUDGETED_MAX_TOKENS))

    def completion(
        self, answer: ChatCompletion, schema: type[BaseModel] | None = None, latency_ms: float | None = None
    ) -> Completion:
        """What the endpoint sent, in our terms."""
        message = Message.model_validate(answer.choices[0].message.model_dump(exclude_none=True, mode="json"))
        usage = usage_of(answer)
        return Completion(
            message=message,
            model=answer.model or self.name,
            usage=usage,
            response_id=answer.id or None,
            cost_usd=self.cost_usd(usage) if usage else None,
            latency_ms=latency_ms,
            parsed=parse_as(schema, message.text),
        )

    def _refused(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"the endpoint {self.base_url} refused the call to model {self.name!r}: {described(error)}; "
            "check the model's name, the key and the address"
        )

    def _failed(self, error: Exception, attempts: int) -> JudgeError:
        tries = f"in {attempts} tries" if attempts > 1 else "to this call"
        return JudgeError(f"model {self.name!r} at {self.base_url} gave no answer {tries}: {described(error)}")


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in {408, 409, 425, 429} or error.status_code >= 500
    return isinstance(error, (openai.APIConnectionError, TimeoutError))


def may_have_been_charged(error: openai.APIError) -> bool:
    """Whether the model may have worked on the call; not when the server turned it away or was never reached."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code >= 500 or error.status_code == 408
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, aiohttp.ClientConnectorError):
        cause = cause.__cause__
    return cause is None


def pause_s(error: Exception, default: float) -> float:
    """Seconds to wait before the next try: what the server asks for, within reason, or else the default."""
    headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
    for header, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return min(max(float(headers[header]) / per_second, 0.0), LONGEST_PAUSE_S)
        except (KeyError, ValueError):
            continue  # Absent, or a date: seconds are what model servers send.
    return default


def described(error: Exception) -> str:
    """The error in one line that never holds the request, where the key is."""
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code} {' '.join(error.message.split())[:300]}"
    return "it took too long" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"[:300]


def usage_of(answer: ChatCompletion) -> Usage | None:
    """The tokens that the endpoint says it used."""
    if answer.usage is None or answer.usage.prompt_tokens is None or answer.usage.completion_tokens is None:
        return None  # The client fills in nothing that a server leaves out, whatever its types say.
    return Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens)


@lru_cache(maxsize=64)
def response_format(schema: type[BaseModel]) -> dict[str, Any]:
    """The strict JSON schema of a class, made once."""
    function = openai.pydantic_function_tool(schema, name=schema.__name__)["function"]
    return {"type": "json_schema", "json_schema": {"name": schema.__name__, "strict": True, "schema": function.get("parameters")}}


@lru_cache(maxsize=1)
def tls() -> ssl.SSLContext:
    """One TLS context for all endpoints; reading the certificates takes a twentieth of a second."""
    return httpx2.create_ssl_context()


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
