"""A learning curve as the Dagster UI shows it: small pictures and tables, and where the whole page is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from continuum.analytics.arms import PRODUCTION
from continuum.config import load_settings
from continuum.excerpts import excerpt
from continuum_pipelines.plots import means_plot
from continuum_pipelines.tables import link, markdown, rows_table

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve
    from continuum.analytics.telling import Section
    from continuum.analytics.turns import Turn
    from continuum.tracking.tracker import Tracker

LONGEST_LINE = 400
COLUMNS = {
    "models": ("model", "metric", "mean", "items"),
    "turns": ("version", "metric", "gain", "items", "$ a point"),
    "fresh": ("version", "metric", "claimed", "fresh or corrected", "basis"),
    "beside": ("what", "value", "difference", "measured on"),
}
"""Sections of the report that are tables here, and those of their columns that fit beside the key; the page has all of them."""
WITHIN = {"less": ("version", "less"), "against": ("difference", "against"), "model": ("what", "of")}
"""Columns whose words stand in another one, and behind which word: a narrow column breaks its lines."""
NAMES = {"models": "scores", "fresh": "promoted"}
"""What a table is called where that is not its section's key."""
NOTES = "notes"
"""The key of the section that says what to keep in mind."""


def page_of(task: str) -> Path:
    """Where the page of a task's newest curve lies."""
    return load_settings().home / "curves" / f"{task}.html"


def status_of(curve: "LearningCurve") -> str:
    """The curve in a line: the newest version's mean, and those that it is compared with first."""
    from continuum.analytics.short import newest_of  # scipy starts here

    first = curve.metrics[0]
    means = {point.model: point.means[first].mean for point in curve.points if first in point.means}
    before = curve.turns[-1].before if curve.turns else curve.reference
    chosen = dict.fromkeys([newest_of(curve), before, PRODUCTION])
    return f"{first}, 0 to 1: " + ", ".join(f"{model} {means[model]:.2f}" for model in chosen if model in means)


def metadata_of(curve: "LearningCurve", page: Path, run: str | None, runs: "Tracker") -> dict[str, Any]:
    """What a curve shows: the newest version's means as numbers, and the report's tables in the report's words."""
    from continuum.analytics.short import newest_of  # scipy starts here
    from continuum.analytics.summary import as_markdown
    from continuum.analytics.telling import SHORT, sections

    first, newest = curve.metrics[0], newest_of(curve)
    parts = {section.key: section for section in sections(curve)}
    means = {point.model: point.means[first] for point in curve.points if first in point.means}
    own = next((point.means for point in curve.points if point.model == newest), {})
    title = f"{first}, 0 to 1, 95%"
    return {
        "golden_dataset": curve.golden,
        "items": curve.items,
        "judge": curve.judge,
        "newest_version": newest,
        # Numbers by themselves are drawn over time.
        **{f"newest_{metric}": found.mean for metric, found in own.items()},
        "in_short": lines_table("compared, with 95% intervals", parts.get(SHORT)),
        "curve": markdown(means_plot(means, title, line=_line_of(curve, newest))),
        **{NAMES.get(key, key): section_table(parts.get(key), heads) for key, heads in COLUMNS.items()},
        "costs": rows_table([_cost(one) for one in curve.turns]),
        "intents": section_table(parts.get("intents"), ()),
        "to_keep_in_mind": lines_table("to keep in mind", parts.get(NOTES)),
        "summary": markdown(as_markdown(curve, without={*COLUMNS, SHORT, NOTES, "intents"})),
        "page": dg.MetadataValue.path(str(page)),
        "mlflow_run": link(runs.run_url(run) if run else None) or run,
    }


def _line_of(curve: "LearningCurve", newest: str) -> set[str]:
    """The newest version and those that it was continued from, back to the base; a sibling is none of them."""
    before, line = {one.model: one.before for one in curve.turns}, [newest]
    while (last := before.get(line[-1])) is not None:
        line.append(last)
    return set(line)


def section_table(section: "Section | None", heads: Sequence[str]) -> dg.TableMetadataValue | None:
    """A section's rows in the words of the report; None where it has none.

    Args:
        section: of the report.
        heads: the columns to show, and any whose head begins with `against`; all where there are none.
    """
    if section is None:
        return None
    rows = [dict(zip(section.heads, (cell.text for cell in row), strict=True)) for row in section.rows]
    for row in rows:
        for head, (whole, word) in WITHIN.items():
            if whole in row and row.get(head, "-") != "-":
                row[whole] += f" {word} {row[head]}"
    shown = [head for head in section.heads if not heads or head in heads or head.startswith("against ")]
    return rows_table([{head: row[head] for head in shown} for row in rows])


def _cost(one: "Turn") -> dict[str, Any]:
    return {
        "version": one.model,
        "examples": one.examples,
        "judged": one.judged,
        "judging, $": one.judging_usd,
        "training, s": one.training_s,
    }


def lines_table(head: str, section: "Section | None") -> dg.TableMetadataValue | None:
    """A section's sentences, each in a row: the UI breaks the lines of a table, and of no text; None where it has none."""
    return rows_table([{head: excerpt(line, LONGEST_LINE)} for line in section.lines]) if section else None
