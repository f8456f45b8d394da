import asyncio
import time
from typing import Literal

import pytest
from aiohttp import web
from pydantic import BaseModel, SecretStr

from continuum.errors import ConfigurationError, JudgeError
from continuum.models.budget import Budget, BudgetExhausted
from continuum.models.chat import Usage
from continuum.models.endpoint import EndpointModel
from continuum.models.pricing import Price
from continuum.records import Message
from tests.builders import user
from tests.stub_endpoint import completion, error, stub_endpoint

PRICE = Price(1.0, 10.0)
QUESTION = (user("Where is my order?"),)


class Grade(BaseModel):
    reason: str
    score: Literal[1, 2, 3, 4, 5]


def model(base_url: str, **options) -> EndpointModel:
    return EndpointModel("stub", base_url=base_url, **({"price": PRICE, "backoff_s": 0.01} | options))


async def test_an_answer_brings_its_usage_cost_and_time() -> None:
    async with stub_endpoint(lambda n, body: "On Monday.") as stub:
        answer = await model(stub.base_url, api_key=SecretStr("sk-test")).complete(QUESTION, max_tokens=50)
    assert answer.message == Message(role="assistant", content="On Monday.")
    assert answer.usage == Usage(100, 20)
    assert answer.cost_usd == pytest.approx(0.0003)
    assert answer.latency_ms is not None
    assert answer.latency_ms > 0
    assert stub.bodies[0]["messages"] == [{"role": "user", "content": "Where is my order?"}]
    assert stub.bodies[0]["max_completion_tokens"] == 50
    assert stub.keys == ["Bearer sk-test"]


