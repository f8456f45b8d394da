"""A learning curve as the Dagster UI shows it: small pictures and tables, and where the whole page is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from continuum.analytics.arms import NEAREST, PRODUCTION
from continuum.config import load_settings
from continuum.excerpts import excerpt
from continuum_pipelines.plots import means_plot
from continuum_pipelines.tables import link, markdown, rows_table

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve
    from continuum.tracking.tracker import Tracker

TOLD_AS_TABLES = frozenset({"models", "turns", "beside", "fresh", "intents"})
"""Sections that have a table of their own here."""


def page_of(task: str) -> Path:
    """Where the page of a task's newest curve lies."""
    return load_settings().home / "curves" / f"{task}.html"


def metadata_of(curve: "LearningCurve", page: Path, run: str | None, runs: "Tracker") -> dict[str, Any]:
    """What a curve shows: means, turns, promoted gains, what was measured beside, and what more examples would buy."""
    from continuum.analytics.summary import as_markdown  # scipy starts here

    first = curve.metrics[0]
    means = {point.model: point.means[first] for point in curve.points if first in point.means}
    return {
        "golden_dataset": curve.golden,
        "items": curve.items,
        "judge": curve.judge,
        "scores": rows_table(_scores(curve)),
        "turns": rows_table(_turns(curve)),
        "promoted": rows_table(_promoted(curve)),
        "beside": rows_table(_beside(curve)),
        "curve": markdown(means_plot(means, f"{first} by model", line=means.keys() - {PRODUCTION, NEAREST})),
        "summary": markdown(as_markdown(curve, without=TOLD_AS_TABLES)),
        "page": dg.MetadataValue.path(str(page)),
        "mlflow_run": link(runs.run_url(run) if run else None) or run,
    }


def _scores(curve: "LearningCurve") -> list[dict[str, Any]]:
    return [
        {
            "model": point.model,
            "metric": metric,
            "mean": found.mean,
            "low": found.low,
            "high": found.high,
            "items": found.items,
            "gain": gain.mean if (gain := point.gains.get(metric)) else None,
            "gain_low": gain.low if gain else None,
            "gain_high": gain.high if gain else None,
            "is": gain.word if gain else None,
        }
        for point in curve.points
        for metric, found in point.means.items()
    ]


def _turns(curve: "LearningCurve") -> list[dict[str, Any]]:
    return [
        {
            "version": one.model,
            "less": one.before,
            "metric": metric,
            "gain": gain.mean,
            "low": gain.low,
            "high": gain.high,
            "items": gain.items,
            "is": gain.word,
            "examples": one.examples,
            "judged": one.judged,
            "judging_usd": one.judging_usd,
            "training_s": one.training_s,
        }
        for one in curve.turns
        for metric, gain in one.gains.items()
    ]


def _promoted(curve: "LearningCurve") -> list[dict[str, Any]]:
    rows = []
    for one in curve.retold:
        found = one.fresh or one.corrected
        rows.append(
            {
                "version": one.model,
                "metric": one.metric,
                "claimed": one.claimed.mean,
                "basis": "fresh" if one.fresh else "corrected" if one.corrected else None,
                "is": found.mean if found else None,
                "low": found.low if found else None,
                "high": found.high if found else None,
                "shrinks_by": one.shrinkage,
                "why": one.why or None,
            }
        )
    return rows


def _beside(curve: "LearningCurve") -> list[dict[str, Any]]:
    from continuum.analytics.telling import mean_words

    return [
        {
            "what": excerpt(one.name),
            "model": one.model,
            "value": mean_words(one.value, one.digits) if one.value else "no data",
            "difference": mean_words(one.gain, one.digits, signed=True) if one.gain else None,
            "against": one.against or None,
            "is": one.word,
            "measured_on": excerpt(one.on),
        }
        for one in curve.readings
    ]
