"""A candidate behind a SageMaker endpoint is asked by the gateway like any other."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from continuum.deployment.gateway.gateway import Gateway
from continuum.ids import new_id
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from tests.deployment.backends.sagemaker_contract import KEY, SECRET, Runtime
from tests.deployment.provider import Provider


@pytest.fixture
async def runtime(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    async with Runtime(f"eu-{new_id().lower()}") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.base_url.removesuffix("/v1"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        yield server


@pytest.fixture
async def behind(gateway: Gateway, store: Store, runtime: Runtime) -> Gateway:
    """A gateway all of whose traffic goes to the variant `green`."""
    deployment = DeploymentRecord(
        task="support",
        checkpoint_id="checkpoint",
        model="support-v1",
        stable_model="production",
        backend="sagemaker",
        backend_url=f"sagemaker://{runtime.region}/support/green",
        traffic=1.0,
        state=DeploymentState.CANARY,
    )
    store.deployments.add(deployment, DeploymentEvent(deployment_id=deployment.id, actor="test", action="deploy"))
    await gateway.refresh()
    return gateway


async def ask(
    client: aiohttp.ClientSession, gateway: Gateway, path: str = "/chat/completions", **more: object
) -> tuple[str, bytes]:
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": "hello"}], **more}
    async with client.post(gateway.base_url + path, json=body) as answer:
        assert answer.status == 200
        return answer.headers.get("content-type", ""), await answer.read()


async def test_an_answer_comes_from_the_variant_and_is_captured_as_the_candidates(
    behind: Gateway, client: aiohttp.ClientSession, store: Store
) -> None:
    _, body = await ask(client, behind)
    assert json.loads(body)["choices"][0]["message"]["content"] == "green of support was asked: hello"
    await behind.flush()
    (captured,) = store.interactions.scan("support")
    assert (captured.variant, captured.model) == ("canary", "support-v1")


async def test_a_stream_reaches_the_application_without_aws_wrapping(behind: Gateway, client: aiohttp.ClientSession) -> None:
    kind, body = await ask(client, behind, stream=True)
    assert kind.startswith("text/event-stream")
    assert body.startswith(b"data: ")
    assert body.rstrip().endswith(b"data: [DONE]")


async def test_what_the_endpoint_refuses_the_model_behind_it_gets(
    behind: Gateway, client: aiohttp.ClientSession, production: Provider, monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    runtime.token = "another"  # noqa: S105 - the signature lacks it
    _, body = await ask(client, behind)
    assert json.loads(body)["choices"][0]["message"]["content"] == "production says hello"