async def test_a_schema_is_sent_strictly_and_the_answer_comes_parsed() -> None:
    async with stub_endpoint(lambda n, body: '{"reason": "says when", "score": 4}') as stub:
        answer = await model(stub.base_url).complete(QUESTION, schema=Grade)
    assert answer.parsed == Grade(reason="says when", score=4)
    assert stub.bodies[0]["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize("text", ['{"reason": "says when", "score": 9}', '{"reason": "says wh', "It is good: 5", ""])
async def test_an_answer_that_does_not_fit_the_schema_is_not_parsed_and_not_mended(text: str) -> None:
    async with stub_endpoint(lambda n, body: completion(text, finish="length")) as stub:
        answer = await model(stub.base_url).complete(QUESTION, schema=Grade)
    assert answer.parsed is None
    assert answer.message.text == text


async def test_tool_calls_come_through() -> None:
    reply = completion(None)
    call = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": '{"order": 7}'}}
    reply["choices"][0]["message"]["tool_calls"] = [call]
    async with stub_endpoint(lambda n, body: reply) as stub:
        answer = await model(stub.base_url).complete(QUESTION)
    assert answer.message.action == 'track({"order":7})'


@pytest.mark.parametrize("status", [429, 500, 503, 408])
async def test_a_passing_failure_is_tried_again(status: int) -> None:
    async with stub_endpoint(lambda n, body: error(status) if n < 3 else "On Monday.") as stub:
        answer = await model(stub.base_url).complete(QUESTION)
    assert answer.message.text == "On Monday."
    assert stub.calls == 3


async def test_a_failure_that_stays_ends_after_three_tries() -> None:
    async with stub_endpoint(lambda n, body: error(503, "overloaded")) as stub:
        with pytest.raises(JudgeError, match=r"3 tries: HTTP 503 .*overloaded"):
            await model(stub.base_url).complete(QUESTION)
    assert stub.calls == 3


async def test_the_server_says_how_long_to_wait() -> None:
    async with stub_endpoint(lambda n, body: error(429, retry_after_ms="150") if n == 1 else "On Monday.") as stub:
        started = time.perf_counter()
        await model(stub.base_url, backoff_s=0.0).complete(QUESTION)
    assert time.perf_counter() - started >= 0.15


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_wrong_key_or_model_is_for_the_caller_to_mend(status: int) -> None:
    async with stub_endpoint(lambda n, body: error(status, "not you")) as stub:
        with pytest.raises(ConfigurationError, match="not you") as caught:
            await model(stub.base_url, api_key=SecretStr("sk-very-secret")).complete(QUESTION)
    assert stub.calls == 1
    assert "sk-very-secret" not in str(caught.value)


async def test_a_request_that_is_refused_for_itself_is_not_repeated() -> None:
    async with stub_endpoint(lambda n, body: error(400, "context length exceeded")) as stub:
        with pytest.raises(JudgeError, match="context length"):
            await model(stub.base_url).complete(QUESTION)
    assert stub.calls == 1


async def test_an_endpoint_teaches_what_it_does_not_understand() -> None:
    def old_server(n: int, body: dict) -> web.Response | str:
        for unknown in ("response_format", "temperature", "max_completion_tokens"):
            if unknown in body:
                return error(400, f"Unsupported parameter: '{unknown}'", param=unknown)
        return '```json\n{"reason": "fine", "score": 5}\n```'

    async with stub_endpoint(old_server) as stub:
        old = model(stub.base_url)
        answers = await asyncio.gather(*(old.complete(QUESTION, schema=Grade, max_tokens=50) for _ in range(5)))
        learned = stub.calls
        await old.complete(QUESTION, schema=Grade, max_tokens=50)
    assert [answer.parsed for answer in answers] == [Grade(reason="fine", score=5)] * 5
    assert stub.calls == learned + 1
    assert stub.bodies[-1]["max_tokens"] == 50
    assert "JSON schema" in stub.bodies[-1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    "reply",
    [
        web.Response(text="<html>proxy</html>", content_type="text/html"),
        web.Response(text='{"choices": [', content_type="application/json"),
        web.json_response({"detail": "hello"}),
        web.json_response([1, 2]),
        web.json_response({"choices": []}),
    ],
    ids=["html", "cut", "another shape", "a list", "no choice"],
)
async def test_what_is_no_completion_is_an_error_in_words_and_is_booked(reply: web.Response) -> None:
    budget = Budget(1.0)
    async with stub_endpoint(lambda n, body: reply) as stub:
        with pytest.raises(JudgeError, match="sent"):
            await model(stub.base_url).complete(QUESTION, max_tokens=50, budget=budget)
    assert budget.spent > 0


async def test_a_server_that_does_not_answer_in_time_is_given_up_and_booked_in_full() -> None:
    async def asleep(n: int, body: dict) -> str:
        await asyncio.sleep(30)
        return "too late"

    budget = Budget(1.0)
    async with stub_endpoint(asleep) as stub:
        with pytest.raises(JudgeError, match="too long"):
            await model(stub.base_url, timeout_s=0.1).complete(QUESTION, max_tokens=50, budget=budget)
    assert budget.spent_usd > 3 * 50 * 10 / 1e6
    assert budget.reserved == 0


async def test_a_failure_says_whether_it_may_pass() -> None:
    async with stub_endpoint(lambda n, body: error(503 if n <= 3 else 400, "no")) as stub:
        with pytest.raises(JudgeError) as overloaded:
            await model(stub.base_url).complete(QUESTION)
        with pytest.raises(JudgeError) as refused:
            await model(stub.base_url).complete(QUESTION)
    with pytest.raises(JudgeError) as nobody:
        await model(stub.base_url).complete(QUESTION)
    assert (overloaded.value.passing, refused.value.passing, nobody.value.passing) == (True, False, True)


async def test_nobody_there_costs_nothing() -> None:
    budget = Budget(1.0)
    with pytest.raises(JudgeError, match="3 tries"):
        await model("http://127.0.0.1:9/v1").complete(QUESTION, max_tokens=50, budget=budget)
    assert budget.spent == 0


def html(status: int) -> web.Response:
    return web.Response(status=status, text="<html>upstream</html>", content_type="text/html")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_a_provider_owns_up_to_not_having_answered_costs_nothing(status: int) -> None:
    budget = Budget(1.0)
    async with stub_endpoint(lambda n, body: error(status) if n == 1 else "On Monday.") as stub:
        await model(stub.base_url).complete(QUESTION, max_tokens=50, budget=budget)
    assert budget.spent == 300


@pytest.mark.parametrize("status", [408, 500, 502, 504])
async def test_an_answer_that_nobody_owns_up_to_counts_as_all_that_was_reserved(status: int) -> None:
    budget = Budget(1.0)
    async with stub_endpoint(lambda n, body: html(status) if n == 1 else "On Monday.") as stub:
        await model(stub.base_url).complete(QUESTION, max_tokens=50, budget=budget)
    assert budget.spent > 300 + 50 * 10


async def test_a_provider_that_charges_for_its_errors_is_believed_to() -> None:
    budget = Budget(1.0)
    async with stub_endpoint(lambda n, body: error(500) if n == 1 else "On Monday.") as stub:
        await model(stub.base_url, errors_cost=True).complete(QUESTION, max_tokens=50, budget=budget)
    assert budget.spent > 300 + 50 * 10


async def test_fifty_calls_at_once_keep_to_the_budget() -> None:
    charged = 0

    async def moody(n: int, body: dict) -> web.Response | dict:
        nonlocal charged
        if n % 10 == 0:
            return error(429, retry_after_ms="1")
        charged += 100 * 1 + 20 * 10
        await asyncio.sleep(0.5 if n % 17 == 0 else 0.001)  # Charged, and too late for the caller.
        return completion("On Monday.")

    budget = Budget(0.01)
    async with stub_endpoint(moody) as stub, model(stub.base_url, timeout_s=0.2) as shared:
        calls = (shared.complete(QUESTION, max_tokens=50, budget=budget) for _ in range(50))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert charged <= budget.spent <= 10_000
    assert budget.spent > 8_000
    assert any(isinstance(outcome, BudgetExhausted) for outcome in outcomes)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception) and not isinstance(outcome, JudgeError)]


