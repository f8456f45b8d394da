"""A verdict as the Dagster UI shows it: a forest plot that fits into a line of the page, and a table of every check."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from continuum.guard.pairs import Outcome
from continuum.guard.reading import Finding, failed, findings, interval, p_words, permission, plain_number, signed
from continuum.guard.report import to_markdown
from continuum.records import Checkpoint, Verdict
from continuum.tracking.tracker import Tracker
from continuum_pipelines.plots import BAD, FAINT, GOOD, OPEN, fitting, text
from continuum_pipelines.tables import link, markdown, rows_table

WIDTH, LEFT, ROW = 400, 140, 16
LONGEST_LABEL = 20
KNOWN = ", what the champion knew"
MOST_DRAWN = 14
LEAST_REACH = 0.05
"""The axis shows at least this far below and above no change."""
COLOURS = {Outcome.REGRESSED: BAD, Outcome.UNDECIDED: OPEN, Outcome.PASSED: GOOD}
"""In the order in which checks are drawn: what is worst comes first, and is left out last."""


def metadata_of(verdict: Verdict, candidate: Checkpoint, runs: Tracker) -> dict[str, Any]:
    """What a verdict shows: what may be done now, every check, and where the report, the proof and the run are."""
    from continuum.provenance.proof import PROOF  # SQLAlchemy starts here

    baseline, golden = verdict.evidence["baseline"]["model"], verdict.evidence["golden"]
    run = candidate.mlflow_run_id
    return {
        "verdict": verdict.id,
        "permission": permission(verdict),
        "candidate": candidate.name,
        "baseline": baseline,
        "golden_dataset": f"{golden['name']}: {golden['items']} items in {golden['groups']} groups",
        "failed_checks": "; ".join(failed(verdict)) or "none",
        "max_traffic": verdict.max_traffic,
        "required_examples": verdict.required_examples,
        "forest": markdown(forest_plot(verdict, f"{candidate.name} less {baseline}, 95%")),
        "checks": checks_table(verdict),
        "report": markdown(to_markdown(verdict)),
        "report_page": f"continuum guard --replay {verdict.id} --report verdict.html",
        "proof": dg.MetadataValue.path(f"{candidate.uri.rstrip('/')}/{PROOF}"),
        "mlflow_run": link(runs.run_url(run) if run else None) or run,
    }


def forest_plot(verdict: Verdict, title: str) -> str:
    """Each check's delta with its 95% interval, a tick at what is allowed, a rule at no change; empty without a comparison.

    Worst first. As many checks as fit are drawn, all of them stand in the table beside it.
    """
    compared = [one for one in findings(verdict) if one.compared and one.outcome in COLOURS]
    ordered = sorted(compared, key=lambda one: list(COLOURS).index(one.outcome))[:MOST_DRAWN]
    for count in range(len(ordered), 0, -1):
        drawn, height = ordered[:count], ROW * (count + 1)
        reach = max([LEAST_REACH, *(abs(one.number(name)) for one in drawn for name in ("low", "high"))])
        rule = f"<path d='M{_across(0, reach)},0v{ROW * count}' stroke='{FAINT}'/>"
        # The axis reaches as far to the left: one end is enough.
        marks = rule + _marks(drawn, reach) + _names(drawn) + text(WIDTH, height - 3, f"{reach:+.2f}", anchor="end")
        if shown := fitting([marks + _numbers(drawn), marks], title, width=WIDTH, height=height, adorned=1):
            return shown
    return ""


def checks_table(verdict: Verdict) -> dg.TableMetadataValue | None:
    """Every check, worst first, with the numbers of `continuum guard`, narrow enough for the page; None without any."""
    order = {outcome: n for n, outcome in enumerate((Outcome.REGRESSED, Outcome.UNDECIDED, Outcome.NO_DATA, Outcome.PASSED))}
    return rows_table([_row(one) for one in sorted(findings(verdict), key=lambda one: order[one.outcome])])


def _row(one: Finding) -> dict[str, Any]:
    return {
        "check": one.label,
        "outcome": one.word,
        "delta, 95%": f"{signed(one.number('delta'))} {interval(one)}".strip() or "-",
        "allowed": signed(one.min_delta, 3),
        "p": p_words(one),
        "means": " → ".join(plain_number(one.number(name)) or "-" for name in ("baseline_mean", "candidate_mean")),
    }


def _marks(drawn: Sequence[Finding], reach: float) -> str:
    """Lines and boxes, all of one outcome in one element; a line has no area that could be filled."""
    parts = []
    for outcome, colour in COLOURS.items():
        path = ""
        for y, one in ((ROW * n + 8, one) for n, one in enumerate(drawn) if one.outcome is outcome):
            low, delta, high = (_across(one.number(name), reach) for name in ("low", "delta", "high"))
            path += f"M{low},{y}H{high}M{_across(one.min_delta, reach)},{y - 6}v12M{delta - 3},{y - 3}h6v6h-6z"
        parts.append(f"<path d='{path}' stroke='{colour}' fill='{colour}'/>" if path else "")
    return "".join(parts)


def _names(drawn: Sequence[Finding]) -> str:
    return "".join(text(0, ROW * n + 11, _short(one.label)) for n, one in enumerate(drawn))


def _short(label: str) -> str:
    label = label.replace(KNOWN, " (known)")
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 2].rstrip()}.."


def _numbers(drawn: Sequence[Finding]) -> str:
    return "".join(text(LEFT - 32, ROW * n + 11, f"{one.number('delta'):+.2f}") for n, one in enumerate(drawn))


def _across(value: float, reach: float) -> int:
    middle, half = (LEFT + WIDTH) / 2, (WIDTH - LEFT) / 2 - 4
    return round(middle + half * min(1.0, max(-1.0, value / reach)))
