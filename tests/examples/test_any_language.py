"""Programs that have nothing of Continuum installed: curl and Node, captured by the gateway that they ask."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from continuum.config import load_settings
from continuum.deployment.gateway.gateway import Gateway
from continuum.store.database import Store
from tests.deployment.provider import Provider
from tests.examples.conftest import EXAMPLES

pytestmark = pytest.mark.slow
QUESTION = 'Where is my "order" \\ 17?\nSince Monday.'
PROGRAMS = {
    "curl": ("curl", ["sh", "any_language/ask.sh"]),
    "node": ("node", ["node", "any_language/ask.mjs"]),
}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider("It arrives on Monday.") as opened:
        yield opened


@pytest.fixture
async def gateway(store: Store, provider: Provider) -> AsyncIterator[Gateway]:
    settings = load_settings().model_copy(
        update={"upstream_base_url": provider.base_url, "upstream_api_key": SecretStr("sk-upstream")}
    )
    async with Gateway(store, settings, default_task="support") as opened:
        yield opened


async def ask(language: str, gateway_url: str) -> "subprocess.CompletedProcess[str]":
    """Run a language's program in a thread, since the gateway it asks runs here."""
    needed, command = PROGRAMS[language]
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed here")
    environment = {**os.environ, "GATEWAY": gateway_url, "CONVERSATION": "c-17"}
    return await asyncio.to_thread(
        subprocess.run,
        [*command, QUESTION],
        cwd=EXAMPLES, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("language", PROGRAMS)
async def test_a_program_without_continuum_is_captured_with_its_conversation_and_its_verdict(
    language: str, gateway: Gateway, provider: Provider, store: Store
) -> None:
    done = await ask(language, gateway.base_url)

    assert (done.returncode, done.stderr) == (0, "")
    assert "It arrives on Monday." in done.stdout
    assert await gateway.flush()
    (kept,) = store.interactions.scan("support")
    # A shell's one line of JSON has no place for the break.
    question = QUESTION if language == "node" else QUESTION.replace("\n", " ")
    assert [message.text for message in kept.messages] == [question]
    assert provider.requests[0]["messages"][0]["content"] == question
    assert kept.response is not None
    assert kept.response.text.strip() == "It arrives on Monday."
    assert (kept.conversation_id, kept.source) == ("c-17", "gateway")
    assert [(one.score, one.label) for one in store.feedback.of([kept])[kept.id]] == [(5, "good")]


@pytest.mark.parametrize("language", PROGRAMS)
async def test_a_program_that_is_refused_says_so_and_ends_with_a_failure(
    language: str, gateway: Gateway, provider: Provider
) -> None:
    provider.status = 429

    done = await ask(language, gateway.base_url)

    assert done.returncode != 0
    assert "429" in done.stderr
