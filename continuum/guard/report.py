"""A verdict for people: Markdown and a small drawing for Dagster, a table for the terminal."""

import base64
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from continuum.records import Verdict, VerdictStatus

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SIGNS = {VerdictStatus.APPROVED: "✓", VerdictStatus.BLOCKED: "✗", VerdictStatus.INCONCLUSIVE: "?"}
COLOURS = {"passed": "#2a7", "regressed": "#c33", "undecided": "#b80"}
WIDTH, ROW, LEFT = 300, 18, 84
"""Of the drawing, in pixels: its width, the height of a metric's row, and the room for names."""
UNBOUNDED = 10_000
"""Columns of an output without a screen."""
DRAWN = 4
"""Metrics in the drawing; more would not fit where Dagster shows it inline."""


def headline(verdict: Verdict) -> str:
    """The verdict in one line."""
    evidence = verdict.evidence
    against = f"{evidence['candidate']['model']} against {evidence['baseline']['model']}"
    size = f"{evidence['golden']['items']} golden items in {evidence['golden']['groups']} groups"
    return f"{SIGNS[verdict.status]} {verdict.status.upper()}: {against}, {size}; {permission(verdict)}"


def permission(verdict: Verdict) -> str:
    """What the candidate may do now."""
    if not verdict.approved:
        return "may not serve"
    return "may serve all traffic" if verdict.max_traffic >= 1 else f"may serve up to {verdict.max_traffic:.0%} of traffic"


