"""A dataset version as the Dagster UI shows it: its checks, and the figures beside them, read from its files and its manifest."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from continuum.curation.findings import LEFT_OUT, left_out
from continuum.dataset import Dataset
from continuum.errors import StoreError
from continuum.excerpts import excerpt
from continuum.records import DatasetRecord
from continuum_pipelines.checks import DATASET_CHECKS, dataset_diverse, dataset_sealed, duplicates
from continuum_pipelines.columns import dataset_columns
from continuum_pipelines.plots import bar_plot
from continuum_pipelines.tables import DIGITS, counts_table, histogram, markdown, rows_table

if TYPE_CHECKING:
    from continuum.store.database import Store

MOST_CLASSES = 20
"""Kinds of questions that are shown, the most frequent; the card has all of them."""
NO_DATASET = "there is no dataset yet"
LEAST_THRESHOLD = 0.92
"""Of a version whose manifest names none."""


def checks_of(dataset: Dataset | None) -> list[dg.AssetCheckResult]:
    """The results of the checks; each passes while there is no dataset."""
    if dataset is None:
        return [dg.AssetCheckResult(check_name=check.name, passed=True, description=NO_DATASET) for check in DATASET_CHECKS]
    return [
        _sealed(dataset.manifest.get("decontamination", {})),
        _diverse(dataset.manifest.get("generations", {})),
        _unlike(dataset),
    ]


def checks_of_newest(store: "Store", task: str) -> list[dg.AssetCheckResult]:
    """The same of the version there is, where no other was built: what failed goes on failing."""
    record = store.datasets.latest(task)
    if record is None:
        return checks_of(None)
    try:
        return checks_of(Dataset.read(record.uri))
    except StoreError as error:
        sealed, diverse, _ = checks_of(Dataset((), record.manifest))
        gone = dg.AssetCheckResult(
            check_name=duplicates.name, passed=False, severity=dg.AssetCheckSeverity.WARN, description=str(error)
        )
        return [sealed, diverse, gone]


def metadata_of(dataset: Dataset, record: DatasetRecord | None, previous: DatasetRecord | None) -> dict[str, Any]:
    """What a version shows: how much of what it holds, where it lies, and how it came to be.

    Args:
        dataset: the version.
        record: its row in the store.
        previous: the version before it; itself where nothing new was built.
    """
    scores = histogram(example.score for example in dataset)
    uri = record.uri if record else None
    return {
        "examples": len(dataset),
        "dagster/row_count": len(dataset),
        "source_interactions": dataset.source_interactions,
        "average_score": round(dataset.avg_score, DIGITS),
        "lowest_score": round(dataset.min_score, DIGITS),
        "scores": markdown(bar_plot(scores, "examples by score, 1 to 5")),
        "score_histogram": counts_table("score", scores),
        "dataset": dg.MetadataValue.path(uri) if uri else None,
        "dagster/uri": uri,
        "dagster/column_schema": dataset_columns(uri) if uri else None,
        "fingerprint": dataset.fingerprint,
        "parent": previous.name if previous and previous.id != dataset.fingerprint else None,
        "card": f"continuum dataset show {dataset.name}",
        **_coverage(dataset),
    }


def _coverage(dataset: Dataset) -> dict[str, Any]:
    """What was left out, what is covered, what people preferred, and the control."""
    manifest = dataset.manifest
    coverage, control = manifest.get("coverage", {}), manifest.get("control", {})
    classes = sorted(coverage.get("classes", []), key=lambda one: -one["eligible"])
    return {
        "intent_coverage": round(dataset.intent_coverage, DIGITS),
        "coverage": coverage.get("words"),
        "coverage_of_control": coverage.get("control_share"),
        "average_score_of_control": control.get("control", {}).get("mean_quality"),
        "left_out": counts_table("left out", {LEFT_OUT.get(stage, stage): rows for stage, rows in left_out(dataset).items()}),
        "preference_pairs": len(dataset.preferences),
        "rated_answers": len(dataset.rated_answers),
        "referrals_open": manifest.get("referrals", {}).get("open"),
        "written_by_this_line": manifest.get("generations", {}).get("share"),
        "classes": rows_table(
            [
                {"what is asked": excerpt(next(iter(one["words"]), "") or one["label"])}
                | {name: one[name] for name in ("eligible", "selected", "control", "score", "score_selected")}
                for one in classes[:MOST_CLASSES]
            ]
        ),
    }


def _sealed(report: Mapping[str, Any]) -> dg.AssetCheckResult:
    near, neighbours = report.get("near_golden", {}), report.get("neighbours", {})
    crossing = sum(report.get("sides", {}).get("on_both_sides", {}).values())
    written = report.get("written", {})
    return dg.AssetCheckResult(
        check_name=dataset_sealed.name,
        # A leak stops the build before there is a version; what is left to fail here is a report that is not there.
        passed=bool(written) and report.get("exact_contexts") == 0 and crossing == 0,
        description=(
            f"{written.get('rows', 0)} rows compared with {report.get('golden_items', 0)} golden questions: none is one; "
            f"{near.get('examples', 0)} that nearly were stayed out, {neighbours.get('examples', 0)} are close in meaning"
        ),
        metadata={"report": dg.MetadataValue.json(dict(report))},
    )


def _diverse(report: Mapping[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=dataset_diverse.name,
        passed=report.get("holds") is not False and report.get("share", 0) <= report.get("cap", 1),
        severity=dg.AssetCheckSeverity.WARN,
        description=report.get("words", "a version from before this was looked at"),
        metadata={"report": dg.MetadataValue.json(dict(report))},
    )


def _unlike(dataset: Dataset) -> dg.AssetCheckResult:
    threshold = float(dataset.manifest.get("config", {}).get("deduplication_threshold", LEAST_THRESHOLD))
    # Looked for among the rows that were written, and not read from what the build said of itself.
    from continuum.curation.duplicates import still_alike  # numpy starts here

    alike = still_alike(dataset.examples, threshold)
    rows = [{"stays": kept, "repeats_it": other} for kept, other in alike[:MOST_CLASSES]]
    return dg.AssetCheckResult(
        check_name=duplicates.name,
        passed=not alike,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(alike)} of {len(dataset)} examples teach what another one teaches, by a similarity of {threshold:g}",
        metadata={"alike": len(alike), "examples": len(dataset), "threshold": threshold}
        | ({"pairs": table} if (table := rows_table(rows)) else {}),
    )
