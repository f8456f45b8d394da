"""A person leads tasks through the Dagster UI by hand, in a real browser, and each step is kept as a picture."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from continuum.store.database import Store
from continuum_pipelines.instance import open_instance
from tests.builders import interactions
from tests.pipelines.test_assets import a_checkpoint, a_verdict
from tests.pipelines.test_ui import SEVEN, browsing, needs_chromium, see_the_graph

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_MS = 120_000
BLOCKED = "accuracy: -12 points"


@pytest.fixture
def blocked_task(store: Store, home: Path) -> str:
    """A task whose newest model the guard has blocked, with a partition and nothing materialized."""
    store.tasks.ensure("support")
    store.interactions.add(interactions(5))
    a_verdict(store, a_checkpoint(store), failed_checks=(BLOCKED,))
    with open_instance() as memory:
        memory.add_dynamic_partitions("task", ["support"])
    return "support"


@needs_chromium
def test_one_partition_is_led_to_green_the_block_is_read_and_two_new_tasks_are_backfilled(
    blocked_task: str, store: Store, home: Path, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    with browsing(home, tmp_path) as (page, address, artifacts):
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        picture = pictures_in(page, artifacts)
        switch_automation_off(page, address)
        picture("automation-off")
        see_the_graph(page, address, artifacts / "by-hand-2-graph.png")

        choose(page, blocked_task)
        picture("chosen")
        page.get_by_role("button", name="Launch 1 run").click()
        page.get_by_text("View", exact=True).click()
        page.wait_for_url("**/runs/*")
        expect(page.get_by_text("Success", exact=True).first).to_be_visible()
        picture("run")
        run = page.url.rpartition("/")[2].partition("?")[0]

        page.goto(f"{address}/assets/guard_verdict?view=checks")
        expect(page.get_by_text("no_regression", exact=True).first).to_be_visible()
        page.get_by_text("no_regression", exact=True).first.click()
        expect(page.get_by_text(BLOCKED).first).to_be_visible()
        expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
        picture("check")

        for name in ("billing", "returns"):
            store.tasks.ensure(name)
            store.interactions.add(interactions(5, task=name))
        with open_instance() as memory:
            memory.add_dynamic_partitions("task", ["billing", "returns"])
        page.goto(f"{address}/asset-groups")
        choose(page, "billing", "returns")
        page.get_by_role("button", name="Launch backfill", exact=True).click()
        page.get_by_text("View", exact=True).click()
        page.wait_for_url("**/runs/b/**")
        expect(page.get_by_text("100% completed")).to_have_count(len(SEVEN))
        # The column's title, and now the status of the whole.
        expect(page.get_by_text("Succeeded", exact=True)).to_have_count(2)
        picture("backfill")

    with open_instance() as memory:
        led = memory.get_run_by_id(run)
        assert led is not None
        assert led.status is dg.DagsterRunStatus.SUCCESS
        assert led.tags["dagster/partition"] == blocked_task
        (backfill,) = memory.get_backfills()
        assert backfill.status.value == "COMPLETED_SUCCESS"
        for asset in SEVEN:
            assert memory.get_materialized_partitions(dg.AssetKey(asset)) == {"support", "billing", "returns"}


def pictures_in(page: "Page", folder: Path) -> Callable[[str], None]:
    """Takes pictures, numbered in the order of the story."""
    taken = iter((1, 3, 4, 5, 6))

    def picture(name: str) -> None:
        page.screenshot(path=folder / f"by-hand-{next(taken)}-{name}.png")

    return picture


def switch_automation_off(page: "Page", address: str) -> None:
    """What starts runs by itself would do what is to be done by hand here."""
    from playwright.sync_api import expect

    page.goto(f"{address}/automation")
    page.get_by_text("Select all").click()
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Done").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def choose(page: "Page", *partitions: str) -> None:
    """In the graph: all assets, and these partitions of them."""
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_text("Select a partition or create one").click()
    for name in partitions:
        page.locator(f'li [title="{name}"]').click()
    page.keyboard.press("Escape")
    page.get_by_placeholder("Filter partitions").wait_for(state="hidden")
