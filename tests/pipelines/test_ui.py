"""The Dagster UI as a person opens it, in a real browser."""

import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from continuum.demo.recipe import TASK
from continuum.demo.story import tell
from continuum.store.database import Store
from continuum_pipelines.demo import turn_through_dagster
from continuum_pipelines.turn import run_turn
from tests.builders import interactions

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium is installed; apt-get install chromium, or name one in CHROMIUM"
)
SEVEN = [
    "raw_interactions",
    "judged_annotations",
    "curated_dataset",
    "lora_checkpoint",
    "guard_verdict",
    "deployment",
    "learning_curve",
]


@pytest.fixture
def waiting_task(store: Store) -> str:
    """A task that Dagster has turned once, and that had too little data."""
    store.tasks.ensure("support")
    store.interactions.add(interactions(5))
    run_turn("support")
    return "support"


@contextlib.contextmanager
def dagster_ui(home: Path, tmp_path: Path) -> Iterator[str]:
    """`dg dev` in the project's root on this test's home, as `make ui` starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "DAGSTER_HOME": str(home / "dagster"), "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).with_name("dg")), "dev", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "dagster.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # A shell's background job ignores SIGINT, and Dagster then ignores SIGTERM as well.
            preexec_fn=heed_interrupts,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/server_info", process, tmp_path / "dagster.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(process)


def heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(address: str, process: subprocess.Popen, log: Path, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(f"nothing answered at {address}: {log.read_text()}")


def stop(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(30)
    # The group is ours alone: whatever of it is left goes now.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def browsing(home: Path, tmp_path: Path) -> Iterator[tuple["Page", str, Path]]:
    """A page of a real browser, the UI's address, and the folder for pictures; a script error on a page is a failure."""
    from playwright.sync_api import sync_playwright

    artifacts = Path(os.environ.get("CONTINUUM_TEST_ARTIFACTS") or tmp_path)
    artifacts.mkdir(parents=True, exist_ok=True)
    errors: list[str] = []
    with dagster_ui(home, tmp_path) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page, address, artifacts
        browser.close()
    assert errors == []


def see_the_graph(page: "Page", address: str, picture: Path) -> None:
    """Open the graph, find all seven assets in sight and take a picture."""
    from playwright.sync_api import expect

    page.goto(f"{address}/asset-groups")
    for asset in SEVEN:
        expect(page.locator("svg").get_by_text(asset, exact=True).first).to_be_visible(timeout=60_000)
    page.screenshot(path=picture)
    assert picture.stat().st_size > 10_000


@needs_chromium
def test_a_task_with_too_little_data_is_seen_to_wait(waiting_task: str, home: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with browsing(home, tmp_path) as (page, address, artifacts):
        see_the_graph(page, address, artifacts / "dagster-waiting-graph.png")
        page.goto(f"{address}/assets/curated_dataset?view=partitions&partition={waiting_task}")
        expect(page.get_by_text("waiting (", exact=False).first).to_be_visible(timeout=60_000)
        page.screenshot(path=artifacts / "dagster-waiting.png")


@needs_chromium
@pytest.mark.timeout(1200)
def test_the_demo_tells_its_story_and_the_graph_shows_what_it_did(home: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    console = Console(file=io.StringIO(), width=120)
    figures = asyncio.run(tell(console, seed=0, turner=turn_through_dagster))

    assert json.loads((home / "demo.json").read_text(encoding="utf-8")) == figures
    quality = figures["quality"]
    assert quality["tuned"] - quality["base"] >= 1.0
    assert figures["verdict"]["turn_2"]["status"] == "approved"
    assert figures["verdict"]["plain"]["status"] == "blocked"
    assert figures["right"]["tuned, turn 2"]["shop"] - figures["right"]["plain LoRA"]["shop"] >= 0.2
    assert [split["share"] for split in figures["traffic"]] == [0.1, 0.5, 1.0]
    assert figures["traffic"][-1]["production"] == 0
    assert "judge" in figures["simulated"]
    told = console.file.getvalue()
    assert "Simulated: the customers, the support staff, the production model and the judge" in told
    assert "BLOCKED" in told
    assert "make ui" in told

    with browsing(home, tmp_path) as (page, address, artifacts):
        see_the_graph(page, address, artifacts / "dagster-demo-graph.png")
        page.goto(f"{address}/assets/guard_verdict?view=partitions&partition={TASK}")
        expect(page.get_by_text("approved", exact=False).first).to_be_visible(timeout=60_000)
        page.screenshot(path=artifacts / "dagster-demo-verdict.png")