async def test_a_budget_without_a_price_is_refused_before_the_first_request() -> None:
    async with stub_endpoint(lambda n, body: "On Monday.") as stub:
        with pytest.raises(ConfigurationError, match="no price is known"):
            await model(stub.base_url, price=None).complete(QUESTION, budget=Budget(1.0))
        answer = await model(stub.base_url, price=None).complete(QUESTION, budget=Budget(None))
    assert stub.calls == 1
    assert answer.cost_usd is None


async def test_a_budgeted_call_is_always_capped() -> None:
    async with stub_endpoint(lambda n, body: "On Monday.") as stub:
        await model(stub.base_url).complete(QUESTION, budget=Budget(1.0))
    assert stub.bodies[0]["max_completion_tokens"] == 1024


async def test_text_that_no_json_can_carry_is_sent_with_its_broken_characters_replaced() -> None:
    async with stub_endpoint(lambda n, body: "On Monday.") as stub:
        await model(stub.base_url).complete([user("half a pair \ud83d and a nul \0")])
    assert stub.bodies[0]["messages"][0]["content"] == "half a pair ? and a nul \0"


async def test_one_model_serves_one_event_loop_after_another() -> None:
    async with stub_endpoint(lambda n, body: "On Monday.") as stub:
        shared = model(stub.base_url)
        await shared.complete(QUESTION)
        text = await asyncio.to_thread(lambda: asyncio.run(shared.complete(QUESTION)).message.text)
    assert text == "On Monday."


def test_a_model_needs_an_endpoint_or_a_key() -> None:
    with pytest.raises(ConfigurationError, match="neither an endpoint nor a key"):
        EndpointModel("gpt-4")


@pytest.mark.parametrize(
    "change",
    [{"finish_reason": "length"}, {"finish_reason": "content_filter"}, {"message": {"refusal": "I cannot grade this."}}],
    ids=["cut off", "filtered", "refused"],
)
async def test_an_answer_that_was_cut_off_filtered_or_refused_is_paid_and_not_parsed(change: dict) -> None:
    reply, budget = completion('{"reason": "fine", "score": 4}'), Budget(1.0)
    choice = reply["choices"][0]
    choice.update(change | {"message": choice["message"] | change.get("message", {})})
    async with stub_endpoint(lambda n, body: reply) as stub:
        answer = await model(stub.base_url).complete(QUESTION, schema=Grade, budget=budget)
    assert answer.parsed is None
    assert budget.spent == 300


