"""Real worker processes behind one port: weights, deaths, drains, a store that is away."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from continuum.deployment.gateway.workers import reserved
from continuum.errors import ConfigurationError
from continuum.spool.draining import collect
from continuum.store.database import Store
from tests.deployment.asking import QUESTION, deploy_row
from tests.deployment.provider import Provider

pytestmark = pytest.mark.slow
PROGRAM = "from continuum.cli import main; main()"


@dataclass
class Running:
    """A gateway in processes of its own."""

    process: asyncio.subprocess.Process
    base_url: str

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def listening(self) -> int:
        """How many of them listen at the port."""
        port = int(self.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(int(row[1].rpartition(":")[2], 16) == port and row[3] == "0A" for row in rows)

    async def replaced(self, worker: int) -> None:
        """Wait until another worker serves in the place of one."""
        async with asyncio.timeout(60):
            while worker in self.workers() or self.listening() < 2:
                await asyncio.sleep(0.05)

    async def asks(self, times: int, user: str = "ada") -> list[str]:
        """Who answers, each time over a new connection, so that all workers come to it."""

        async def once() -> str:
            async with aiohttp.ClientSession() as session:
                body = QUESTION | {"user": user}
                async with session.post(f"{self.base_url}/chat/completions", json=body) as response:
                    content = await response.json()
                    return content["choices"][0]["message"]["content"] if response.status == 200 else str(content)

        return [await once() for _ in range(times)]


@asynccontextmanager
async def running(production: Provider, *options: str, **environment: str) -> AsyncIterator[Running]:
    """A gateway of two workers."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, "gateway", "--port", "0", "--task", "support", "--workers", "2", *options),
        env=os.environ | {"CONTINUUM_UPSTREAM_BASE_URL": production.base_url} | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(90):
        said = (await process.stdout.readline()).decode()
    try:
        assert said.startswith("the gateway serves at "), said
        yield Running(process, said.removeprefix("the gateway serves at ").partition(";")[0])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await process.wait()


async def test_a_weight_is_felt_by_all_workers_and_a_dead_one_is_replaced_and_loses_nothing(
    store: Store, home: Path, production: Provider, tuned: Provider
) -> None:
    async with running(production) as gateway:
        assert set(await gateway.asks(6)) == {"production says hello"}
        deployment = deploy_row(store, tuned.base_url, 1.0)
        await asyncio.sleep(1.0)
        assert set(await gateway.asks(12)) == {"tuned says hello"}

        victim = gateway.workers()[0]
        os.kill(victim, signal.SIGKILL)
        await gateway.replaced(victim)
        assert set(await gateway.asks(6)) == {"tuned says hello"}

        await deployment.rollback(reason="test")
        await asyncio.sleep(1.0)
        assert set(await gateway.asks(12)) == {"production says hello"}
    collect(store, home / "spool")
    kept = list(store.interactions.scan("support", status=None))
    assert len(kept) == 36
    assert gateway.process.returncode == 0


async def test_one_connection_gets_all_of_a_keys_limit_and_all_workers_together_no_more(
    store: Store, production: Provider
) -> None:
    key = store.gateway_keys.create("web-app", requests_per_minute=10).secret.get_secret_value()
    headers = {"authorization": f"Bearer {key}"}
    async with running(production) as gateway:
        # A minute's worth at once is what a bucket holds, and it fills up at one in six seconds.
        began = time.monotonic()
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=1)) as one:
            statuses = [await answered_with(one, gateway) for _ in range(10)]
        for _ in range(10):
            async with aiohttp.ClientSession(headers=headers) as another:
                statuses.append(await answered_with(another, gateway))
        came_since = (time.monotonic() - began) / 6

    assert statuses[:10] == [200] * 10
    assert statuses[10:].count(429) >= 10 - came_since - 1
    assert set(statuses[10:]) <= {200, 429}


async def answered_with(session: aiohttp.ClientSession, gateway: Running) -> int:
    async with session.post(f"{gateway.base_url}/chat/completions", json=QUESTION) as response:
        await response.read()
        return response.status


async def test_all_workers_answer_what_has_begun_when_the_gateway_is_told_to_stop(store: Store, production: Provider) -> None:
    production.pause_s = 1.0
    async with running(production) as gateway:
        asked = [asyncio.create_task(gateway.asks(1)) for _ in range(8)]
        while len(production.requests) < 8:
            await asyncio.sleep(0.02)
        gateway.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*asked)
    assert answers == [["production says hello"]] * 8
    assert gateway.process.returncode == 0
    assert len(list(store.interactions.scan("support"))) == 8


async def test_workers_end_with_their_parent(store: Store, production: Provider) -> None:
    async with running(production) as gateway:
        workers = gateway.workers()
        gateway.process.kill()
        async with asyncio.timeout(30):
            while any(Path(f"/proc/{pid}").exists() and "Z (" not in status_of(pid) for pid in workers):
                await asyncio.sleep(0.1)


def status_of(pid: int) -> str:
    """What the system says of a process."""
    try:
        return Path(f"/proc/{pid}/status").read_text().replace("State:\t", "")
    except OSError:
        return "Z ("


async def test_a_gateway_starts_without_its_store_and_the_stable_model_answers(
    store: Store, home: Path, production: Provider, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    async with running(production) as gateway:
        assert set(await gateway.asks(4)) == {"tuned says hello"}
    away = "postgresql://nobody@127.0.0.1:9/none?connect_timeout=1"
    async with running(production, CONTINUUM_DATABASE_URL=away) as gateway:
        # It may have been rolled back meanwhile, so the candidate gets nothing.
        assert set(await gateway.asks(6)) == {"production says hello"}


async def test_a_worker_that_takes_a_dead_ones_place_while_the_store_is_away_splits_as_the_others_do(
    store: Store, home: Path, production: Provider, tuned: Provider
) -> None:
    deploy_row(store, tuned.base_url, 1.0)
    async with running(production) as gateway:
        assert set(await gateway.asks(4)) == {"tuned says hello"}
        database = home / "continuum.db"
        database.rename(home / "away.db")
        database.mkdir()
        for victim in gateway.workers():
            os.kill(victim, signal.SIGKILL)
            await gateway.replaced(victim)
        assert set(await gateway.asks(6)) == {"tuned says hello"}
        database.rmdir()
        (home / "away.db").rename(database)


def test_a_port_that_another_gateway_has_is_not_shared_with_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigurationError, match="cannot listen"), reserved("127.0.0.1", other.getsockname()[1]):
            pass


async def test_workers_that_cannot_begin_say_why(store: Store, production: Provider) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, "gateway", "--port", "0", "--workers", "2", "--host", "0.0.0.0"),  # noqa: S104
        env=os.environ | {"CONTINUUM_UPSTREAM_BASE_URL": production.base_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert "continuum keys create" in said.decode()
