"""A model behind an OpenAI-compatible endpoint: one try at a time, each paid for from the budget before it is made."""

import asyncio
import random
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import httpx2
import openai
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, SecretStr

from continuum.errors import ConfigurationError, JudgeError
from continuum.models.budget import Budget
from continuum.models.chat import Completion, Usage
from continuum.models.pricing import Price, price_usd
from continuum.models.scripted import parse_as
from continuum.models.throttle import Throttle
from continuum.models.wire import (
    LONGEST_PAUSE_S,
    SCHEMA_IN_WORDS,
    Dialect,
    asked_pause_s,
    compact,
    described,
    encodable,
    idempotency_key,
    is_passing,
    is_whole,
    may_have_been_charged,
    response_format,
    served_by,
    usage_of,
)
from continuum.records import Message

OPENAI_URL = "https://api.openai.com/v1"
ATTEMPTS = 3
"""Tries of one call; a refused or broken one is tried again after a pause."""
REFUSALS = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
"""Answers that no other call will change: the key, the model or the address is wrong."""
OUT_OF_QUOTA = "insufficient_quota"
"""The code of a 429 that no pause will mend: the account at the provider is spent."""
FREE_RETURNS = 3
"""How often a call comes back after just the pause that the server named."""
BUDGETED_MAX_TOKENS = 1024
"""The cap on an answer paid from a budget, where the caller gave none: without a cap there is no upper bound to reserve."""
FRAMING_TOKENS = 64
"""What a server adds around the messages: roles, separators, the header of the schema."""


@dataclass(frozen=True)
class _Call:
    """What one call asks for, whatever the dialect it is put in."""

    wire: list[dict[str, Any]]
    form: dict[str, Any] | None
    max_tokens: int | None
    temperature: float
    sample: int = 0