async def test_an_answer_says_who_gave_it() -> None:
    async with stub_endpoint(lambda n, body: completion("Monday") | {"system_fingerprint": "fp_7"}) as stub:
        answer = await model(stub.base_url).complete(QUESTION)
    assert answer.served_by == "stub fp_7"


async def test_what_the_provider_had_in_its_cache_costs_what_it_charges_for_it() -> None:
    reply = completion("Monday", given=100, said=20)
    reply["usage"]["prompt_tokens_details"] = {"cached_tokens": 80}
    budget = Budget(1.0)
    async with stub_endpoint(lambda n, body: reply) as stub:
        answer = await model(stub.base_url, price=Price(1.0, 10.0, 0.1)).complete(QUESTION, budget=budget)
    assert answer.usage == Usage(100, 20, 80)
    assert budget.spent == 20 + 8 + 200


async def test_each_try_of_a_request_has_a_key_of_its_own_that_is_the_same_in_every_process() -> None:
    async def keys(sample: int = 0) -> list[str]:
        async with stub_endpoint(lambda n, body: (error(500), error(429), "Monday")[n - 1]) as stub:
            await model(stub.base_url).complete(QUESTION, sample=sample)
        return [headers["Idempotency-Key"] for headers in stub.headers]

    first, again, other = await keys(), await keys(), await keys(sample=1)

    assert first == again
    # The 429 was no try: what is sent after it is the same request.
    assert [len(set(tries)) for tries in (first, other)] == [2, 2]
    assert first[1] == first[2]
    assert not set(first) & set(other)


async def test_being_turned_away_uses_up_no_try() -> None:
    async with stub_endpoint(lambda n, body: error(429, retry_after_ms="1") if n < 12 else "On Monday.") as stub:
        answer = await model(stub.base_url, backoff_s=0.001).complete(QUESTION)
    assert answer.message.text == "On Monday."


async def test_being_turned_away_for_ever_ends_when_the_patience_does() -> None:
    budget = Budget(1.0)
    async with stub_endpoint(lambda n, body: error(429, "slow down", retry_after_ms="5")) as stub:
        with pytest.raises(JudgeError, match="slow down"):
            await model(stub.base_url, patience_s=0.1).complete(QUESTION, budget=budget)
    assert (budget.spent, budget.reserved) == (0, 0)


async def test_a_provider_that_wants_money_is_not_asked_again() -> None:
    reply = web.json_response({"error": {"message": "no credit", "code": "insufficient_quota"}}, status=429)
    async with stub_endpoint(lambda n, body: reply) as stub:
        with pytest.raises(ConfigurationError, match="no credit"):
            await model(stub.base_url).complete(QUESTION)
    assert stub.calls == 1


async def test_a_call_that_was_never_sent_costs_nothing_and_one_under_way_all_that_was_reserved() -> None:
    async def asleep(n: int, body: dict) -> str:
        await asyncio.sleep(30)
        return "too late"

    budget = Budget(1.0, calls=1)
    async with stub_endpoint(asleep) as stub, model(stub.base_url) as shared:
        calls = [asyncio.create_task(shared.complete(QUESTION, max_tokens=50, budget=budget)) for _ in range(3)]
        while not stub.calls:
            await asyncio.sleep(0.01)
        reserved = budget.reserved
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
    assert stub.calls == 1
    assert (budget.spent, budget.reserved) == (reserved // 3, 0)


async def test_a_budget_bounds_the_calls_under_way() -> None:
    under_way = most = 0

    async def count(n: int, body: dict) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        under_way -= 1
        return "On Monday."

    for price in (PRICE, None):
        budget = Budget(calls=3)
        async with stub_endpoint(count) as stub, model(stub.base_url, price=price) as shared:
            await asyncio.gather(*(shared.complete(QUESTION, budget=budget) for _ in range(20)))
        assert most == 3
