"""A store that neither answers nor refuses, as where its machine is frozen: who is served goes on being served."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from sqlalchemy import create_engine, text

from continuum.config import Settings
from continuum.deployment.gateway import gateway as module
from continuum.deployment.gateway.aside import Aside
from continuum.deployment.gateway.gateway import Gateway
from continuum.store.database import open_store
from tests.deployment.asking import ask, deploy_row, routes_are_read
from tests.deployment.provider import Provider


class Relay:
    """Stands before Postgres and passes on what is said, until it is told to hang."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        folder = parse_qs(parts.query).get("host", [""])[0]
        self._behind = f"{folder}/.s.PGSQL.{parts.port or 5432}" if folder else (parts.hostname or "", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.goes = threading.Event()
        self.goes.set()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX if isinstance(self._behind, str) else socket.AF_INET)
                self._open += [near, far]
                far.connect(self._behind)
                for one, other in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._pass_on, args=(one, other), daemon=True))
                    self._threads[-1].start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while said := one.recv(65536):
                self.goes.wait()
                other.sendall(said)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.goes.set()
        # Whoever waits in one of them wakes up then; a socket that is only closed keeps its reader.
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for one in self._open:
            one.close()


@pytest.fixture
def relay(postgres_url: str) -> Iterator[Relay]:
    made = Relay(postgres_url)
    yield made
    made.close()


async def the_store_is(client: aiohttp.ClientSession, gateway: Gateway, wanted: str) -> None:
    async with asyncio.timeout(30):
        while True:
            async with client.get(f"{gateway.base_url.removesuffix('/v1')}/healthz") as response:
                if (await response.json())["store"] == wanted:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_database_that_hangs_is_told_of_and_the_last_known_routes_go_on_with_another_start_too(
    client: aiohttp.ClientSession,
    postgres_url: str,
    relay: Relay,
    settings: Settings,
    tuned: Provider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READ_S", 0.5)
    monkeypatch.setattr(module, "STORE_S", 0.1)
    admin = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg2://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE hanging_test"))
    user = urlsplit(postgres_url).username or "postgres"
    store = open_store(f"postgresql://{user}@127.0.0.1:{relay.port}/hanging_test?sslmode=disable&gssencmode=disable")
    async with Gateway(store, settings, default_task="support") as gateway:
        deploy_row(store, tuned.base_url, 1.0)
        await routes_are_read(gateway, store)

        relay.goes.clear()
        await the_store_is(client, gateway, "no answer")
        response = await ask(client, gateway)
        assert (await response.json())["choices"][0]["message"]["content"] == "tuned says hello"
        async with Gateway(store, settings, default_task="support") as late:
            response = await ask(client, late)
            assert (await response.json())["choices"][0]["message"]["content"] == "production says hello"

        relay.goes.set()
        await the_store_is(client, gateway, "ok")
    store.close()
    admin.dispose()


async def test_what_hangs_is_asked_once_and_its_end_is_seen_by_the_next_who_asks() -> None:
    begun: list[int] = []
    goes_on = threading.Event()

    def work() -> None:
        begun.append(1)
        goes_on.wait(30)

    aside = Aside(work)
    assert [await aside.done_in(0.01) for _ in range(3)] == [False, False, False]
    assert begun == [1]
    goes_on.set()
    assert await aside.done_in(30)
    assert await aside.done_in(30)
    assert begun == [1, 1]


async def test_work_aside_that_raises_is_over_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda what: told.set() if what.exc_type is ZeroDivisionError else None)

    assert await Aside(lambda: 1 / 0).done_in(30)
    assert await asyncio.to_thread(told.wait, 30)
