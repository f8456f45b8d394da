"""A learning curve as the Dagster UI shows it."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from continuum.analytics.curve import LearningCurve
from continuum.analytics.telling import SHORT, sections, texts
from continuum.config import load_settings
from continuum.store.database import Store
from continuum.tracking.tracker import FolderTracker
from continuum_pipelines.handover import materialized
from continuum_pipelines.measured import metadata_of, page_of, status_of
from continuum_pipelines.plots import MARKDOWN_SHOWN_INLINE
from tests.analytics.wheel import TASK, Starred, star_judge, turned


async def shown(store: Store, folder: Path) -> dict[str, Any]:
    """The metadata of the curve of a wheel that has turned three times."""
    await turned(store, 3, folder)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())
    page = curve.report(page_of(TASK))
    return dict(materialized("drawn", metadata_of(curve, page, None, FolderTracker(folder / "runs"))).metadata or {})


@pytest.mark.slow
async def test_turns_promoted_gains_and_what_was_measured_beside_are_tables_and_the_page_is_a_path(
    store: Store, tmp_path: Path
) -> None:
    found = await shown(store, tmp_path)

    turns = found["turns"].records
    assert [row.data["version"] for row in turns][::2] == ["v1 less base", "v2 less v1", "v3 less v2"]
    assert {row.data["version"].partition(" less ")[0] for row in found["promoted"].records} == {"v1", "v2", "v3"}
    assert any(row.data["value"] == "no data" for row in found["beside"].records)
    assert not [
        row for table in ("scores", "turns", "promoted", "beside") for row in found[table].records if "" in row.data.values()
    ]
    assert Path(found["page"].value) == load_settings().home / "curves" / f"{TASK}.html"
    assert Path(found["page"].value).read_text().startswith("<!doctype html>")
    assert "Another 1000 examples" in found["summary"].value


@pytest.mark.slow
async def test_what_the_ui_shows_of_a_curve_is_what_the_report_says_of_it(store: Store, tmp_path: Path) -> None:
    await turned(store, 2, tmp_path)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())
    told = {section.key: section for section in sections(curve)}
    found = metadata_of(curve, page_of(TASK), None, FolderTracker(tmp_path / "runs"))

    mean = next(point for point in curve.points if point.model == "v2").means["helpfulness"].mean
    assert (found["newest_version"], found["newest_helpfulness"]) == ("v2", mean)
    assert status_of(curve).startswith(f"helpfulness, 0 to 1: v2 {mean:.2f}, v1 ")
    models = [dict(zip(told["models"].heads, texts(row), strict=True)) for row in told["models"].rows]
    assert all(row.data.items() <= whole.items() for row, whole in zip(found["scores"].records, models, strict=True))
    assert list(found["scores"].records[0].data) == ["model", "metric", "mean", "items", "against base"]
    assert [row.data["version"] for row in found["costs"].records] == ["v1", "v2"]
    # Nobody reads what is behind a click: whether it is better, and what to doubt, are not.
    assert [row.data["compared, with 95% intervals"] for row in found["in_short"].records] == list(told[SHORT].lines)
    assert [row.data["to keep in mind"] for row in found["to_keep_in_mind"].records] == list(told["notes"].lines)


@pytest.mark.slow
async def test_it_stays_small_and_the_picture_is_shown_inline(store: Store, tmp_path: Path) -> None:
    found = await shown(store, tmp_path)

    texts = [value.value for value in found.values() if isinstance(value, dg.MarkdownMetadataValue)]
    rows = [row.data for value in found.values() if isinstance(value, dg.TableMetadataValue) for row in value.records]
    assert len(found["curve"].value) <= MARKDOWN_SHOWN_INLINE
    # An event is a row of Dagster's log: tens of kilobytes at most, and never the page.
    assert sum(map(len, texts)) + len(json.dumps(rows)) < 40_000
    assert not any("<b>" in text for text in texts)
