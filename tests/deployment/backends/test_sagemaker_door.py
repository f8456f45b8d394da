"""What a SageMaker endpoint is asked, and what is made of its answers."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.deployment.backends.sagemaker_door import Unframed, place_of, request_for, unwrapped
from continuum.errors import ConfigurationError, DeploymentError
from continuum.ids import new_id
from tests.deployment.backends.sagemaker_contract import KEY, SECRET, Runtime, frame

CHAT = {"model": "support-v1", "messages": [{"role": "user", "content": "hello there"}]}
EVENT = {":message-type": "event", ":event-type": "PayloadPart"}


@pytest.fixture
async def runtime(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    # A region of its own: who signs is remembered by region.
    async with Runtime(f"eu-{new_id().lower()}") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.base_url.removesuffix("/v1"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        yield server


async def ask(runtime: Runtime, body: object, variant: str = "/green") -> tuple[int, bytes]:
    url, headers, content = await request_for(f"sagemaker://{runtime.region}/support{variant}", json.dumps(body).encode())
    async with aiohttp.ClientSession() as session, session.post(url, data=content, headers=headers) as reply:
        return reply.status, await reply.read()


async def test_a_variant_is_asked_by_name_with_a_signature_that_holds(runtime: Runtime) -> None:
    status, body = await ask(runtime, CHAT)
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "green of support was asked: hello there"
    assert runtime.asked[0].path == "/endpoints/support/invocations"
    status, body = await ask(runtime, {"prompt": "once"}, "/blue")
    assert json.loads(body)["choices"][0]["message"]["content"] == "blue of support was asked: once"


async def test_a_signature_covers_body_and_variant(runtime: Runtime) -> None:
    url, headers, content = await request_for(f"sagemaker://{runtime.region}/support/green", json.dumps(CHAT).encode())
    changed = [(headers, content + b" "), (headers | {"X-Amzn-SageMaker-Target-Variant": "blue"}, content), ({}, content)]
    async with aiohttp.ClientSession() as session:
        for given, body in changed:
            async with session.post(url, data=body, headers=given) as reply:
                assert reply.status == 403


async def test_credentials_for_a_while_carry_their_token(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "for-a-while")
    runtime.token = "for-a-while"  # noqa: S105
    assert (await ask(runtime, CHAT))[0] == 200


async def test_a_stream_comes_out_of_its_wrapping_as_it_was_said(runtime: Runtime) -> None:
    status, framed = await ask(runtime, CHAT | {"stream": True})
    assert status == 200
    assert runtime.asked[0].path == "/endpoints/support/invocations-response-stream"
    said = Unframed().feed(framed).decode()
    words = [json.loads(line.removeprefix("data: "))["delta"] for line in said.split("\n\n") if "delta" in line]
    assert " ".join(words) == "green of support was asked: hello there"
    assert said.endswith("data: [DONE]\n\n")


async def test_a_stream_that_breaks_off_is_an_error(runtime: Runtime) -> None:
    runtime.breaks = "ModelStreamError"
    _, framed = await ask(runtime, CHAT | {"stream": True})
    with pytest.raises(DeploymentError, match="the answer broke off: ModelStreamError"):
        Unframed().feed(framed)
    for noise in (b"data: {}\n\n" * 5, bytes(64)):
        with pytest.raises(DeploymentError, match="no event stream"):
            Unframed().feed(noise)


@given(pieces=st.lists(st.binary(max_size=60), min_size=1, max_size=6), cut=st.integers(1, 40))
def test_wherever_a_stream_is_cut_the_same_bytes_come_out(pieces: list[bytes], cut: int) -> None:
    framed = frame({":message-type": "event", ":event-type": "initial-response"}, b"{}")
    framed += b"".join(frame(EVENT, piece) for piece in pieces)
    unframed = Unframed()
    out = b"".join(unframed.feed(framed[start : start + cut]) for start in range(0, len(framed), cut))
    assert out == b"".join(pieces)


async def test_what_the_container_refuses_is_the_callers_business_and_what_fails_is_not(runtime: Runtime) -> None:
    runtime.refuses = (400, '{"error":{"message":"max_tokens is too large"}}')
    assert unwrapped(*await ask(runtime, CHAT)) == (400, b'{"error":{"message":"max_tokens is too large"}}')
    runtime.refuses = (503, "loading")
    assert unwrapped(*await ask(runtime, CHAT)) == (503, b"loading")
    assert unwrapped(200, b"{}") == (200, b"{}")
    assert unwrapped(424, b"no JSON") == (502, b"no JSON")
    assert unwrapped(424, b'{"OriginalStatusCode": 0}') == (502, b"")


async def test_a_request_that_no_slot_or_no_container_could_answer_is_not_sent(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeploymentError, match="names no variant"):
        await ask(runtime, CHAT, "")
    for body in ({"model": "m", "input": "text"}, [1], "text"):
        with pytest.raises(DeploymentError, match="chat completions and completions only"):
            await ask(runtime, body)
    with pytest.raises(DeploymentError, match="no JSON object"):
        await request_for(f"sagemaker://{runtime.region}/support/green", b"{")
    for url in ("https://evil.example/x", "sagemaker://eu-central-1/a/b/c", "sagemaker://eu-central-1/a b"):
        with pytest.raises(ConfigurationError, match="no address of a SageMaker endpoint"):
            place_of(url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DeploymentError, match="no AWS credentials are found"):
        await ask(runtime, CHAT)
    assert runtime.asked == []
