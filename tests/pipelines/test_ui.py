"""The Dagster UI as a person opens it, in a real browser."""

import contextlib
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

import pytest

from continuum.store.database import Store
from continuum_pipelines.turn import run_turn
from tests.builders import interactions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
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


@pytest.fixture
def dagster_ui(home: Path, waiting_task: str, tmp_path: Path) -> Iterator[str]:
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


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed; apt-get install chromium, or name one in CHROMIUM")
def test_the_graph_opens_with_all_seven_assets_in_sight(dagster_ui: str, tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    artifacts = Path(os.environ.get("CONTINUUM_TEST_ARTIFACTS") or tmp_path)
    artifacts.mkdir(parents=True, exist_ok=True)
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{dagster_ui}/asset-groups")
        for asset in SEVEN:
            expect(page.locator("svg").get_by_text(asset, exact=True).first).to_be_visible(timeout=60_000)
        page.screenshot(path=artifacts / "dagster-assets.png")
        page.goto(f"{dagster_ui}/assets/curated_dataset?view=partitions&partition=support")
        expect(page.get_by_text("waiting (", exact=False).first).to_be_visible(timeout=60_000)
        page.screenshot(path=artifacts / "dagster-waiting.png")
        browser.close()
    assert errors == []
    assert (artifacts / "dagster-assets.png").stat().st_size > 10_000
