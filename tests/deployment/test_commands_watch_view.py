"""The view of `continuum watch` between two readings: what it keeps, and what it says of a store that is down."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.text import Text

from continuum.commands.watch_view import View
from continuum.deployment.controller import Tick
from continuum.deployment.driving import Round
from continuum.store.database import Store, open_store
from tests.builders import NOON
from tests.deployment.live import a_deployment


@pytest.fixture(autouse=True)
def a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuum.commands.watch_view.console.width", 140)


def text_of(view: View) -> str:
    """What it would show."""
    return "\n".join(line.plain for line in view.whole().renderables if isinstance(line, Text))


@asynccontextmanager
async def kept_up(view: View) -> AsyncIterator[Callable[[bool], "asyncio.Future[None]"]]:
    """It is read anew meanwhile; what is given waits until it complains of the store, or does no more."""

    async def until(complains: bool) -> None:
        async with asyncio.timeout(60):
            while ("the store does not answer" in text_of(view)) is not complains or "read" not in text_of(view):
                await asyncio.sleep(0.05)

    keeping = asyncio.create_task(view.keep_up())
    try:
        yield lambda complains: asyncio.ensure_future(until(complains))
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def test_a_quality_that_a_look_found_outlasts_those_that_find_none(store: Store) -> None:
    record, view = a_deployment(store), View(store, None, leads=True, now=lambda: NOON)
    arm = {"conversations": 40, "mean": 0.9}
    asyncio.run(view.read())

    for number, evidence in enumerate(({"quality": {"candidate": arm, "stable": arm}}, {"quality": None}, {}, {"quality": {}})):
        at = NOON + timedelta(seconds=number)
        view.on_round(Round(at, (Tick(record, record, "nothing", f"look {number}", evidence),)))

        text = text_of(view)
        assert f"last look {at:%H:%M:%S}" in text
        assert f"last look: look {number}" in text
        assert "not looked at yet" not in text
        assert "  support-v1    0.900      40" in text


def test_a_round_that_could_lead_nothing_says_so_until_one_can(store: Store) -> None:
    view = View(store, None, leads=True)

    view.on_round(Round(NOON, trouble="StoreError: gone"))
    assert "nothing could be led, the traffic stays as it is: StoreError: gone" in text_of(view)
    assert "no look yet" in text_of(view)

    view.on_round(Round(NOON))
    assert "nothing could be led" not in text_of(view)


async def test_a_store_that_goes_down_shows_beside_what_was_read_and_goes_away_when_it_is_back(postgres_url: str) -> None:
    server = Path(parse_qs(urlsplit(postgres_url).query)["host"][0])
    # The path of a socket may have a hundred letters, which pytest's own folder uses up.
    with tempfile.TemporaryDirectory(prefix="continuum-") as short:
        link = Path(short) / "server"
        link.symlink_to(server)
        store = open_store(f"postgresql://postgres:@/postgres?host={link}")
        a_deployment(store)
        async with kept_up(View(store, None, leads=False)) as until:
            await until(False)
            link.unlink()
            store.close()
            await until(True)
            link.symlink_to(server)
            await until(False)
        store.close()
