"""`--live`: the conformance tests against real servers instead of the contract servers.

pytest tests/deployment/backends/test_conformance.py --live vllm=http://host:8000/v1 --live-adapter /adapters/support-v1
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continuum.store.database import Store
from tests.deployment.backends.rigs import RIGS, Rig, live_rig


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--live", action="append", default=[], metavar="NAME=URL", help="a backend and its real server")
    parser.addoption(
        "--live-adapter", action="append", default=[], type=Path, help="an adapter's folder, for the server's base model"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rig" not in metafunc.fixturenames:
        return
    # Absent where this folder is only a part of what runs: pytest reads options before it comes here.
    live = metafunc.config.getoption("--live", default=[])
    adapters = tuple(metafunc.config.getoption("--live-adapter", default=[]))
    rigs = dict(RIGS)
    if live:
        if not adapters:
            raise pytest.UsageError("--live needs --live-adapter FOLDER: an adapter of the server's base model")
        rigs = {f"live {name}": live_rig(name, url, adapters) for name, _, url in (one.partition("=") for one in live)}
    metafunc.parametrize("rig", rigs.values(), ids=rigs.keys(), indirect=True)


@pytest.fixture
async def rig(request: pytest.FixtureRequest, tmp_path: Path, store: Store) -> AsyncIterator[Rig]:
    """Each backend before a server that runs."""
    async with request.param(tmp_path / "adapters", store) as opened:
        yield opened
        for checkpoint in opened.checkpoints:
            await opened.backend.unload(checkpoint.name)