def to_markdown(verdict: Verdict) -> str:
    """The whole report: what was found on each metric, the worst answers, and what to keep in mind."""
    lines = [f"**{headline(verdict)}**", "", *_metric_table(verdict)]
    if verdict.required_examples is not None:
        lines += ["", f"About {verdict.required_examples} golden examples would decide."]
    if verdict.failed_checks:
        lines += ["", "Failed checks:", *(f"- {words}" for words in verdict.failed_checks)]
    if left_open := _left_open(verdict):
        lines += ["", "Left open:", *(f"- {words}" for words in left_open)]
    for item in verdict.evidence["worst"]:
        lines += ["", *_worst_lines(item)]
    if loss := verdict.evidence["loss"]:
        lines += ["", _loss_line(loss)]
    if notes := verdict.evidence["notes"]:
        lines += ["", "To keep in mind:", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def verdict_table(verdict: Verdict) -> "Table":
    """The verdict as a table for the terminal; 80 columns hold its numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    notes = [*verdict.failed_checks, *_left_open(verdict), *verdict.evidence["notes"]]
    if verdict.required_examples is not None:
        notes.append(f"about {verdict.required_examples} golden examples would decide")
    if verdict.evidence["worst"]:
        worst = verdict.evidence["worst"][0]
        notes.append(f"worst answer, to {worst['question']!r}: {worst['candidate_answer']!r}")
    # Text, not markup: answers may hold square brackets.
    title, caption = Text(headline(verdict)), Text("\n".join(notes))
    table = Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False
    )
    for column in ("metric", "baseline", "candidate", "delta", "95%", "allowed", "p", "outcome"):
        table.add_column(column, justify="left" if column in {"metric", "outcome"} else "right", no_wrap=True)
    for metric, row in _rows(verdict):
        table.add_row(metric, *row)
    return table


def print_verdict(verdict: Verdict, console: "Console") -> None:
    """Print the table; where the output is no terminal it is as wide as its words, for no screen ends there."""
    table = verdict_table(verdict)
    if not console.is_terminal:
        table.width = console.measure(table, options=console.options.update(width=UNBOUNDED)).maximum
    console.print(table, crop=False)


def forest_svg(verdict: Verdict) -> str:
    """Deltas with their intervals and limits, drawn in fewer than 700 characters.

    A line from end to end of the interval with a dot at the delta, a tick at `min_delta`, a grey rule at no change.
    """
    found = [(name, row) for name, row in verdict.evidence["metrics"].items() if "delta" in row][:DRAWN]
    reach = max([0.05, *(abs(value) for _, row in found for value in (row["low"], row["high"], row["min_delta"]))])
    middle, scale = (LEFT + WIDTH) / 2, (WIDTH - LEFT) / 2.1 / reach

    def x(value: float) -> int:
        return round(middle + value * scale)

    height = ROW * len(found)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-size="11">']
    parts.append(f'<path d="M{x(0)} 0v{height}" stroke="#999"/>')
    for n, (name, row) in enumerate(found):
        y, colour = ROW * n + 9, COLOURS[row["outcome"]]
        parts.append(
            f'<g stroke="{colour}" fill="{colour}"><path d="M{x(row["low"])} {y}H{x(row["high"])}'
            f'M{x(row["min_delta"])} {y - 6}v12"/><circle cx="{x(row["delta"])}" cy="{y}" r="3"/></g>'
        )
        label = name if len(name) <= 12 else name[:11] + "…"
        parts.append(f'<text y="{y + 4}">{escape(label)}</text>')
    return "".join(parts) + "</svg>"


def forest_markdown(verdict: Verdict) -> str:
    """The drawing as a Markdown image with the data in it, short enough for Dagster to show it inline."""
    drawing = base64.b64encode(forest_svg(verdict).encode()).decode()
    return f"![deltas](data:image/svg+xml;base64,{drawing})"


def _rows(verdict: Verdict) -> list[tuple[str, list[str]]]:
    rows = []
    for metric, row in verdict.evidence["metrics"].items():
        if "delta" not in row:
            rows.append((metric, ["", "", "", "", f"{row['min_delta']:+.2f}", "-", row["outcome"]]))
            continue
        numbers = [f"{row['baseline_mean']:.3f}", f"{row['candidate_mean']:.3f}", f"{row['delta']:+.3f}"]
        interval = f"{row['low']:+.3f} to {row['high']:+.3f}"
        # Where too few groups, or too few scores, forbid a test, its p would only mislead.
        p = "-" if row["p_adjusted"] is None else f"{row['p_regressed']:.3f}" if row["p_regressed"] >= 0.001 else "<0.001"
        rows.append((metric, [*numbers, interval, f"{row['min_delta']:+.2f}", p, row["outcome"]]))
    return rows


def _left_open(verdict: Verdict) -> list[str]:
    """What was found on the metrics that nothing was decided about, as far as the failed checks do not say it."""
    found = (row["words"] for row in verdict.evidence["metrics"].values() if row["outcome"] in {"undecided", "no data"})
    return [words for words in found if words not in verdict.failed_checks]


def _metric_table(verdict: Verdict) -> list[str]:
    head = ["metric", "baseline", "candidate", "delta", "95%", "allowed", "p of regression", "outcome"]
    return [_line(head), _line(["---"] * len(head)), *(_line([metric, *row]) for metric, row in _rows(verdict))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _worst_lines(item: dict[str, Any]) -> list[str]:
    def scores(arm: str) -> str:
        return ", ".join(f"{metric} {value:.2f}" for metric, value in item[f"{arm}_scores"].items())

    return [
        f"> **asked** {_quoted(item['question'])}",
        ">",
        f"> **baseline** ({scores('baseline')}) {_quoted(item['baseline_answer'])}",
        ">",
        f"> **candidate** ({scores('candidate')}) {_quoted(item['candidate_answer'])}",
    ]


def _quoted(text: str | None) -> str:
    """Someone's words as plain text: escaped, so that they cannot draw or link in the report."""
    if text is None:
        return "(no answer)"
    flat = escape(" ".join(text.split()), quote=False)
    return "".join("\\" + character if character in "\\`*_[]!#|~" else character for character in flat)


def _loss_line(loss: dict[str, Any]) -> str:
    before = "" if loss["baseline"] is None else f", baseline {loss['baseline']:.3f}"
    losses = f"candidate {loss['candidate']:.3f}{before}, base {loss['base']:.3f}"
    return f"Loss on {loss['items']} references, nats a token: {losses} (reported, not gated)."
