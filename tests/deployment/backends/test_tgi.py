from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from continuum.config import load_settings
from continuum.deployment.backends import open_backend
from continuum.deployment.backends.protocol import Backend
from continuum.deployment.backends.tgi import Token, farthest
from continuum.errors import DeploymentError
from tests.deployment.backends.rigs import a_checkpoint
from tests.deployment.backends.tgi_contract import Tgi


@pytest.fixture
async def server() -> AsyncIterator[Tgi]:
    async with Tgi(adapters=("support-v1",)) as opened:
        yield opened


def before(server: Tgi, key: str | None = None) -> Backend:
    chosen = load_settings().model_copy(update={"serving_api_key": SecretStr(key) if key else None})
    return open_backend("tgi", server.base_url, chosen)


async def test_an_adapter_that_moves_the_probabilities_is_found_loaded(server: Tgi, tmp_path: Path) -> None:
    warmed = await before(server).warm(a_checkpoint(tmp_path))
    assert warmed.ready
    assert warmed.words == (
        "support-v1 is loaded: its tokens' log-probabilities differ from the base model's by 0.05 nats, and those by 0 from "
        "themselves"
    )


async def test_an_adapter_that_says_other_words_is_found_loaded(server: Tgi, tmp_path: Path) -> None:
    server.changes_tokens = True
    assert (await before(server).warm(a_checkpoint(tmp_path))).ready


async def test_a_name_that_the_server_answers_with_its_base_model_is_not_loaded_and_the_start_line_is_told(
    server: Tgi, tmp_path: Path
) -> None:
    checkpoint = a_checkpoint(tmp_path, 2)
    with pytest.raises(DeploymentError) as refused:
        await before(server).warm(checkpoint)
    assert "answers support-v2 as it answers its base model" in str(refused.value)
    assert f"`LORA_ADAPTERS=support-v2={checkpoint.uri} text-generation-launcher --model-id tiny`" in str(refused.value)


async def test_rounding_on_a_busy_server_is_not_held_for_an_adapter(server: Tgi, tmp_path: Path) -> None:
    server.jitter = 0.02
    with pytest.raises(DeploymentError, match="as it answers its base model"):
        await before(server).warm(a_checkpoint(tmp_path, 2))


async def test_a_server_that_never_says_the_same_twice_tells_nothing(server: Tgi, tmp_path: Path) -> None:
    server.drifts = True
    with pytest.raises(DeploymentError, match="nothing tells whether support-v1 is loaded"):
        await before(server).warm(a_checkpoint(tmp_path))


async def test_a_server_that_refuses_unknown_names_is_believed_by_its_answers(server: Tgi, tmp_path: Path) -> None:
    server.refuses_unknown = True
    server.shift = 0.0
    assert (await before(server).warm(a_checkpoint(tmp_path))).ready
    with pytest.raises(DeploymentError, match="adapter support-v2 is not available; start it with `LORA_ADAPTERS=support-v2="):
        await before(server).warm(a_checkpoint(tmp_path, 2))


async def test_a_server_with_another_base_is_refused(server: Tgi, tmp_path: Path) -> None:
    server.base = "mistralai/Mistral-7B-v0.3"
    with pytest.raises(DeploymentError, match=r"serves mistralai/Mistral-7B-v0\.3, and support-v1 was trained on tiny"):
        await before(server).warm(a_checkpoint(tmp_path))


async def test_a_server_that_is_not_ready_or_has_no_time_is_asked_again_later(server: Tgi, tmp_path: Path) -> None:
    server.overloaded = True
    busy = await before(server).warm(a_checkpoint(tmp_path))
    server.healthy = False
    starting = await before(server).warm(a_checkpoint(tmp_path, 2))
    assert (busy.ready, starting.ready) == (False, False)
    assert "Model is overloaded" in busy.words
    assert "unhealthy" in starting.words


async def test_a_key_is_asked_for_where_the_server_generates(server: Tgi, tmp_path: Path) -> None:
    server.api_key = "tgi-key"
    checkpoint = a_checkpoint(tmp_path)
    assert (await before(server, "tgi-key").warm(checkpoint)).ready
    with pytest.raises(DeploymentError, match="set CONTINUUM_SERVING_API_KEY to its --api-key") as refused:
        await before(server, "another-key").warm(checkpoint)
    assert "another-key" not in repr(refused.value)


TOKENS = st.lists(st.builds(Token, st.integers(0, 3), st.floats(-20, 0)), max_size=6)


@given(TOKENS, TOKENS)
def test_how_far_two_answers_are_apart_is_a_distance(one: list[Token], other: list[Token]) -> None:
    assert farthest(one, one) == 0
    assert farthest(one, other) == farthest(other, one) >= 0
