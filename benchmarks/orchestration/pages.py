"""Dagster's own pages over many tasks: what the UI asks by GraphQL, and how long a browser takes until they can be seen."""

import json
import os
import shutil
import statistics
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.claims import Setting
from benchmarks.deployment.servers import running
from benchmarks.orchestration.crowd import ASSETS
from benchmarks.orchestration.stack import ROOT, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
VISIBLE_S = 10.0
"""From the address entered to all that was asked for in view, in a browser that has nothing cached."""
PATIENCE_S = 60.0
REPEATS, REPEATS_QUICK = 5, 1


@dataclass(frozen=True)
class Query:
    """One query that the UI sends, and how long the server took over it when it was sent again."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)


@dataclass
class Pages:
    """What the pages took."""

    visible_s: dict[str, float] = field(default_factory=dict)
    """By page: from the address entered to all of it in view."""
    queries: list[Query] = field(default_factory=list)
    failed: int | None = None
    """Queries that ended in an error, or in none at all."""
    note: str = ""


def measure_pages(setting: Setting, environment: Mapping[str, str], tasks: int) -> Pages:
    """Open the asset graph and an asset's partitions on a real webserver, and send what the UI sends once more.

    Args:
        setting: of the benchmark.
        environment: of the webserver, which names its home and databases.
        tasks: how many partitions there are.
    """
    if CHROMIUM is None:
        return Pages(note="no chromium is installed: the pages were not measured")
    from playwright.sync_api import sync_playwright

    port, pages = free_port(), Pages(failed=0)
    address = f"http://127.0.0.1:{port}"
    program = ["-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-m", "continuum_pipelines.definitions"]
    variables = {**environment, "PYTHONPATH": str(ROOT)}
    with (
        running(
            "webserver",
            [sys.executable, *program],
            address,
            probe=f"{address}/server_info",
            folder=setting.folder,
            environment=variables,
        ),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        sent: dict[str, dict[str, Any]] = {}
        for name, path, wanted in (
            ("asset graph", "/asset-groups", ASSETS),
            ("partitions", "/assets/lora_checkpoint?view=partitions", ["task-000", f"Materialized ({tasks})"]),
        ):
            setting.say(f"opening {name}")
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            page.on("request", lambda asked: note(sent, asked))
            pages.visible_s[name] = seen(page, address + path, wanted)
            page.close()
        browser.close()
        for name, body in sent.items():
            setting.say(f"asking {name}")
            pages.queries.append(asked_again(pages, address, name, body, REPEATS_QUICK if setting.quick else REPEATS))
    return pages


def note(sent: dict[str, dict[str, Any]], asked: Any) -> None:
    """Keep a GraphQL query of the UI, the first of its name."""
    if asked.method == "POST" and "/graphql" in asked.url:
        body = asked.post_data_json
        if isinstance(body, dict) and "mutation" not in body.get("query", "")[:20]:
            sent.setdefault(str(body.get("operationName")), body)


def seen(page: "Page", address: str, wanted: Sequence[str]) -> float:
    """Seconds until all the words stand on a page."""
    from playwright.sync_api import expect

    begun = time.perf_counter()
    page.goto(address, timeout=PATIENCE_S * 1000)
    for word in wanted:
        drawn = page.locator("svg").get_by_text(word, exact=True) if word in ASSETS else page.get_by_text(word, exact=True)
        expect(drawn.first).to_be_visible(timeout=PATIENCE_S * 1000)
    return time.perf_counter() - begun


def asked_again(pages: Pages, address: str, name: str, body: Mapping[str, Any], repeats: int) -> Query:
    """The same query some times more, from this process."""
    seconds = []
    for _ in range(repeats):
        asked = json.dumps(body).encode()
        request = urllib.request.Request(f"{address}/graphql", asked, {"Content-Type": "application/json"})  # noqa: S310
        begun = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  our own server
                pages.failed = (pages.failed or 0) + ("errors" in json.load(answer))
        except OSError:
            pages.failed = (pages.failed or 0) + 1
        seconds.append(time.perf_counter() - begun)
    return Query(name, tuple(seconds))
