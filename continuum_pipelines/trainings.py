"""A trained version as the Dagster UI shows it: two checks, and the figures beside them, read from its artifact and its line."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import dagster as dg

from continuum.artifacts.copies import local
from continuum.constitution.constraints import Constraint, those_known
from continuum.errors import StoreError
from continuum.excerpts import excerpt
from continuum.fine_tuning import FineTuneConfig
from continuum.records import Checkpoint
from continuum.training.budget import lost_share
from continuum.training.forgetting_report import ForgettingReport, Violations, forgetting_report
from continuum.training.measured import GENERAL, VALIDATION, Measured
from continuum.training.plots import curves_svg, matrix_svg
from continuum.training.trainer import TrainingResult
from continuum_pipelines.checks import constitution_kept, forgetting_budget
from continuum_pipelines.handover import readable
from continuum_pipelines.heatmaps import matrix_plot
from continuum_pipelines.plots import image, line_plot
from continuum_pipelines.tables import counts_table, markdown, rows_table

if TYPE_CHECKING:
    from continuum.store.database import Store

PLOTTED = (
    *("initial_loss", "final_loss", "steps", "seconds", "lambda_ewc"),
    *("replayed_examples", "general_examples", "probe_examples", "preference_examples"),
)
"""Metrics that stand alone, by the names they have in MLflow too, so that the UI draws them over time; a table has the others."""
NOT_MEASURED = "not measured"
MOST_NAMED = 5
MOST_ROWS = 40


def checks_of(store: "Store", checkpoint: Checkpoint | None, status: str) -> list[dg.AssetCheckResult]:
    """The results of the two checks; each passes while there is nothing that could fail it, and says so."""
    if checkpoint is None:
        words = f"nothing is trained yet: {status}"
        return [
            dg.AssetCheckResult(check_name=check.name, passed=True, description=words)
            for check in (constitution_kept, forgetting_budget)
        ]
    return [_constitution(_report(store, checkpoint)), _budget(checkpoint)]


def metadata_of(store: "Store", result: TrainingResult) -> dict[str, Any]:
    """What the asset shows besides: what was in the batches, how the run went, and what became of what was known."""
    fit, report = result.report, _report(store, result.model)
    losses = [(step["loss"], int(step["step"])) for step in result.history if "loss" in step]
    title = f"loss of the batches, nats a token, to step {losses[-1][1]}" if losses else ""
    shown: dict[str, Any] = {"loss": markdown(line_plot([loss for loss, _ in losses], title))}
    shown |= {} if report is None else _forgetting(report)
    shown |= {name: result.metrics[name] for name in PLOTTED if name in result.metrics}
    if fit is not None:
        shown |= {
            "epochs": fit.epochs,
            "resumed_at": ", ".join(f"step {step}" for step in fit.resumed_at),
            "lambda_search": rows_table([tried.model_dump() for tried in fit.tried]),
        }
    return shown | {
        "left_out": counts_table("constraint", Counter(violation.constraint for violation in result.violations)),
        "left_out_rows": rows_table(
            [
                {"interaction": one.interaction_id, "constraint": one.constraint, "answer": one.excerpt}
                for one in result.violations
            ][:MOST_ROWS]
        ),
        "curves_large": markdown(image(curves_svg(result.history), "the run by step")),
        "metrics": rows_table(
            [{"metric": name, "value": value} for name, value in sorted(result.metrics.items()) if name not in shown]
        ),
    }


def name_of_parent(store: "Store", checkpoint: Checkpoint) -> str | None:
    """The checkpoint that a training went on from, with where it lies; None for the first of a line."""
    parent = store.checkpoints.get(checkpoint.parent_id) if checkpoint.parent_id else None
    return f"{parent.name} ({parent.uri})" if parent else checkpoint.parent_id


def _forgetting(report: ForgettingReport) -> dict[str, Any]:
    matrix = report.matrix
    shares = [[NOT_MEASURED if cell is None else f"{cell.probability:.3f}" for cell in row] for row in matrix.cells]
    titles = [column.title for column in matrix.columns]
    changes = [("since it was learned", change) for change in report.backward]
    changes += [("general questions", report.general)] if report.general else []
    return {
        "known": markdown(matrix_plot(matrix, "% known by dataset, g: general")),
        "matrix": rows_table(
            [{"version": name} | dict(zip(titles, row, strict=True)) for name, row in zip(matrix.versions, shares, strict=True)]
            if titles
            else []
        ),
        "backward_transfer": report.backward_transfer,
        "forgetting": report.forgetting,
        "matrix_large": markdown(image(matrix_svg(matrix), "what each version knows") if titles else ""),
        "changes": rows_table(
            [
                {
                    "of": change.title,
                    "what": what,
                    "change": change.probability,
                    "95% from": change.probability_low,
                    "to": change.probability_high,
                    "rows": change.rows,
                }
                for what, change in changes
            ]
        ),
        "constraints": rows_table([_violation_row(one) for one in report.violations]),
        "forgetting_report": markdown(report.to_markdown()) if titles or report.violations else None,
    }


def _violation_row(one: Violations) -> dict[str, Any]:
    return {
        "constraint": excerpt(one.constraint),
        "questions": one.trials,
        "broken before": one.before,
        "broken now": one.after,
        "newly": len(one.newly),
        "at most": one.upper,
    }


def _report(store: "Store", checkpoint: Checkpoint) -> ForgettingReport | None:
    try:
        return forgetting_report(store, checkpoint, _constraints(checkpoint))
    except StoreError:
        # The artifact is gone or altered: the deployment refuses it and says so, the figures are only missing.
        return None


def _constraints(checkpoint: Checkpoint) -> list[Constraint]:
    return those_known(FineTuneConfig.model_validate(checkpoint.config).constitutional_constraints)[0]


def _constitution(report: ForgettingReport | None) -> dg.AssetCheckResult:
    if report is None or not report.violations:
        return dg.AssetCheckResult(
            check_name=constitution_kept.name, passed=True, description="no question of a constraint was put to this version"
        )
    every = report.violations[-1]
    named = "".join(f"; {excerpt(question)!r}" for question in every.newly[:MOST_NAMED])
    return dg.AssetCheckResult(
        check_name=constitution_kept.name,
        passed=not every.newly,
        description=(
            f"{len(every.newly)} of {every.trials} held-out questions are newly answered against a constraint, "
            f"{every.after} in all; "
            f"at most {every.upper:.1%} of such questions would be, with 95% confidence{named}"
        ),
        metadata={"newly": len(every.newly), "broken": every.after, "questions": every.trials, "at_most": readable(every.upper)},
    )


def _budget(checkpoint: Checkpoint) -> dg.AssetCheckResult:
    budget = FineTuneConfig.model_validate(checkpoint.config).forgetting_prevention.budget
    lost = _lost(checkpoint)
    if lost is None:
        return dg.AssetCheckResult(
            check_name=forgetting_budget.name, passed=True, description="no earlier dataset was measured: nothing could be lost"
        )
    allowed = f"the budget is {budget:.2%}" if budget is not None else "no budget is set"
    return dg.AssetCheckResult(
        check_name=forgetting_budget.name,
        passed=budget is None or lost <= budget,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{lost:.2%} of the probability that earlier answers had is lost; {allowed}",
        metadata={"lost": readable(lost)} | ({"budget": budget} if budget is not None else {}),
    )


def _lost(checkpoint: Checkpoint) -> float | None:
    """The share that this training lost of all earlier datasets' held-out answers; None where none was measured."""
    try:
        measured = Measured.load(local(checkpoint.uri))
    except StoreError:
        return None
    if measured is None:
        return None
    earlier = [losses for name, losses in measured.losses.items() if name not in {VALIDATION, GENERAL}]
    before = [nats for losses in earlier for nats in losses.before]
    return lost_share(before, [nats for losses in earlier for nats in losses.after]) if before else None
