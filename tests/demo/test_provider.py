import json

import aiohttp
import openai
import pytest

from continuum.demo.provider import SimulatedProvider
from continuum.demo.world import World
from continuum.judging.model_judge import EndpointJudge
from continuum.rubric import DEFAULT_CRITERIA, Criterion
from tests.builders import assistant, user

QUESTION = "hello, how can i get my money back?"
RIGHT = "Refunds reach your bank within five working days of our mail."


async def test_an_openai_client_talks_to_it_and_it_says_that_it_is_simulated() -> None:
    async with SimulatedProvider(0) as provider, openai.AsyncOpenAI(base_url=provider.base_url, api_key="none") as client:
        answer = await client.chat.completions.create(model="sim-gpt", messages=[{"role": "user", "content": QUESTION}])
        models = [model.id async for model in client.models.list()]
    assert answer.choices[0].message.content
    assert answer.system_fingerprint == "simulated"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 10
    assert models == ["sim-gpt", "sim-judge"]


async def test_a_stream_says_the_same_in_pieces_with_the_usage_at_its_end() -> None:
    messages = [{"role": "user", "content": QUESTION}]
    async with SimulatedProvider(0) as provider, openai.AsyncOpenAI(base_url=provider.base_url, api_key="none") as client:
        whole = await client.chat.completions.create(model="sim-gpt", messages=messages)
        stream = await client.chat.completions.create(
            model="sim-gpt", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 5
    assert chunks[-1].usage == whole.usage
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


async def test_one_seed_gives_one_answer_and_many_seeds_give_some_bad_ones() -> None:
    async def answer(seed: int) -> str | None:
        async with SimulatedProvider(seed) as provider, openai.AsyncOpenAI(base_url=provider.base_url, api_key="x") as client:
            reply = await client.chat.completions.create(model="sim-gpt", messages=[{"role": "user", "content": QUESTION}])
            return reply.choices[0].message.content

    answers = [await answer(seed) for seed in range(20)]
    assert answers[3] == await answer(3)
    assert 10 <= answers.count(RIGHT) < 20


async def test_the_judge_knows_the_shop() -> None:
    async with SimulatedProvider(1) as provider:
        judge = EndpointJudge("sim-judge", provider.base_url)
        good = await judge.judge((user(QUESTION),), assistant(RIGHT), DEFAULT_CRITERIA)
        again = await judge.judge((user(QUESTION),), assistant(RIGHT), DEFAULT_CRITERIA)
        bad = await judge.judge((user(QUESTION),), assistant("Tap Twin Mode in the app to join two speakers."), DEFAULT_CRITERIA)
        calls = provider.calls["sim-judge"]
    assert good.overall is not None
    assert bad.overall is not None
    assert good.overall > 4 > 3 > bad.overall
    assert good == again
    assert good.cost_usd > 0
    assert calls == 3


async def test_a_criterion_it_has_never_heard_of_gets_the_general_impression() -> None:
    async with SimulatedProvider(1) as provider:
        judge = EndpointJudge("sim-judge", provider.base_url)
        judgement = await judge.judge((user(QUESTION),), assistant(RIGHT), [Criterion("charm", 1, "Is charming")])
    assert judgement.scores["charm"] in {4, 5}


async def test_it_cuts_an_answer_at_the_token_limit() -> None:
    async with SimulatedProvider(0) as provider, openai.AsyncOpenAI(base_url=provider.base_url, api_key="x") as client:
        answer = await client.chat.completions.create(
            model="sim-gpt", messages=[{"role": "user", "content": QUESTION}], max_completion_tokens=3
        )
    assert answer.choices[0].finish_reason == "length"
    assert len(answer.choices[0].message.content or "") == 12


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no json", 400),
        (b"[]", 400),
        (b'{"model": "sim-gpt"}', 400),
        (b'{"model": "sim-gpt", "messages": "hello"}', 400),
        (b'{"model": "sim-gpt", "messages": [{"role": "system", "content": "x"}]}', 400),
        (b'{"model": "gpt-4", "messages": [{"role": "user", "content": "x"}]}', 404),
        (b'{"model": "sim-judge", "messages": [{"role": "user", "content": "x"}]}', 400),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(body: bytes, status: int) -> None:
    async with SimulatedProvider(0) as provider, aiohttp.ClientSession() as session:
        async with session.post(f"{provider.base_url}/chat/completions", data=body) as response:
            assert response.status == status
            assert (await response.json())["error"]["message"]


async def test_content_in_parts_is_read() -> None:
    parts = [{"type": "text", "text": QUESTION}]
    async with SimulatedProvider(0) as provider, aiohttp.ClientSession() as session:
        body = {"model": "sim-gpt", "messages": [{"role": "user", "content": parts}]}
        async with session.post(f"{provider.base_url}/chat/completions", data=json.dumps(body)) as response:
            said = (await response.json())["choices"][0]["message"]["content"]
    assert World().quality(QUESTION, said) in {"right", "padded", "rude", "wrong"}