@dataclass
class _Sending:
    """Whether a request has begun to go out; before that nobody can have charged for it."""

    begun: bool = False


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
        errors_cost: whether the provider may charge for a call that it answers with an error 500 of its own; then such a call
            counts as all that was reserved for it.
        patience_s: how long one call goes on while the server says that there are too many; such answers are no tries.
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
        errors_cost: bool = False,
        patience_s: float = 120.0,
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
        self._errors_cost = errors_cost
        self._patience_s = patience_s
        self.throttle = Throttle()
        """How many calls it gets at once, whoever makes them."""
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
        sample: int = 0,
    ) -> Completion:
        """Answer the conversation.

        Args:
            messages: the conversation, oldest first.
            max_tokens: cap on the tokens of the answer, reasoning included.
            temperature: left out where the endpoint takes none.
            schema: the JSON form of the answer; `parsed` is None when the answer does not fit it.
            budget: what pays for the call; every try is reserved before it is made.
            sample: which of several answers to the same request this is to be; a server that knows idempotency keys gives the
                same answer, and charges nothing, when it is asked again for one that it has given.

        Raises:
            BudgetExhausted: the budget does not cover the call.
            ConfigurationError: the endpoint refuses the key, the model or the address, or a limited budget has no price.
            JudgeError: the endpoint gave no answer to this call, three times where trying again may help.
        """
        if budget is not None and budget.limited:
            self.must_be_priced()
            max_tokens = max_tokens or BUDGETED_MAX_TOKENS
        wire = encodable([message.to_openai() for message in messages])
        call = _Call(wire, response_format(schema) if schema else None, max_tokens, temperature, sample)
        bound = self._bound_usd(wire, call.form, max_tokens) if budget is not None else None
        async with self:
            answer, latency_ms = await self._retried(call, budget, bound)
        return self.completion(answer, schema, latency_ms)

    def asked(
        self, messages: Sequence[Message], *, max_tokens: int, temperature: float = 0.0, schema: type[BaseModel] | None = None
    ) -> tuple[dict[str, Any], float | None]:
        """The body of the request that `complete` would send, and the most US dollars that it can cost; None without a price."""
        wire = encodable([message.to_openai() for message in messages])
        form = response_format(schema) if schema else None
        call = _Call(wire, form, max_tokens, temperature)
        return self._request(self.dialect, call), self._bound_usd(wire, form, max_tokens)

    async def _retried(self, call: "_Call", budget: Budget | None, bound: float | None) -> tuple[ChatCompletion, float]:
        attempt, turned_away, since = 1, 0, time.monotonic()
        while True:
            dialect = self.dialect
            request = self._request(dialect, call)
            started = time.perf_counter()
            try:
                answer = await self._paid(request, idempotency_key(request, call.sample, attempt), budget, bound)
                return answer, (time.perf_counter() - started) * 1000
            except openai.BadRequestError as error:
                simpler = dialect.without(error)
                if simpler is None:
                    raise self._failed(error, attempt) from error
                if self.dialect == dialect:  # Else a call beside this one has learned something already.
                    self.dialect = simpler
            except openai.RateLimitError as error:
                if error.code == OUT_OF_QUOTA:
                    raise self._refused(error) from error
                # No try of the call: it was not worked on. What all are asked to wait, it waits with them; who is turned away
                # again and again waits longer, whatever the server says.
                if time.monotonic() - since > self._patience_s:
                    raise self._failed(error, attempt) from error
                earlier = turned_away - (0 if asked_pause_s(error) is None else FREE_RETURNS)
                if earlier >= 0:
                    await asyncio.sleep(self._backoff(earlier))
                turned_away += 1
            except (openai.APIError, TimeoutError) as error:
                if isinstance(error, REFUSALS):
                    raise self._refused(error) from error
                if attempt == ATTEMPTS or not is_passing(error):
                    raise self._failed(error, attempt) from error
                asked = asked_pause_s(error)
                await asyncio.sleep(self._backoff(attempt - 1) if asked is None else asked)
                attempt += 1
                since = time.monotonic()

    def _backoff(self, times: int) -> float:
        # Spread out, so that calls that were turned away together do not come back together.
        return min(self._backoff_s * 2 ** min(times, 16), LONGEST_PAUSE_S) * random.uniform(0.75, 1.25)

    async def _paid(self, request: dict[str, Any], key: str, budget: Budget | None, bound: float | None) -> ChatCompletion:
        if budget is None:
            return await self._in_turn(request, key, _Sending())
        if bound is None:
            async with budget.turn():
                return await self._in_turn(request, key, _Sending())
        await self.throttle.pause()  # Without money set aside that others may be waiting for.
        async with budget.reserve(bound) as reservation:
            sending = _Sending()
            try:
                async with budget.turn():
                    answer = await self._in_turn(request, key, sending)
            except BaseException as error:
                if not sending.begun or (isinstance(error, openai.APIError) and not self._may_have_charged(error)):
                    reservation.release()
                raise
            usage = usage_of(answer)
            cost = self.cost_usd(usage) if usage else None
            if cost is not None:  # An answer that does not say its usage counts as the whole reservation.
                reservation.settle(cost)
            return answer

    def _may_have_charged(self, error: openai.APIError) -> bool:
        return may_have_been_charged(error, errors_cost=self._errors_cost)

    async def _in_turn(self, request: dict[str, Any], key: str, sending: "_Sending") -> ChatCompletion:
        async with self.throttle.slot() as slot:
            sending.begun = True
            try:
                return await self._send(request, key)
            except openai.RateLimitError as error:
                slot.refused(asked_pause_s(error))
                raise

    async def _send(self, request: dict[str, Any], key: str) -> ChatCompletion:
        try:
            async with asyncio.timeout(self.timeout_s):
                # As the extra body the messages go out as they are; typed arguments are walked through key by key, which
                # costs more CPU than the whole rest of the call.
                answer = await self.client.chat.completions.create(
                    model=self.name, messages=[], extra_body=request, extra_headers={"Idempotency-Key": key}
                )
        except ValueError as error:
            raise JudgeError(f"model {self.name!r} at {self.base_url} sent a body that is no JSON") from error
        # The client builds its answer without validation: a body of another shape arrives as an object with holes.
        if not isinstance(answer, ChatCompletion) or not answer.choices or not answer.choices[0].message:
            raise JudgeError(f"model {self.name!r} at {self.base_url} sent something that is no chat completion")
        return answer

    def _request(self, dialect: Dialect, call: "_Call") -> dict[str, Any]:
        request: dict[str, Any] = {"model": self.name, "messages": call.wire}
        if call.max_tokens is not None:
            request[dialect.limit] = call.max_tokens
        if dialect.temperature:
            request["temperature"] = call.temperature
        if call.form and dialect.structured:
            request["response_format"] = call.form
        elif call.form:
            schema = compact(call.form["json_schema"]["schema"])
            request["messages"] = [*call.wire, {"role": "system", "content": SCHEMA_IN_WORDS + schema}]
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
            # What was cut off or filtered may fit the schema by chance; it is not what the model had to say.
            parsed=parse_as(schema, message.text) if is_whole(answer) else None,
            served_by=served_by(answer),
        )

    def _refused(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"the endpoint {self.base_url} refused the call to model {self.name!r}: {described(error)}; "
            "check the model's name, the key and the address"
        )

    def _failed(self, error: Exception, attempts: int) -> JudgeError:
        tries = f"in {attempts} tries" if attempts > 1 else "to this call"
        failed = JudgeError(f"model {self.name!r} at {self.base_url} gave no answer {tries}: {described(error)}")
        return failed.may_pass(is_passing(error))


@lru_cache(maxsize=1)
def tls() -> ssl.SSLContext:
    """One TLS context for all endpoints; reading the certificates takes a twentieth of a second."""
    return httpx2.create_ssl_context()
