from typing import Any

import pytest
from pydantic import SecretStr

from continuum.config import load_settings
from continuum.deployment.gateway.gateway import Gateway
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.signals.client import client
from continuum.signals.current import context
from continuum.signals.decorator import capture
from continuum.spool.users import hashed_user, user_key
from tests.builders import assistant, user
from tests.signals.conftest import Kept, Provider


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("gateway_first", [False, True])
async def test_a_call_that_is_captured_and_passes_the_gateway_is_one_interaction(
    provider: Provider, kept: Kept, monkeypatch: pytest.MonkeyPatch, stream: bool, gateway_first: bool
) -> None:
    provider.served_by.clear()
    deployment = DeploymentRecord(
        task="support",
        checkpoint_id="checkpoint",
        model="support-v1",
        stable_model="production",
        backend_url=provider.base_url,
        state=DeploymentState.LIVE,
        traffic=1.0,
    )
    event = DeploymentEvent(deployment_id=deployment.id, actor="test", action="deploy")
    kept.store.deployments.add(deployment, event)
    upstream = {"upstream_base_url": provider.base_url, "upstream_api_key": SecretStr("test")}
    async with Gateway(kept.store, load_settings().model_copy(update=upstream)) as gateway:
        monkeypatch.setenv("CONTINUUM_GATEWAY_URL", gateway.base_url)
        async with client("support") as opened:

            @capture(task="support")
            async def handle(text: str) -> Any:
                asked: Any = [{"role": "user", "content": text}]
                answer = await opened.chat.completions.create(model="gpt-4", messages=asked, stream=stream)
                words = [chunk async for chunk in answer] if stream else answer
                if gateway_first:
                    await gateway.flush()
                return words

            with context(conversation_id="c 1", user_id="Zoë"):
                await handle("Hi")
        if not gateway_first:
            assert kept.one().source == "capture"

    found = kept.one()
    assert found.messages == (user("Hi"),)
    assert found.response == assistant("Yousaid:Hi" if stream else "You said: Hi")
    assert (found.source, found.variant, found.deployment_id) == ("capture", "stable", deployment.id)
    assert provider.requests[0]["model"] == "support-v1"
    assert (found.conversation_id, found.user_id, found.input_tokens) == ("c 1", hashed_user("Zoë", user_key()), 100)
