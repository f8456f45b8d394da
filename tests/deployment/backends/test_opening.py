"""Backends by their names, and what all of them do when what answers is nobody, or somebody else."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from continuum.config import load_settings
from continuum.deployment.backends import open_backend
from continuum.deployment.backends.calls import MAX_REPLY_BYTES
from continuum.errors import ConfigurationError, DeploymentError
from tests.deployment.backends.contract import ContractServer
from tests.deployment.backends.rigs import a_checkpoint

BY_URL = ("local", "vllm", "tgi")


class Stranger(ContractServer):
    """Answers everything in one way."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.text = "<html>hello</html>"
        self.headers: dict[str, str] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        return web.Response(status=self.status, text=self.text, headers=self.headers)


@pytest.fixture
async def stranger() -> AsyncIterator[Stranger]:
    async with Stranger() as opened:
        yield opened


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


@pytest.mark.parametrize("name", BY_URL)
def test_a_backend_is_opened_by_its_name(name: str) -> None:
    backend = open_backend(name, "http://127.0.0.1:9/v1/", load_settings())
    assert (backend.name, backend.url) == (name, "http://127.0.0.1:9/v1")


def test_a_name_that_no_backend_has_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'triton' is unknown; use one of local, vllm, ollama, tgi, sagemaker"):
        open_backend("triton", "http://127.0.0.1:9/v1", load_settings())


@pytest.mark.parametrize("name", BY_URL)
async def test_where_nobody_answers_a_checkpoint_is_not_ready_and_that_is_no_error(
    name: str, nobody: str, tmp_path: Path
) -> None:
    backend = open_backend(name, nobody, load_settings())
    warmed, health = await backend.warm(a_checkpoint(tmp_path)), await backend.health()
    assert (warmed.ready, health.up) == (False, False)
    assert nobody in warmed.words
    assert "start" in warmed.words
    assert nobody in health.words


@pytest.mark.parametrize("name", ["local", "vllm"])
async def test_where_nobody_answers_nothing_is_unloaded_or_listed(name: str, nobody: str) -> None:
    backend = open_backend(name, nobody, load_settings())
    with pytest.raises(DeploymentError) as refused:
        await backend.unload("support-v1")
    assert str(refused.value) == f"support-v1 is not unloaded: no server answers at {nobody}", "no words of a library"
    with pytest.raises(DeploymentError, match="no server answers"):
        await backend.models()


@pytest.mark.parametrize("name", ["vllm", "tgi"])
@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "<html>hello</html>"), (200, "[]"), (200, '{"data": 1}'), (500, "no"), (200, "[" * 100_000), (404, "")],
)
async def test_a_server_of_another_kind_is_told_as_such(
    name: str, status: int, text: str, stranger: Stranger, tmp_path: Path
) -> None:
    stranger.status, stranger.text = status, text
    backend = open_backend(name, stranger.base_url, load_settings())
    if name == "tgi" and status != 200:
        assert not (await backend.warm(a_checkpoint(tmp_path))).ready
    else:
        with pytest.raises(DeploymentError):
            await backend.warm(a_checkpoint(tmp_path))


@pytest.mark.parametrize("name", BY_URL)
async def test_no_redirect_is_followed(name: str, stranger: Stranger, tmp_path: Path) -> None:
    async with Stranger() as elsewhere:
        stranger.status, stranger.headers = 307, {"location": elsewhere.base_url}
        backend = open_backend(name, stranger.base_url, load_settings())
        assert not (await backend.health()).up
        with contextlib.suppress(DeploymentError):
            assert not (await backend.warm(a_checkpoint(tmp_path))).ready
        assert elsewhere.asked == []


@pytest.mark.parametrize("name", BY_URL)
async def test_an_answer_without_end_is_not_read_to_the_end(name: str, stranger: Stranger, tmp_path: Path) -> None:
    stranger.text = "x" * (MAX_REPLY_BYTES + 1)
    backend = open_backend(name, stranger.base_url, load_settings())
    assert not (await backend.warm(a_checkpoint(tmp_path))).ready


@pytest.mark.parametrize("name", BY_URL)
async def test_the_environments_proxies_are_not_used(
    name: str, stranger: Stranger, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", stranger.base_url.removesuffix("/v1"))
    assert not (await open_backend(name, nobody, load_settings()).health()).up
    assert stranger.asked == []
