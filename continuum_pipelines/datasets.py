"""A dataset version as the Dagster UI shows it: two checks, and the figures beside them, all read from its manifest."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from continuum.curation.findings import LEFT_OUT, left_out
from continuum.dataset import Dataset
from continuum.excerpts import excerpt
from continuum_pipelines.checks import dataset_diverse, dataset_sealed
from continuum_pipelines.tables import counts_table, rows_table

MOST_CLASSES = 40
NO_DATASET = "there is no dataset yet"


def checks_of(dataset: Dataset | None) -> list[dg.AssetCheckResult]:
    """The results of the two checks; each passes while there is no dataset."""
    if dataset is None:
        return [
            dg.AssetCheckResult(check_name=check.name, passed=True, description=NO_DATASET)
            for check in (dataset_sealed, dataset_diverse)
        ]
    return [_sealed(dataset.manifest.get("decontamination", {})), _diverse(dataset.manifest.get("generations", {}))]


def metadata_of(dataset: Dataset) -> dict[str, Any]:
    """What the asset shows besides: what was left out, what is covered, what people preferred, and the control."""
    manifest = dataset.manifest
    coverage, control = manifest.get("coverage", {}), manifest.get("control", {})
    classes = sorted(coverage.get("classes", []), key=lambda one: -one["eligible"])
    return {
        "coverage": coverage.get("words"),
        "coverage_of_control": coverage.get("control_share"),
        "average_score_of_control": control.get("control", {}).get("mean_quality"),
        "left_out": counts_table("left out", {LEFT_OUT.get(stage, stage): rows for stage, rows in left_out(dataset).items()}),
        "classes": rows_table(
            [
                {"what is asked": excerpt(" / ".join(one["words"]), 200) or excerpt(one["label"])}
                | {name: one[name] for name in ("eligible", "selected", "control", "score", "score_selected")}
                for one in classes[:MOST_CLASSES]
            ]
        ),
        "preference_pairs": len(dataset.preferences),
        "rated_answers": len(dataset.rated_answers),
        "referrals_open": manifest.get("referrals", {}).get("open"),
        "written_by_this_line": manifest.get("generations", {}).get("share"),
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
